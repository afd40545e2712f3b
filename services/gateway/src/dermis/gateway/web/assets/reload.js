/** A network that changes while the page loads leaves it without some of its scripts: load it again, a few times at most. */
(() => {
  const MOST = 3, tries = Number(sessionStorage.getItem("reloads"));
  const again = () => { sessionStorage.setItem("reloads", tries + 1); location.reload(); };
  document.querySelector("script[type=module]").addEventListener("error", () => {
    if (tries < MOST) navigator.onLine ? setTimeout(again, 1000 * (tries + 1)) : addEventListener("online", again, { once: true });
  });
})();
