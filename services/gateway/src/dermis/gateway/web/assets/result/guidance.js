/** Conditions in plain words. */
import { el, icon, list, t } from "../dom.js";
import { careEntry, conditionName, guidanceEntry, skinCare, sourceLink } from "./words.js";

/** Texts on the conditions that can't be ruled out; nothing where the model named none. */
export function guidance({ guidance: texts }) {
  if (!texts?.conditions.length) return null;
  const { conditions, self_care: cares, skin_care: care, clinical_review: review } = texts;
  return el("section", { className: "card" }, el("h2", {}, t("guidance.title")),
    el("p", { className: "badge warn" }, icon("MARGINAL"), review === "none" ? t("guidance.unreviewed") : t("guidance.reviewed", { by: review })),
    ...conditions.map((each, index) => text(each, index === 0)),
    ...cares.map(selfCare),
    care.length ? el("details", {}, el("summary", {}, t("guidance.care")), list(skinCare(care))) : null);
}

/** What people can do themselves: there is none beside a growth, a warning sign, an abstention or a demo. */
function selfCare(english) {
  const care = careEntry(english);
  const parts = ["do", "avoid", "routine"].flatMap((part) => [el("h3", {}, t(`care.${part}`)), list(care[part])]);
  return el("details", {}, el("summary", {}, t("care.title", { name: care.name })), ...parts, el("h3", {}, t("guidance.sources")), sources(care));
}

const sources = ({ links }) => list(links.map(sourceLink), "sources");

function text({ name, guidance: english, is_general: general }, open) {
  const entry = guidanceEntry(english);
  const rows = [
    ["lighter", entry.on_lighter_skin],
    ["darker", entry.on_darker_skin],
    ["when", `${t(`urgency.${entry.urgency}`)}. ${entry.next_step}`],
    ["sources", sources(entry)],
  ];
  return el("details", { open }, el("summary", {}, conditionName(name)), general ? el("p", { className: "quiet" }, t("guidance.is_general")) : "", el("p", {}, entry.text),
    el("dl", {}, ...rows.flatMap(([key, value]) => [el("dt", {}, t(`guidance.${key}`)), el("dd", {}, value)])));
}
