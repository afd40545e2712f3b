/** Words that a result brings in English, in the page's language. */
import { answerLabel, el, has, language, said, t } from "../dom.js";

let catalogue = null;

/** Fetch the texts on conditions in the page's language; a result brings the English ones along. */
export async function translate() {
  if (language === "en" || catalogue) return;
  const response = await fetch(`/assets/guidance.${language}.json`).catch(() => null);
  if (response?.ok) catalogue = await response.json();
}

export const conditionName = (name) => catalogue?.names[name] ?? said(`name.${name}`, name);
export const guidanceEntry = (entry) => ({ ...entry, ...catalogue?.entries[entry.id] });
export const careEntry = (care) => ({ ...care, ...catalogue?.self_care[care.id] });
/** A link to a source, in the page's language where the source speaks it. */
export const sourceLink = ({ name, url }) =>
  el("a", { href: catalogue?.addresses[name] ?? url, hreflang: catalogue?.addresses[name] ? language : "en", rel: "noreferrer" }, name);
export const skinCare = (english) => catalogue?.skin_care ?? english;
/** A manifest's own words on its model; where the catalogue has none of them, marked as English. */
export const knowledgeText = (english) => catalogue?.knowledge[english] ?? el("span", { lang: "en" }, english);
export const answerText = (field, value) =>
  typeof value === "boolean" ? t(value ? "answer.yes" : "answer.no") : answerLabel(field, value);
export const questionText = (field) => said(`question.${field}`, field);
export const failureText = (reason) => t(has(`refusal.${reason}`) ? `refusal.${reason}` : "failure.other");
export const flagText = ({ flag, text }) => said(`flag.${flag}`, text);
export const noticeText = ({ notice, text }) => said(`notice.${notice}`, text);

/** The answers that were given, as [field, text] in the order of the form; an adult's age says that they are not under 18. */
export function answersOf(report) {
  const isTold = (field, value) => value !== null && !(field === "under_18" && value === false && report.age_group);
  const asked = Object.entries(report ?? {}).filter(([field, value]) => isTold(field, value) && has(`question.${field}`));
  return asked.map(([field, value]) => [field, [value].flat().map((each) => answerText(field, each)).join(", ")]);
}

/** A probability as people say it: about 6 in 10. */
export function chance(probability) {
  const tenths = Math.min(9, Math.round(10 * probability));
  return tenths ? t("chance.about", { n: tenths }) : t("chance.less");
}

/** A finding of a demo model means nothing for a person. */
export const isDemo = (known) => known.outcome?.model?.purpose === "demo";
