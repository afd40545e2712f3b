/** A case as far as it has come, and its result. */
import { erase, feedback, heatmap } from "./api.js";
import { $, drawing, el, has, icon, language, list, percent, said, t, time } from "./dom.js";

const URGENCIES = ["EMERGENCY", "TODAY", "SOON", "ROUTINE", "WATCH"];
const STAGES = ["received", "assessed", "outcome"];
/** Words for likelihood as in the IPCC's guidance note on the treatment of uncertainties (2010). */
const LIKELIHOODS = [[0.9, "very_likely"], [0.66, "likely"], [0.33, "even"], [0.1, "unlikely"], [0, "very_unlikely"]];
const SHOWN_FIRST = 3;
/** Notices on what the model knows, which stand before its list. */
const LIMITS = new Set(["TESTED_ON_LIGHT_SKIN", "NOT_MEASURED_FOR_GROUP", "CANNOT_RULE_OUT_SKIN_CANCER"]);

let guidance = null;
/** Conditions in plain words, in the page's language: the result brings them in English. */
export async function translate() {
  if (language === "en" || guidance) return;
  guidance = await fetch(`/assets/guidance.${language}.json`).then((response) => (response.ok ? response.json() : null)).catch(() => null);
}
const named = (name) => guidance?.names[name] ?? name;
const entry = (text) => ({ ...text, ...guidance?.entries[text.id] });

