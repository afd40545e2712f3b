/** A case as far as it has come, and its result: the photos, how soon and why, then what it may be. */
import { $, el, has, icon, list, t, time } from "../dom.js";
import { after } from "./after.js";
import { conditions, isLimit } from "./conditions.js";
import { demo, showBanner } from "./demo.js";
import { lazyFold } from "./fold.js";
import { guidance } from "./guidance.js";
import { photos, verdicts } from "./photos.js";
import { sheet } from "./sheet.js";
import { urgency } from "./urgency.js";
import { answersOf, failureText, isDemo, noticeText, questionText } from "./words.js";

const STAGES = ["received", "assessed", "outcome"];
/** Why no answer is given where other photos would change nothing. */
const WHATEVER_PHOTOS = new Set(["UNDER_18", "NO_IMAGE", "NOT_MEASURED_FOR_GROUP"]);
const isUrgent = ({ guidance }) => ["EMERGENCY", "TODAY"].includes(guidance?.urgency);

/** Show how far a case is. */
export function working(known, text) {
  stages(known);
  $("status").textContent = text ?? t(`status.${known.status}`);
  const judged = known.images?.some((image) => image.quality);
  $("answer").replaceChildren(...(judged ? [photos(known), card(t("images.title"), verdicts(known))] : []));
}

function stages(known) {
  const done = { RECEIVED: 1, ASSESSED: 2, FINISHED: 3 }[known.status] ?? 0;
  $("stages").replaceChildren(...STAGES.map((name, index) => {
    const state = index < done ? "done" : index === done ? "now" : "next";
    return el("li", { className: state, "aria-current": state === "now" ? "step" : null }, state === "done" ? icon("USABLE") : "", t(`stage.${name}`),
      state === "done" ? el("span", { className: "hidden" }, ` (${t("stage.done")})`) : "");
  }));
  $("stages").hidden = false;
}

/** Show a finished case. */
export function finished(known, { again, gone }) {
  const { outcome } = known;
  $("stages").hidden = true;
  $("status").textContent = t(isUrgent(known) ? `urgency.${known.guidance.urgency}` : outcome ? `outcome.${isDemo(known) ? "demo" : outcome.kind}` : "failed.title");
  showBanner(isDemo(known));
  const parts = [...(outcome ? answer(known) : failure(known)), sheet(known)];
  $("answer").replaceChildren(...parts.filter(Boolean));
  $("after").replaceChildren(...after(known, { again, gone }));
  $("after").hidden = false;
  performance.mark("shown");
}

function answer(known) {
  const { notices, kind } = known.outcome;
  const [soon, ...model] = lead(known);
  return [
    ...inOrder(known, soon),
    ...model,
    kind === "REJECTION" || !known.images.length ? null : card(t("images.title"), verdicts(known)),
    others(notices.filter((each) => !isLimit(each))),
    answers(known),
    about(known),
  ];
}

/** The photos lead, but for what can't wait. */
const inOrder = (known, soon) => (isUrgent(known) ? [soon, photos(known)] : [photos(known), soon]);

/** How soon, and what a model says that may say something; without an answer the words on it say what silence means. */
function lead(known) {
  const { kind, model } = known.outcome, soon = urgency(known);
  if (kind === "DIFFERENTIAL" && !isDemo(known)) return [soon, conditions(known), guidance(known), doctor(known)];
  const first = known.guidance.urgency ? soon : null;
  if (kind === "REJECTION") return [first, rejected(known)];
  return isDemo(known) ? [first, demo(sample)] : [first, declined(known), model && doctor(known)];
}

const doctor = (known) =>
  lazyFold(t("doctor.title"), async () => (await import("./doctor.js")).doctor(known), { className: "card", id: "doctor" });

/** A made-up case, answered as by a real model. */
async function sample() {
  const known = await fetch("/assets/sample.json").then((response) => response.json());
  return [el("div", { className: "sample" }, el("p", { className: "demo-note" }, t("demo.sample.note")), urgency(known), conditions(known), guidance(known))];
}

const card = (title, ...nodes) => el("section", { className: "card" }, el("h2", {}, title), ...nodes);
const fold = (title, ...nodes) => el("details", { className: "card" }, el("summary", {}, title), ...nodes);
const againLink = (key) => el("p", { className: "no-print" }, el("a", { className: "button main", href: `/${location.search}` }, icon("camera"), t(key)));

function declined(known) {
  const { reason } = known.outcome, why = has(`abstention.${reason}`) ? el("p", {}, el("strong", {}, t(`abstention.${reason}`))) : null;
  return el("section", { className: "card declined" }, el("h2", {}, icon("MARGINAL"), t("outcome.ABSTENTION")), why, el("p", {}, t("abstention.text")),
    isUrgent(known) || WHATEVER_PHOTOS.has(reason) ? null : againLink("abstention.again"));
}

const rejected = (known) => el("section", { className: "card declined" }, el("h2", {}, icon("UNUSABLE"), t("outcome.REJECTION")),
  el("p", {}, t(has(`rejection.${known.outcome.reason}`) ? `rejection.${known.outcome.reason}` : "rejection.text")), verdicts(known), againLink("rejection.again"));

const failure = (known) => [
  urgency(known),
  el("section", { className: "card problem" }, el("h2", {}, t("failed.title")), el("p", {}, t("failed.text")),
    el("p", { className: "quiet" }, `${failureText(known.failure?.reason)} (${known.failure?.reason ?? known.status})`)),
  photos(known), answers(known), about(known),
];

const others = (notices) => (notices.length ? el("section", { className: "card notices" }, el("h2", {}, t("notices.title")), list(notices.map(noticeText))) : null);

function answers({ self_report: report }) {
  const rows = answersOf(report);
  if (!rows.length) return fold(t("told.title"), el("p", {}, t("told.nothing")));
  return fold(t("told.title"), el("dl", {}, ...rows.flatMap(([field, text]) => [el("dt", {}, questionText(field)), el("dd", {}, text)])));
}

const about = (known) => card(t("about.title"), el("dl", {}, el("dt", {}, t("about.case")), el("dd", {}, known.id), el("dt", {}, t("about.time")), el("dd", {}, time(known.received_at))),
  el("p", {}, t("notice")), known.access === "READ" ? null : el("p", { className: "quiet" }, t("result.private")));

/** Say what became of a case that can't be shown; the heading says that it can't. */
export function message(text, ...nodes) {
  $("stages").hidden = true;
  $("after").hidden = true;
  $("status").textContent = "";
  $("answer").replaceChildren(el("section", { className: "card" }, el("p", {}, text), ...nodes, againLink("again")));
}
