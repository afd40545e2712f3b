/** What it may be, in words; how far that can be trusted; and what the model does not know. */
import { el, icon, list, t } from "../dom.js";
import { chance, conditionName, knowledgeText, noticeText } from "./words.js";

const SHOWN_FIRST = 3;
const CANCER = "CANNOT_RULE_OUT_SKIN_CANCER";
/** Notices on what the model knows, which stand before its list. */
const LIMITS = new Set(["NOT_A_GROWTH", "TESTED_ON_LIGHT_SKIN", "NOT_MEASURED_FOR_GROUP", CANCER]);

export const isLimit = ({ notice }) => LIMITS.has(notice);

export function conditions(known) {
  const { outcome } = known, { differential, grouped_answer: grouped } = outcome;
  const rows = grouped ? grouped.entries.map(groupRow) : leading(differential).map(conditionRow);
  return el("section", { className: "card" }, el("h2", {}, t(grouped ? "grouped.title" : "differential.title")),
    el("p", { className: "quiet" }, t("differential.lead"), " ", rightFirst(outcome)),
    el("ol", { className: "ranking" }, ...rows),
    limits(outcome), trial(outcome));
}

/** The conditions that can't be ruled out, and the most likely ones in any case. */
const leading = (ranked) => ranked.slice(0, Math.max(SHOWN_FIRST, ranked.filter((each) => each.in_prediction_set).length));

function conditionRow({ name, probability, in_prediction_set: inside }) {
  return row(conditionName(name), probability, inside ? el("span", { className: "badge" }, t("differential.set")) : "", inside);
}

function groupRow({ level, name, probability, conditions: members }) {
  return row(conditionName(name), probability, level === "CONDITION" ? "" : t("grouped.group", { n: members.length }), true);
}

function row(name, probability, note, inside) {
  const bar = el("i", { className: "probability" });
  bar.style.setProperty("--p", probability);
  return el("li", { className: inside ? "in" : "" }, el("span", { className: "name" }, name), el("span", { className: "chance" }, chance(probability)),
    bar, note ? el("span", { className: "word" }, note) : "");
}

function rightFirst({ measured, knowledge }) {
  return measured && !knowledge?.painted ? t("differential.right", { n: Math.round(10 * measured.top_1) }) : "";
}

/** What it knows and does not know, in the manifest's own words, but for what a notice on skin cancer has said. */
function limits({ differential, knowledge, notices }) {
  const isSaid = notices.some(({ notice }) => notice === CANCER);
  const unknown = (knowledge?.unknown ?? []).filter((text) => !(isSaid && text.includes("skin cancer")));
  const lines = [isSaid ? null : t("knows.only", { n: differential.length }), ...notices.filter(isLimit).map(noticeText), ...unknown.map((text) => [t("knows.not"), " ", knowledgeText(text)])];
  return el("div", { className: "limits" }, el("h3", {}, icon("MARGINAL"), t("knows.title")), list(lines.filter(Boolean)));
}

/** On whom it was tested, and how often it was right: counts, never a bare percentage. */
export function trial({ measured, knowledge }) {
  return el("p", { className: "trial" }, el("strong", {}, trialText(measured, knowledge)));
}

export function trialText(measured, knowledge) {
  if (knowledge?.painted) return t("trial.never");
  if (!measured) return t("trial.unknown");
  const { n, people, top_1: share, group, scale } = measured;
  const whom = people === n ? t("trial.people", { n }) : people ? t("trial.cases_of_people", { n, people }) : t("trial.cases", { n });
  const right = Math.round(share * n);
  if (group === "ALL") return t("trial.all", { whom, right });
  return `${t("trial.group", { whom, right })}${scale === "estimated" ? ` ${t("trial.estimated")}` : ""}`;
}