/** Show how far a case is. */
export function working(known, text) {
  stages(known);
  $("status").textContent = text ?? t(`status.${known.status}`);
  $("answer").replaceChildren(...(known.images?.some((image) => image.quality) ? [images(known)] : []));
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

/** Show a finished case; `memory` holds the images and answers, as long as this page has them. */
export function finished(known, memory, { again, gone }) {
  const { outcome } = known;
  $("stages").hidden = true;
  $("status").textContent = outcome ? t(`outcome.${outcome.kind}`) : t("failed.title");
  const parts = outcome ? result(known, memory) : [el("div", { className: "problem card" }, el("h2", {}, t("failed.title")), el("p", {}, t("failed.text")), el("p", { className: "quiet" }, `${why(known.failure?.reason)} (${known.failure?.reason ?? known.status})`)), about(known)];
  $("answer").replaceChildren(...parts.filter(Boolean));
  $("after").replaceChildren(...after(known, { again, gone }));
  $("after").hidden = false;
  performance.mark("shown");
}

const why = (reason) => t(has(`failure.${reason}`) ? `failure.${reason}` : "failure.other");

function result(known, memory) {
  const { outcome } = known, { kind } = outcome;
  return [
    flags(outcome.red_flags),
    outcome.model?.purpose === "demo" ? el("p", { className: "demo" }, icon("MARGINAL"), t("demo")) : null,
    kind === "ABSTENTION" ? declined(outcome) : null,
    kind === "REJECTION" ? rejected(known) : null,
    urgency(known),
    limits(outcome.notices),
    kind === "DIFFERENTIAL" ? grouped(outcome) ?? differential(outcome) : null,
    texts(known.guidance),
    heatmaps(known, memory),
    counted(outcome),
    measured(outcome.measured),
    kind === "ABSTENTION" ? fold(t("abstention.ranking"), ranking(outcome.differential, false)) : null,
    kind === "REJECTION" ? null : images(known),
    notices(outcome.notices.filter(({ notice }) => !LIMITS.has(notice))),
    told(memory),
    about(known),
  ];
}

const card = (title, ...nodes) => el("section", { className: "card" }, el("h2", {}, title), ...nodes);
const fold = (title, ...nodes) => el("details", { className: "card" }, el("summary", {}, title), ...nodes);

const flags = (raised) => raised.length
  ? el("section", { className: "card flags" }, el("h2", {}, icon("flag"), t("flags.title")), list(raised.map(({ flag, text }) => said(`flag.${flag}`, text))))
  : null;

const declined = ({ reason }) => el("section", { className: "card declined" }, el("h2", {}, icon("MARGINAL"), t("outcome.ABSTENTION")),
  el("p", {}, has(`abstention.${reason}`) ? el("strong", {}, t(`abstention.${reason}`)) : "", " ", t("abstention.text")), againLink("abstention.again"));

const rejected = (known) => el("section", { className: "card declined" }, el("h2", {}, icon("UNUSABLE"), t("outcome.REJECTION")),
  el("p", {}, t("rejection.text")), verdicts(known), againLink("rejection.again"));

const againLink = (key) => el("p", { className: "no-print" }, el("a", { className: "button main", href: `/${location.search}` }, icon("camera"), t(key)));

function urgency({ guidance: told, outcome }) {
  if (!told) return null;
  const level = URGENCIES.indexOf(told.urgency);
  const dots = URGENCIES.map((_, index) => el("i", { className: index < 5 - level ? "on" : "" }));
  return el("section", { className: `card urgency ${told.urgency}` }, el("h2", {}, t("urgency.title")),
    el("p", { className: "when" }, el("span", { className: "dots", "aria-hidden": "true" }, ...dots), el("strong", {}, t(`urgency.${told.urgency}`)), el("span", { className: "hidden" }, ` (${t("urgency.level", { n: 5 - level })})`)),
    el("p", {}, step(told, outcome)));
}

/** The most urgent step is that of a red flag, which stands above, or of a condition: say it in the page's language. */
function step({ next_step: text, conditions, general }, { red_flags: raised }) {
  if (raised.some((each) => each.text === text)) return t("urgency.flag");
  const source = [...conditions.map((each) => each.guidance), general].find((each) => each.next_step === text);
  return source ? entry(source).next_step : text;
}

function differential({ differential: conditions, coverage }) {
  const inside = Math.max(SHOWN_FIRST, conditions.filter((each) => each.in_prediction_set).length);
  const rest = conditions.slice(inside);
  return card(t("differential.title"), el("p", { className: "quiet" }, t("differential.lead")), ranking(conditions.slice(0, inside), true),
    rest.length ? el("details", {}, el("summary", {}, t("differential.more", { n: rest.length })), ranking(rest, true)) : null,
    el("p", { className: "quiet" }, coverage ? t("differential.coverage", { percent: percent(coverage) }) : t("differential.no_coverage")));
}

/** Conditions and groups that are sure enough, in plain words; the single conditions stand behind them. */
function grouped({ grouped_answer: answer, differential: conditions }) {
  if (!answer) return null;
  const groups = el("ol", { className: "ranking" }, ...answer.entries.map(({ level, name, probability, conditions: held }) => {
    const bar = el("i", { className: "bar" });
    bar.style.setProperty("--p", probability);
    return el("li", { className: "in" }, el("span", { className: "name" }, named(name)), el("span", { className: "number" }, percent(probability)), bar,
      el("span", { className: "word" }, level === "CONDITION" ? "" : t("grouped.group", { n: held.length })));
  }));
  return card(t("grouped.title"), el("p", { className: "quiet" }, t("grouped.lead")), groups,
    el("details", {}, el("summary", {}, t("grouped.ranking")), ranking(conditions, false)),
    el("p", { className: "quiet" }, t("grouped.coverage", { percent: percent(answer.coverage) })));
}

function ranking(conditions, relied) {
  return el("ol", { className: "ranking" }, ...conditions.map(({ name, probability, in_prediction_set: inside }) => {
    const bar = el("i", { className: "bar" }), word = LIKELIHOODS.find(([least]) => probability >= least)[1];
    bar.style.setProperty("--p", probability);
    return el("li", { className: inside && relied ? "in" : "" },
      el("span", { className: "name" }, named(name)), el("span", { className: "number" }, percent(probability)), bar,
      el("span", { className: "word" }, relied ? t(`likelihood.${word}`) : "", inside && relied ? el("span", { className: "badge" }, icon("USABLE"), t("differential.set")) : ""));
  }));
}

function texts(told) {
  if (!told) return null;
  const items = told.conditions.length ? told.conditions.map((each) => [named(each.name), each.guidance, each.is_general]) : [[t("guidance.general"), told.general, false]];
  const care = guidance?.skin_care ?? told.skin_care;
  return card(t("guidance.title"),
    el("p", { className: "badge warn" }, icon("MARGINAL"), told.clinical_review === "none" ? t("guidance.unreviewed") : t("guidance.reviewed", { by: told.clinical_review })),
    ...items.map(([name, english, general], index) => {
      const text = entry(english);
      return el("details", { open: index === 0 }, el("summary", {}, name), general ? el("p", { className: "quiet" }, t("guidance.is_general")) : "", el("p", {}, text.text),
        el("dl", {}, ...[["lighter", text.on_lighter_skin], ["darker", text.on_darker_skin], ["when", `${t(`urgency.${text.urgency}`)}. ${text.next_step}`], ["sources", text.sources.join("; ")]].flatMap(([key, value]) => [el("dt", {}, t(`guidance.${key}`)), el("dd", {}, value)])));
    }),
    el("details", {}, el("summary", {}, t("guidance.care")), list(care)));
}

/** What spoke for a condition, laid over the images: drawn when it is asked for. */
function heatmaps(known, memory) {
  const maps = known.outcome.heatmaps, conditions = [...new Set(maps.map((each) => each.condition))];
  if (!maps.length) return null;
  const place = el("div", { className: "overs", "aria-live": "polite" });
  const buttons = conditions.map((condition) => {
    const name = named(known.outcome.differential.find((each) => each.condition === condition)?.name ?? condition);
    const button = el("button", { type: "button", "aria-pressed": "false" }, t("heatmap.show", { name }));
    button.addEventListener("click", async () => {
      const shown = button.getAttribute("aria-pressed") === "true";
      for (const each of buttons) each.setAttribute("aria-pressed", "false");
      if (shown) return place.replaceChildren();
      button.setAttribute("aria-pressed", "true");
      const drawn = await Promise.all(maps.filter((each) => each.condition === condition).map(({ n }) => overlaid(known, memory, { n, condition, name }))).catch(() => null);
      place.replaceChildren(...(drawn ?? [el("p", { className: "fault" }, t("heatmap.failed"))]));
    });
    return button;
  });
  return card(t("heatmap.title"), el("p", { className: "quiet" }, t("heatmap.lead")), memory ? "" : el("p", { className: "quiet" }, t("heatmap.alone")),
    el("p", { className: "buttons no-print" }, ...buttons), place);
}

async function overlaid(known, memory, { n, condition, name }) {
  const map = await heatmap(known.id, n, condition), image = memory?.images[n - 1], size = known.images[n - 1];
  const under = image && !image.opaque ? el("img", { src: URL.createObjectURL(image.blob), alt: "" }) : el("span", { className: "nothing" });
  if (!image || image.opaque) under.style.setProperty("aspect-ratio", `${size.width} / ${size.height}`);
  return el("figure", {}, el("span", { className: "over" }, under, el("img", { src: URL.createObjectURL(map), alt: t("heatmap.alt", { n, name }) })), el("figcaption", {}, t("image.n", { n })));
}

const answer = (field, value) => said(`answer.${field}.${value}`, value);

function counted({ answer_shares: shares, differential: conditions }) {
  const first = conditions[0];
  if (!first || !shares.length || !(first.condition in shares[0].shares)) return null;
  const ranked = shares.map(({ field, values, shares: of }) => ({ field, values, share: of[first.condition] })).sort((a, b) => Math.abs(b.share) - Math.abs(a.share));
  const most = Math.max(...ranked.map((each) => Math.abs(each.share)), 1);
  return card(t("counted.title"), el("p", { className: "quiet" }, t("counted.lead", { name: named(first.name) })),
    el("ul", { className: "counted" }, ...ranked.map(({ field, values, share }) => {
      const bar = el("i", { className: share < 0 ? "against" : "for" });
      bar.style.setProperty("--p", Math.abs(share) / most);
      const word = Math.abs(share) < 0.05 ? t("counted.nothing") : t(share < 0 ? "counted.against" : "counted.for");
      return el("li", {}, el("span", {}, said(`question.${field}`, field), " ", el("strong", {}, values.map((value) => answer(field, value)).join(", "))),
        el("span", { className: "word" }, `${word} (${share < 0 ? "−" : "+"}${Math.abs(share).toFixed(2)})`), bar);
    })));
}

function measured(known) {
  if (!known) return null;
  const value = (name) => {
    const share = percent(known[name]), interval = known[`${name}_interval`];
    return interval ? t("measured.interval", { value: share, low: percent(interval[0]), high: percent(interval[1]) }) : t("measured.no_interval", { value: share });
  };
  const rows = [["top_1", value("top_1")], ["top_3", value("top_3")]];
  if (known.set_coverage !== null) rows.push(["set", value("set_coverage")]);
  return card(t("measured.title"),
    el("p", {}, known.group === "ALL" ? t("measured.ALL", { n: known.n }) : t("measured.group", { n: known.n, group: known.group.replace(/^FST_/, "").replaceAll("_", "-") }), ":"),
    el("dl", {}, ...rows.flatMap(([name, text]) => [el("dt", {}, t(`measured.${name}`)), el("dd", {}, text)])),
    el("p", { className: "quiet" }, t("measured.floor", { top_1: percent(known.floor_top_1), top_3: percent(known.floor_top_3) }), " ", t("measured.data", { data: known.data })));
}

const verdicts = (known) => el("ul", { className: "verdicts" }, ...known.images.filter((image) => image.quality).map(({ n, shot_type: shot, quality }) => {
  const name = shot ? `${t("image.n", { n })}, ${t(`slot.${shot}`).toLowerCase()}` : t("image.n", { n });
  const why = quality.reasons.map((reason, index) => el("li", {}, drawing(`now-${reason}`, "tiny"), el("span", {}, el("strong", {}, said(`reason.${reason}`, reason)), ". ", said(`advice.${reason}`, quality.advice[index] ?? ""))));
  return el("li", { className: quality.verdict }, el("p", { className: `mark ${quality.verdict}` }, icon(quality.verdict), `${name}: ${t(`verdict.${quality.verdict}`)}`), why.length ? el("ul", {}, ...why) : "");
}));
const images = (known) => card(t("images.title"), verdicts(known));

const limits = (given) => {
  const here = given.filter(({ notice }) => LIMITS.has(notice));
  return here.length ? card(t("limits.title"), list(here.map(({ notice, text }) => said(`notice.${notice}`, text)))) : null;
};
const notices = (given) => given.length ? card(t("notices.title"), list(given.map(({ notice, text }) => said(`notice.${notice}`, text)))) : null;

function told(memory) {
  if (!memory) return null;
  const rows = Object.entries(memory.answers);
  if (!rows.length) return fold(t("told.title"), el("p", {}, t("told.nothing")));
  return fold(t("told.title"), el("dl", {}, ...rows.flatMap(([field, values]) => [el("dt", {}, t(`question.${field}`)), el("dd", {}, [values].flat().map((value) => answer(field, value)).join(", "))])));
}

function about(known) {
  const model = known.outcome?.model, rows = [["case", known.id], ["time", time(known.received_at)]];
  if (model) rows.push(["model", `${model.name} ${model.version}`], ["purpose", said(`purpose.${model.purpose}`, model.purpose)]);
  return card(t("about.title"), el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, t(`about.${name}`)), el("dd", {}, value)])),
    el("p", {}, t("notice")), el("p", { className: "quiet no-print" }, t("result.private")));
}

