/** A fold that is filled when it is opened first. */
import { el } from "../dom.js";

export function lazyFold(title, content, attributes = {}) {
  const details = el("details", attributes, el("summary", {}, title));
  details.addEventListener("toggle", async () => details.append(...(await content()).filter(Boolean)), { once: true });
  return details;
}
