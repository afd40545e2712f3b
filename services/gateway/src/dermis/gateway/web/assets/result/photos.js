/** The photos that a case is about, and what was seen of their quality. */
import { imageUrl } from "../api.js";
import { drawing, el, icon, said, t, time } from "../dom.js";
import { answerText } from "./words.js";

const photoName = ({ n, shot_type: shot }) =>
  shot ? `${t("image.n", { n })}, ${t(`slot.${shot}`).toLowerCase()}` : t("image.n", { n });

/** A photo as the server prepared it; where it has none, a note stands in its place. */
export function photo(known, image, attributes = {}) {
  const { width, height } = image;
  const img = el("img", { src: imageUrl(known.id, image.n), alt: photoName(image), width, height, ...attributes });
  img.addEventListener("error", () => img.replaceWith(el("span", { className: "nothing" }, t("image.missing", image))));
  return img;
}

/** The photos side by side, with day and place below. */
export function photos(known) {
  if (!known.images.some(({ quality }) => quality)) return null;
  return el("figure", { className: "photos" },
    el("div", {}, ...known.images.map((image) => photo(known, image))),
    el("figcaption", {}, whenAndWhere(known)));
}

export function whenAndWhere({ received_at: at, self_report: report }) {
  const places = (report?.body_parts ?? []).map((part) => answerText("body_parts", part));
  return [time(at), ...places].join(", ");
}

/** The verdict on each photo, with what would make it better. */
export function verdicts(known) {
  const judged = known.images.filter((image) => image.quality);
  return el("ul", { className: "verdicts" }, ...judged.map((image) => el("li", { className: image.quality.verdict },
    el("p", { className: `mark ${image.quality.verdict}` }, icon(image.quality.verdict),
      `${photoName(image)}: ${t(`verdict.${image.quality.verdict}`)}`),
    advice(image.quality))));
}

function advice({ reasons, advice: english }) {
  if (!reasons.length) return null;
  return el("ul", {}, ...reasons.map((reason, index) => el("li", {}, drawing(`now-${reason}`, "tiny"),
    el("span", {}, el("strong", {}, said(`reason.${reason}`, reason)), ". ",
      said(`advice.${reason}`, english[index] ?? "")))));
}