function after(known, { again, gone }) {
  const print = el("button", { type: "button" }, t("print")), erasing = el("button", { type: "button", className: "danger" }, icon("remove"), t("erase.button"));
  print.addEventListener("click", () => window.print());
  erasing.addEventListener("click", () => ask(known.id, gone));
  const anew = el("a", { className: "button", href: `/${location.search}` }, t("again"));
  anew.addEventListener("click", again);
  const given = known.outcome ? [opinion(known)] : [];
  return [...given, el("p", { className: "buttons" }, print, anew, erasing)];
}

function ask(id, gone) {
  const dialog = $("erase"), status = $("erase-status");
  status.textContent = "";
  $("erase-no").onclick = () => dialog.close();
  $("erase-yes").onclick = async () => {
    status.textContent = t("erase.working");
    const failed = await erase(id).then(() => null, (error) => error);
    if (failed && failed.status !== 404) { status.textContent = t("erase.failed"); return; }
    dialog.close();
    gone();
  };
  dialog.showModal();
}

function opinion(known) {
  const status = el("p", { role: "status" });
  const give = async (given) => { status.textContent = await feedback(known.id, given).then(() => t("feedback.thanks"), () => t("feedback.failed")); };
  const say = (helpful) => {
    const button = el("button", { type: "button" }, t(helpful ? "feedback.yes" : "feedback.no"));
    button.addEventListener("click", () => give({ helpful }));
    return button;
  };
  const choose = (label, options) => {
    const select = el("select", {}, el("option", { value: "" }, "–"), ...options.map(([value, text]) => el("option", { value }, text)));
    return [select, el("label", {}, t(label), select)];
  };
  const nodes = [el("p", { className: "buttons" }, say(true), say(false))];
  if (known.outcome.differential.length) {
    const [condition, what] = choose("feedback.condition", [...known.outcome.differential.map((each) => [each.condition, named(each.name)]), ["OTHER", t("feedback.other")]]);
    const [by, who] = choose("feedback.by", ["SELF", "DOCTOR", "DERMATOLOGIST", "LABORATORY"].map((value) => [value, t(`feedback.by.${value}`)]));
    const send = el("button", { type: "button" }, t("feedback.send"));
    send.addEventListener("click", () => (condition.value && by.value ? give({ condition: condition.value, confirmed_by: by.value }) : (condition.value ? by : condition).focus()));
    nodes.push(el("details", {}, el("summary", {}, t("feedback.became")), what, who, el("p", {}, send)));
  }
  return card(t("feedback.title"), ...nodes, status);
}

/** Say what became of a case that can't be shown; the heading says that it can't. */
export function message(text, ...nodes) {
  $("stages").hidden = true;
  $("after").hidden = true;
  $("status").textContent = "";
  $("answer").replaceChildren(el("section", { className: "card" }, el("p", {}, text), ...nodes, againLink("again")));
}

addEventListener("beforeprint", () => { for (const each of $("answer").querySelectorAll("details")) each.open = true; });
