/** How soon to get it checked, and why: nothing soothes here without a reason. */
import { $, el, icon, list, t } from "../dom.js";
import { chance, conditionName, flagText, guidanceEntry } from "./words.js";

/** The card that leads every result, a failure's too. */
export function urgency(known) {
  const { guidance, outcome } = known;
  if (!guidance) return null;
  const { urgency: level, because } = guidance;
  if (!level) return el("section", { className: "card urgency" }, el("h2", {}, t("urgency.title")), el("p", {}, t("urgency.none")));
  const leading = new Set(because.map(({ flag }) => flag));
  const others = (outcome?.red_flags ?? []).filter(({ flag }) => !leading.has(flag));
  return el("section", { className: `card urgency ${level}` }, el("h2", {}, t("urgency.title")),
    el("p", { className: "when" }, icon(level === "EMERGENCY" || level === "TODAY" ? "flag" : "MARGINAL"), el("strong", {}, t(`urgency.${level}`))),
    el("p", { className: "why-soon" }, el("strong", {}, t("urgency.why"))), list(because.map((reason) => reasonText(known, reason))),
    nextStep(guidance), level === "EMERGENCY" ? callLink("call.now", "button main call") : null, others.length ? list(others.map(flagText), "others") : null);
}

export function reasonText({ outcome }, reason) {
  if (reason.condition) {
    const ranked = outcome.differential.find(({ condition }) => condition === reason.condition);
    return t("because.model", { name: conditionName(ranked.name), chance: chance(ranked.probability) });
  }
  if (reason.source === "ANSWERS") return t("because.growth");
  if (reason.source === "MODEL") return t("because.growths_alone");
  return flagText({ flag: reason.flag, text: reason.text });
}

/** What to do, where the reasons don't say it: a red flag's own words do. */
function nextStep({ because, next_step: english, conditions }) {
  const [first] = because;
  if (first.source === "RED_FLAG") return null;
  if (first.flag) return el("p", {}, flagText({ flag: first.flag, text: english }));
  const source = conditions.find(({ guidance }) => guidance.next_step === english);
  return el("p", {}, source ? guidanceEntry(source.guidance).next_step : english);
}

/** A link that dials the emergency number. */
export function callLink(key, className) {
  const number = $("result").dataset.emergencyNumber;
  return el("p", {}, el("a", { className, href: `tel:${number.replaceAll(" ", "")}` }, icon("phone"), t(key, { number })));
}
