/** The form: warning signs, photos, answers, consent; kept as a draft, sent once. */
import { alarm } from "./alarm.js";
import { submit } from "./api.js";
import * as store from "./draft.js";
import { $, answerLabel, date, el, online, pause, percent, random, t } from "./dom.js";
import { Slots } from "./images.js";
import { Steps } from "./steps.js";

const form = $("case"), button = $("send"), status = $("send-status"), progress = $("progress"), secondRead = $("second-read");
const boxes = [...form.querySelectorAll("[id^=q-] input")];
const MOST_TRIES = 60;
const AT_ONCE_MS = 250; // long enough to see what was tapped
const NONE = "NO_WARNING_SIGNS", UNDER_18 = "UNDER_18", AGE_UNKNOWN = "AGE_UNKNOWN";
/** Symptoms that a warning sign says as well, in the words that models learned from. */
const SYMPTOMS = { SHORTNESS_OF_BREATH: "SHORTNESS_OF_BREATH", MOUTH_SORES: "MOUTH_SORES", FEVER_WITH_RASH: "FEVER" };
let draft = { answers: {} }, flags = [], sending = false;

const say = (text) => { status.textContent = text; };
const slots = new Slots(form, { changed: () => changed(), fault: (text) => { $("images-fault").textContent = text; }, maxBytes: Number(form.dataset.maxBytes) });
const steps = new Steps(form, {
  isOut: (name) => name === "photo" && draft.answers.under_18,
  begun: () => draft.answers.warning_signs,
  entered: () => { draft.step = steps.name; paint(); },
});

/** Take up the draft that is kept; `sent` is told of the case that it becomes. */
export async function begin(sent) {
  draft = await store.load();
  const kept = draft.images.length > 0 || Object.keys(draft.answers).length > 0;
  Object.assign(draft.answers, answers()); // what was ticked before this began
  form.noValidate = true;
  for (const each of form.querySelectorAll("[data-days]")) each.textContent = t("send.until", { date: date(Date.now() + 864e5 * each.dataset.days) });
  fill();
  note(kept ? t("draft.restored") : "");
  form.addEventListener("change", (event) => {
    if (event.target.type === "file") return;
    exclude(event.target);
    changed();
    if (draft.answers.under_18) slots.takeBack(); // nobody's photos who is under 18 stay
  });
  form.addEventListener("click", ({ target, detail }) => {
    const { name } = steps;
    if (detail && target.type === "radio" && target.name === name) setTimeout(() => { if (steps.name === name && $("alarm").dataset.step !== name) steps.next(); }, AT_ONCE_MS);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); steps.name === "send" ? send(sent) : steps.next(); });
  $("next").addEventListener("click", forward);
  $("skip").addEventListener("click", skip);
  $("skip-all").addEventListener("click", () => steps.go("send"));
  $("alarm-send").addEventListener("click", () => steps.go("send"));
  $("clear").addEventListener("click", async () => { await reset(); $("assess").querySelector("h1").focus(); });
  form.classList.remove("waiting"); // before, a tap would have been lost
  performance.mark("interactive");
  if (draft.sending) send(sent);
}

/** Show the step that the address names, of a draft that is as far as that. */
function fill() {
  slots.restore(draft.images);
  for (const box of boxes) box.checked = chosen(box.name).includes(box.value);
  for (const radio of form.querySelectorAll("[name=consent]")) radio.checked = draft.consent ? radio.value === draft.consent : radio.defaultChecked;
  $("agree").checked = draft.agreed;
  if (secondRead) secondRead.checked = draft.secondRead;
  steps.show(steps.asked || draft.step);
}

const chosen = (name) => (name === "age_group" && draft.answers.under_18 ? [UNDER_18] : [draft.answers[name] ?? []].flat());

/** Whatever is changed makes it another case: the key of one that may have been sent is dropped. */
function changed() {
  if (sending) return;
  Object.assign(draft, { images: slots.filled.map((slot) => slot.kept), answers: answers(), agreed: $("agree").checked });
  Object.assign(draft, { consent: form.querySelector("[name=consent]:checked").value, secondRead: Boolean(secondRead?.checked), key: null, sending: false });
  $("agree-fault").textContent = "";
  if (!slots.busy) say("");
  paint();
  note(t("draft.kept"));
  store.save(draft);
}

function note(text) {
  $("draft").hidden = !text;
  $("draft").querySelector("span").textContent = text;
}

async function reset() {
  await store.clear();
  form.reset();
  slots.clear();
  draft = await store.load();
  if (!location.pathname.startsWith("/cases/")) history.replaceState(null, "", location.pathname + location.search);
  fill();
  note("");
  say("");
}

function answers() {
  const given = {};
  for (const { type, name, value, checked } of boxes) {
    if (!checked || !value) continue;
    if (value === UNDER_18) given.under_18 = true;
    else type === "radio" ? (given[name] = value) : (given[name] ??= []).push(value);
  }
  return given;
}

/** "None of these" and the others exclude each other. */
function exclude({ type, name, value, checked }) {
  if (type !== "checkbox" || !checked) return;
  const none = (answer) => answer.startsWith("NO_");
  for (const box of boxes) if (box.name === name && box.value !== value && (none(box.value) || none(value))) box.checked = false;
}

