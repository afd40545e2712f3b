/** The one page that is printed for a doctor's visit. */
import { answerLabel, el, icon, list, t, time } from "../dom.js";
import { trialText } from "./conditions.js";
import { photo } from "./photos.js";
import { reasonText } from "./urgency.js";
import { answersOf, chance, conditionName, flagText, isDemo } from "./words.js";

const SYSTEMS = { "http://id.who.int/icd/release/11/mms": "ICD-11", "http://hl7.org/fhir/sid/icd-10": "ICD-10" };

export function sheet(known) {
  const { outcome, guidance } = known;
  return el("section", { className: "sheet" }, el("h2", {}, t("sheet.title")),
    el("p", {}, `${time(known.received_at)} · ${known.id}`),
    el("div", { className: "sheet-photos" }, ...known.images.map((image) => photo(known, image, { alt: "" }))),
    answers(known), flags(outcome?.red_flags ?? []), soon(known, guidance), inOneLine(outcome, known), el("p", { className: "quiet" }, t("notice")));
}

function answers({ self_report: report }) {
  const began = report?.condition_duration;
  const rows = answersOf(report).filter(([field]) => field !== "condition_duration");
  const text = began ? answerLabel("condition_duration", began) : t("sheet.not_answered");
  return el("dl", {}, el("dt", {}, t("sheet.began")), el("dd", {}, el("strong", {}, text)),
    ...rows.flatMap(([field, value]) => [el("dt", {}, t(`question.${field}`)), el("dd", {}, value)]));
}

const flags = (raised) => (raised.length ? el("div", { className: "sheet-flags" }, el("h3", {}, icon("flag"), t("flags.title")), list(raised.map(flagText))) : null);

function soon(known, guidance) {
  if (!guidance) return null;
  const { urgency, because } = guidance;
  if (!urgency) return el("p", {}, t("urgency.none"));
  const reasons = because.filter(({ source }) => source !== "RED_FLAG").map((reason) => reasonText(known, reason)); // flags stand above
  return el("p", {}, `${t("urgency.title")}: `, el("strong", {}, t(`urgency.${urgency}`)), reasons.length ? `. ${reasons.join(" ")}` : "");
}

/** What it may be, in one line, with the codes that a clinic files by; nothing where no model answered, or a demo. */
function inOneLine(outcome, known) {
  if (outcome?.kind !== "DIFFERENTIAL" || isDemo(known)) return null;
  const rows = outcome.grouped_answer?.entries ?? outcome.differential.filter((each) => each.in_prediction_set);
  const codes = new Map(outcome.differential.map((each) => [each.condition, each.codes ?? []]));
  const codeText = ({ condition, level, id }) => (codes.get(condition ?? (level === "CONDITION" ? id : "")) ?? []).map(({ system, code }) => `, ${SYSTEMS[system] ?? ""} ${code}`).join("");
  const names = rows.map((row) => `${conditionName(row.name)} (${chance(row.probability)}${codeText(row)})`).join("; ");
  const { model, measured, knowledge } = outcome;
  return el("p", {}, `${t("sheet.list", { model: `${model.name} ${model.version}` })} ${names}. ${trialText(measured, knowledge)}`);
}
