/** Links to a result: one that shows it, for a doctor; one of the person's own, for another device. Each ends, and can be ended. */
import { endLink, links, makeLink } from "./api.js";
import { el, t, time } from "./dom.js";

/** Return the button that opens the dialog of a case's links. */
export function share(known) {
  const button = el("button", { type: "button" }, t("share.button"));
  button.addEventListener("click", () => open(known.id));
  return button;
}

function open(id) {
  const status = el("p", { role: "status" }), fresh = el("div"), list = el("ul", { className: "links" });
  const act = (label, className, action) => {
    const node = el("button", { type: "button", className }, t(label));
    node.addEventListener("click", () => { status.textContent = ""; action().catch(() => { status.textContent = t("share.failed"); }); });
    return node;
  };
  const refresh = async () => {
    const { shares } = await links(id);
    const standing = shares.filter((each) => !each.revoked_at && new Date(each.expires_at) > new Date());
    list.replaceChildren(...standing.map((each) => el("li", {}, `${t(each.may_erase ? "share.own.name" : "share.name")}: ${t("share.ends", { time: time(each.expires_at) })} `,
      act("share.end", "small", async () => { await endLink(id, each.id); fresh.replaceChildren(); status.textContent = t("share.ended"); await refresh(); }))));
  };
  const make = (own) => async () => {
    fresh.replaceChildren(field(await makeLink(id, own ? { may_erase: true } : {}), status));
    fresh.querySelector("input").select();
    await refresh();
  };
  const title = el("h2", { id: "share-title" }, t("share.title"));
  const dialog = el("dialog", { id: "share", "aria-labelledby": "share-title" }, title, el("p", {}, t("share.text")),
    el("p", { className: "buttons" }, act("share.make", "main", make(false))), el("p", {}, t("share.own.text")),
    el("p", { className: "buttons" }, act("share.own", "", make(true))), fresh, list, status,
    el("p", { className: "buttons" }, act("share.close", "", async () => dialog.close())));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  refresh().catch(() => { status.textContent = t("share.failed"); });
}

/** The address is shown this once: the server keeps no more than a digest of its secret. */
function field({ url }, status) {
  const input = el("input", { type: "text", readOnly: true, value: new URL(url, location.origin).href });
  const copy = el("button", { type: "button" }, t("share.copy"));
  copy.addEventListener("click", async () => {
    input.select();
    const copied = await navigator.clipboard?.writeText(input.value).then(() => true, () => false);
    status.textContent = t(copied ? "share.copied" : "share.select");
  });
  return el("p", { className: "link-made" }, el("label", {}, t("share.address"), " ", input), " ", copy);
}
