/** Details for a doctor: numbers, intervals, heatmaps and what the answers counted; fetched when they are opened. */
import { heatmap } from "../api.js";
import { el, list, percent, said, t } from "../dom.js";
import { photo } from "./photos.js";
import { answerText, conditionName, knowledgeText, questionText } from "./words.js";

const HARDLY = 0.05;

export function doctor(known) {
  const { outcome } = known;
  return [numbers(outcome), heatmaps(known), counted(outcome), measured(outcome), knowledge(outcome), model(outcome)];
}

const part = (title, ...nodes) => el("section", {}, el("h3", {}, title), ...nodes);
const quiet = (text) => el("p", { className: "quiet" }, text);
const pairs = (rows) => el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

function numbers({ kind, differential, coverage, grouped_answer: grouped }) {
  if (!differential.length) return null;
  const abstained = kind === "ABSTENTION";
  const claim = coverage ? t("doctor.coverage", { percent: percent(coverage) }) : t("doctor.no_coverage");
  const rows = differential.map(({ name, probability, in_prediction_set: inside }) =>
    el("tr", {}, el("th", { scope: "row" }, conditionName(name)), el("td", { className: "number" }, percent(probability)), el("td", {}, inside && !abstained ? t("doctor.in_set") : "")));
  return part(t(abstained ? "abstention.ranking" : "doctor.numbers"), el("table", {}, el("tbody", {}, ...rows)),
    abstained ? null : quiet(claim), grouped && !abstained ? quiet(t("grouped.coverage", { percent: percent(grouped.coverage) })) : null);
}

/** What spoke for a condition, laid over the photos: drawn when it is asked for. */
function heatmaps(known) {
  const maps = known.outcome.heatmaps, shown = [...new Set(maps.map((each) => each.condition))];
  if (!maps.length) return null;
  const place = el("div", { className: "overs", "aria-live": "polite" });
  const buttons = shown.map((condition) => {
    const name = conditionName(known.outcome.differential.find((each) => each.condition === condition)?.name ?? condition);
    const button = el("button", { type: "button", "aria-pressed": "false" }, t("heatmap.show", { name }));
    button.addEventListener("click", () => toggle(known, { button, buttons, place, condition, name }));
    return button;
  });
  return part(t("heatmap.title"), quiet(t("heatmap.lead")), el("p", { className: "buttons" }, ...buttons), place);
}

async function toggle(known, { button, buttons, place, condition, name }) {
  const pressed = button.getAttribute("aria-pressed") === "true";
  for (const each of buttons) each.setAttribute("aria-pressed", "false");
  if (pressed) return place.replaceChildren();
  button.setAttribute("aria-pressed", "true");
  const maps = known.outcome.heatmaps.filter((each) => each.condition === condition);
  const figures = await Promise.all(maps.map(({ n }) => overlay(known, { n, condition, name }))).catch(() => null);
  place.replaceChildren(...(figures ?? [el("p", { className: "fault" }, t("heatmap.failed"))]));
}

async function overlay(known, { n, condition, name }) {
  const map = await heatmap(known.id, n, condition), image = known.images[n - 1];
  return el("figure", {}, el("span", { className: "over" }, photo(known, image, { alt: "" }),
    el("img", { src: URL.createObjectURL(map), alt: t("heatmap.alt", { n, name }) })), el("figcaption", {}, t("image.n", { n })));
}

/** How much each answer moved the first condition's logit. */
function counted({ answer_shares: shares, differential }) {
  const [first] = differential;
  if (!first || !shares.length || !(first.condition in shares[0].shares)) return null;
  const ranked = shares.map(({ field, values, shares: of }) => ({ field, values, share: of[first.condition] }))
    .sort((a, b) => Math.abs(b.share) - Math.abs(a.share));
  const most = Math.max(...ranked.map((each) => Math.abs(each.share)), 1);
  return part(t("counted.title"), quiet(t("counted.lead", { name: conditionName(first.name) })),
    el("ul", { className: "counted" }, ...ranked.map((each) => countedRow(each, most))));
}

function countedRow({ field, values, share }, most) {
  const bar = el("i", { className: share < 0 ? "against" : "for" });
  bar.style.setProperty("--p", Math.abs(share) / most);
  const word = Math.abs(share) < HARDLY ? t("counted.nothing") : t(share < 0 ? "counted.against" : "counted.for");
  return el("li", {}, el("span", {}, questionText(field), " ", el("strong", {}, values.map((value) => answerText(field, value)).join(", "))),
    el("span", { className: "word" }, `${word} (${share < 0 ? "−" : "+"}${Math.abs(share).toFixed(2)})`), bar);
}

function measured({ measured: figures }) {
  if (!figures) return null;
  const value = (name) => {
    const share = percent(figures[name]), interval = figures[`${name}_interval`];
    return interval ? t("measured.interval", { value: share, low: percent(interval[0]), high: percent(interval[1]) }) : t("measured.no_interval", { value: share });
  };
  const rows = [["top_1", value("top_1")], ["top_3", value("top_3")]];
  if (figures.set_coverage !== null) rows.push(["set", value("set_coverage")]);
  const { group, n } = figures;
  const whom = group === "ALL" ? t("measured.ALL", { n }) : t("measured.group", { n, group: group.replace(/^FST_/, "").replaceAll("_", "-") });
  return part(t("measured.title"), el("p", {}, whom, ":"), pairs(rows.map(([name, text]) => [t(`measured.${name}`), text])),
    quiet(t("measured.floor", { top_1: percent(figures.floor_top_1), top_3: percent(figures.floor_top_3) })), quiet(t("measured.data", { data: figures.data })));
}

/** The manifest's own words on what the model was made for and of. */
function knowledge({ knowledge: words }) {
  if (!words) return null;
  return part(t("doctor.knowledge"), el("p", {}, knowledgeText(words.kind)), ...(words.unknown.length ? [el("p", {}, t("knows.not")), list(words.unknown.map(knowledgeText))] : []), el("p", {}, knowledgeText(words.data)));
}

const model = ({ model: ref }) => ref && pairs([
  [t("about.model"), `${ref.name} ${ref.version}`],
  [t("about.purpose"), said(`purpose.${ref.purpose}`, ref.purpose)],
]);
