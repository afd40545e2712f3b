/** A network that changes while the page loads leaves it without some of its scripts: load it again, a few times at most. */
(() => {
  const MOST = 3, tries = Number(sessionStorage.getItem("reloads"));
  const again = () => { sessionStorage.setItem("reloads", tries + 1); location.reload(); };
  let lost = false;
  addEventListener("error", ({ target }) => {
    if (lost || tries >= MOST || !target.matches?.("script")) return;
    lost = true;
    navigator.onLine ? setTimeout(again, 1000 * (tries + 1)) : addEventListener("online", again, { once: true });
  }, true);
})();
