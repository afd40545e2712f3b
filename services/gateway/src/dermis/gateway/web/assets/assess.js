/** The form: images, answers, consent; kept as a draft, sent once. */
import { submit } from "./api.js";
import * as store from "./draft.js";
import { $, el, online, pause, percent, random, t } from "./dom.js";
import { Slots } from "./images.js";

const form = $("case"), button = $("send"), status = $("send-status"), progress = $("progress");
const boxes = () => [...form.querySelectorAll("#step-questions ~ fieldset input")];
const MOST_TRIES = 60;
let draft, sending = false;

const say = (text) => { status.textContent = text; };
const slots = new Slots(form, { changed: () => changed(), fault: (text) => { $("images-fault").textContent = text; }, maxBytes: Number(form.dataset.maxBytes) });

/** Take up the draft that is kept; `sent` is told of the case that it becomes, its images and its answers. */
export async function begin(sent) {
  draft = await store.load();
  const kept = draft.images.length > 0 || Object.keys(draft.answers).length > 0;
  fill();
  note(kept ? t("draft.restored") : "");
  form.addEventListener("change", (event) => {
    if (event.target.type === "file") return;
    exclude(event.target);
    changed();
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); send(sent); });
  $("clear").addEventListener("click", async () => { await reset(); $("assess").querySelector("h1").focus(); });
  form.inert = false; // before, a tap or a tick would have been lost
  performance.mark("interactive");
  if (draft.sending) send(sent);
}

function fill() {
  slots.restore(draft.images);
  for (const box of boxes()) box.checked = [draft.answers[box.name] ?? (box.type === "radio" ? "" : [])].flat().includes(box.value);
  for (const radio of form.querySelectorAll("[name=consent]")) radio.checked = draft.consent ? radio.value === draft.consent : radio.defaultChecked;
  $("agree").checked = draft.agreed;
  paint();
}

/** Whatever is changed makes it another case: the key of one that may have been sent is dropped. */
function changed() {
  if (sending) return;
  Object.assign(draft, { images: slots.filled.map(({ shot, blob, report }) => ({ shot, blob, report })), answers: answers(), agreed: $("agree").checked });
  Object.assign(draft, { consent: form.querySelector("[name=consent]:checked").value, key: null, sending: false });
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
  fill();
  note("");
  say("");
}

function answers() {
  const given = {};
  for (const { type, name, value, checked } of boxes()) {
    if (!checked || !value) continue;
    type === "radio" ? (given[name] = value) : (given[name] ??= []).push(value);
  }
  return given;
}

/** "None of these" and the others exclude each other. */
function exclude({ type, name, value, checked }) {
  if (type !== "checkbox" || !checked) return;
  const none = (box) => box.value.startsWith("NO_RELEVANT");
  for (const box of boxes()) if (box.name === name && box.value !== value && (none(box) || value.startsWith("NO_RELEVANT"))) box.checked = false;
}

const part = (name) => form.querySelector(`[name=body_parts][value=${name}]`);
for (const area of form.querySelectorAll(".part")) {
  area.addEventListener("click", () => part(area.dataset.part).click());
}
function paint() {
  for (const area of form.querySelectorAll(".part")) area.classList.toggle("on", part(area.dataset.part).checked);
}

function ready() {
  if (slots.busy) { say(t("send.preparing")); return false; }
  if (!slots.filled.length) {
    $("images-fault").textContent = t("send.need_image");
    form.querySelector(".choose").focus();
    return false;
  }
  if (!$("agree").checked) {
    $("agree-fault").textContent = $("agree-fault").dataset.text;
    $("agree").focus();
    return false;
  }
  if (slots.hopeless && !button.dataset.warned) {
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
    const images = slots.filled.map(({ blob, opaque, shot }) => ({ blob, opaque, shot }));
    Object.assign(draft, { key: draft.key ?? random(), sending: true });
    await store.save(draft);
    const known = await tried(body(images), draft.key);
    const given = draft.answers;
    await store.clear(); // first: a draft that is left behind is sent again when the form is opened next
    sent(known, { images, answers: given });
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
  for (const section of form.querySelectorAll("section:not(:last-child)")) section.inert = yes;
}

/** Send until it is through: a lost connection is waited for, and the key makes sure that it stays one case. */
async function tried(form, key) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await submit(form, key, (share) => { progress.value = share; say(t("send.sending", { percent: percent(share) })); });
    } catch (error) {
      const busy = error.status === 429 || error.status === 503;
      if ((error.status && !busy) || tries >= MOST_TRIES) throw error;
      say(busy ? t("send.busy", { s: error.wait }) : t(navigator.onLine ? "send.lost" : "send.offline"));
      await online();
      await pause(busy ? error.wait : 1.5);
    }
  }
}

function body(images) {
  const data = new FormData();
  for (const { blob } of images) data.append("images", blob, "image");
  for (const { shot } of images) data.append("shot_types", shot);
  data.append("consent", draft.consent ?? form.querySelector("[name=consent]:checked").value);
  data.append("self_report", JSON.stringify(draft.answers));
  return data;
}