const box = (name, value) => boxes.find((each) => each.name === name && each.value === value);
for (const area of form.querySelectorAll(".part")) {
  area.addEventListener("click", () => box("body_parts", area.dataset.part).click());
}
$("parts").open = matchMedia("(min-width: 48rem)").matches;

/** Bring what depends on the answers and the step up to date. */
function paint() {
  const { name } = steps, signs = draft.answers.warning_signs ?? [], parts = draft.answers.body_parts ?? [];
  for (const area of form.querySelectorAll(".part")) area.classList.toggle("on", parts.includes(area.dataset.part));
  $("where").textContent = parts.map((part) => box("body_parts", part).nextSibling.textContent).join(", ") || t("map.none");
  flags = alarm(draft.answers, name);
  $("alarm-send").hidden = name === "send";
  $("back").hidden = name === "warning_signs";
  $("skip").hidden = ["warning_signs", "send"].includes(name) || (name === "photo" && (slots.filled.length > 0 || !flags.length));
  $("skip").textContent = t(name === "photo" ? "way.no_photo" : "way.skip");
  $("more").hidden = name !== "photo" || slots.full;
  $("next").hidden = name === "send" || (name === "photo" && !slots.filled.length);
  $("next").textContent = name === "warning_signs" && !signs.some((sign) => sign !== NONE) ? answerLabel("warning_signs", NONE) : t("way.next");
  button.hidden = name !== "send";
  $("agree-adult").hidden = !images().length;
  $("sent-what").textContent = t("send.counts", { photos: images().length, answers: Object.keys(draft.answers).length });
}

function forward() {
  if (steps.name === "warning_signs" && !draft.answers.warning_signs) tick(box("warning_signs", NONE));
  steps.next();
}

function tick(input) {
  input.checked = true;
  changed();
}

/** Go on without an answer to what is in view. */
function skip() {
  for (const each of boxes) if (each.name === steps.name) each.checked = false;
  changed();
  steps.next();
}

/** Nobody's photos who is under 18 are sent. */
const images = () => (draft.answers.under_18 ? [] : slots.filled);

function ready() {
  if (slots.busy) { say(t("send.preparing")); return false; }
  if (!images().length && !flags.length) {
    steps.go("photo");
    $("images-fault").textContent = t("send.need_image");
    form.querySelector(".choose").focus();
    return false;
  }
  if (!$("agree").checked) {
    $("agree-fault").textContent = $("agree-fault").dataset.text;
    $("agree").focus();
    return false;
  }
  if (images().length && slots.hopeless && !button.dataset.warned) {
    button.dataset.warned = "yes";
    say(t("send.unusable"));
    return false;
  }
  return true;
}

async function send(sent) {
  if (sending || !ready()) return;
  performance.mark("tapped");
  lock(true);
  try {
    const photos = images().map((slot) => slot.kept);
    Object.assign(draft, { key: draft.key ?? random(), sending: true });
    await store.save(draft);
    const known = await tried(photos, draft.key);
    slots.handOver();
    await store.clear(); // first: a draft that is left behind is sent again when the form is opened next
    sent(known);
    await reset();
  } catch (error) {
    Object.assign(draft, { key: error.status ? null : draft.key, sending: false });
    store.save(draft);
    status.replaceChildren(el("strong", {}, t("error.title")), `: ${error.detail ?? error} ${t("send.retry_left")}`);
    button.textContent = t("send.again");
  } finally {
    lock(false);
  }
}

function lock(yes) {
  sending = yes;
  button.setAttribute("aria-disabled", yes);
  delete button.dataset.warned;
  progress.hidden = !yes;
  $("back").disabled = yes;
  for (const each of form.querySelectorAll(".step fieldset, .agree")) each.inert = yes;
}

/** Send until it is through: a lost connection is waited for, and the key makes sure that it stays one case. */
async function tried(photos, key) {
  let ahead = photos.every(({ sent }) => sent && Date.parse(sent.expires_at) > Date.now());
  for (let tries = 1; ; tries += 1) {
    try {
      return await submit(body(photos, ahead), key, (share) => { progress.value = share; say(t("send.sending", { percent: percent(share) })); });
    } catch (error) {
      if (ahead && error.reason?.startsWith("UPLOAD_")) { ahead = false; continue; } // they are gone: the photos come with the case
      const busy = error.status === 429 || error.status === 503;
      if ((error.status && !busy) || tries >= MOST_TRIES) throw error;
      say(busy ? t("send.busy", { s: error.wait }) : t(navigator.onLine ? "send.lost" : "send.offline"));
      await online();
      await pause(busy ? error.wait : 1.5);
    }
  }
}

function body(photos, ahead) {
  const data = new FormData(), report = structuredClone(draft.answers);
  const symptoms = (report.warning_signs ?? []).map((sign) => SYMPTOMS[sign]).filter(Boolean);
  if (report.age_group && report.age_group !== AGE_UNKNOWN) report.under_18 = false; // the question asks both
  if (symptoms.length) report.other_symptoms = [...new Set([...(report.other_symptoms ?? []).filter((each) => !each.startsWith("NO_")), ...symptoms])];
  for (const { blob, sent } of photos) ahead ? data.append("uploads", sent.id) : data.append("images", blob, "image");
  for (const { shot } of photos) data.append("shot_types", shot);
  data.append("consent", draft.consent ?? form.querySelector("[name=consent]:checked").value);
  if (draft.secondRead) data.append("second_read", "true");
  data.append("self_report", JSON.stringify(report));
  return data;
}
