/** The three places for images: chosen or taken, drawn anew small, upright and without metadata, judged, turned, taken again. */
import { discard, upload } from "./api.js";
import { canFrame, photograph } from "./camera.js";
import { $, drawing, el, icon, said, t } from "./dom.js";

/** Longest side that is sent: four times the working image that is judged, so that shrinking twice judges as shrinking once. */
const LONGEST = 2048;
const JPEG_QUALITY = 0.92;

/** Colours of two pixels, red, green, blue and opacity, and how far a canvas may give back another: the noise that some browsers add is less. */
const KNOWN_PIXELS = [200, 120, 90, 255, 30, 90, 170, 255];
const PIXEL_TOLERANCE = 2;

/** Whether what is drawn comes back as it was: browsers that resist fingerprinting (Tor Browser) give back stripes or white instead. */
async function canvasIsTrue() {
  const [first, second] = [0, 1].map(() => Object.assign(document.createElement("canvas"), { width: 2, height: 1 }).getContext("2d"));
  first.putImageData(new ImageData(new Uint8ClampedArray(KNOWN_PIXELS), 2, 1), 0, 0);
  const file = await new Promise((done) => first.canvas.toBlob(done, "image/png"));
  const bitmap = file && await createImageBitmap(file).catch(() => null);
  if (!bitmap) return false;
  second.drawImage(bitmap, 0, 0);
  const pixels = second.getImageData(0, 0, 2, 1).data;
  return KNOWN_PIXELS.every((value, at) => Math.abs(value - pixels[at]) <= PIXEL_TOLERANCE);
}

/** Return the image's pixels, upright and in sRGB; null where this browser can't read its format. */
const opened = (file) => createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);

/** Return an opened image as a JPEG of LONGEST at most, turned by quarters. */
function drawn(bitmap, turns) {
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale)), height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = Object.assign(document.createElement("canvas"), turns % 2 ? { width: height, height: width } : { width, height });
  const context = canvas.getContext("2d", { alpha: false, colorSpace: "srgb" });
  context.imageSmoothingQuality = "high";
  context.translate(canvas.width / 2, canvas.height / 2);
  context.rotate((turns * Math.PI) / 2);
  context.drawImage(bitmap, -width / 2, -height / 2, width, height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", JPEG_QUALITY));
}

/** A refusal's own words, which name the field for programs. */

export class Slots {
  /** `changed` is told after every change; `fault` takes a text for what can't be done. */
  constructor(root, { changed, fault, maxBytes }) {
    this.fault = fault;
    this.more = $("more");
    this.slots = [];
    this.slots.push(...[...root.querySelectorAll(".slot")].map((element) => new Slot(element, this, changed, maxBytes)));
    this.more.addEventListener("click", () => {
      const slot = this.slots.find((each) => each.element.hidden);
      slot.element.hidden = false;
      this.arrange();
      slot.element.querySelector("button:not([hidden])").focus();
      slot.element.scrollIntoView({ block: "nearest" });
    });
  }

  /** One place is open, and each that is filled; another is a tap away. */
  arrange() {
    this.slots.slice(1).forEach((slot) => { slot.element.hidden &&= !slot.blob && !slot.preparing; });
    this.full = !this.slots.some((slot) => slot.element.hidden) || this.slots.some((slot) => !slot.element.hidden && !slot.blob);
    this.more.hidden ||= this.full;
  }

  get filled() { return this.slots.filter((slot) => slot.blob); }
  get busy() { return this.slots.some((slot) => slot.preparing); }
  get hopeless() { return this.filled.length > 0 && this.filled.every((slot) => slot.report?.verdict === "UNUSABLE"); }

  /** Put files into `first` and then into whatever is empty. */
  take(files, first) {
    const places = [first, ...this.slots.filter((slot) => slot !== first && !slot.blob && !slot.preparing)];
    this.fault(files.length > places.length ? t("slot.too_many", { n: files.length, free: places.length }) : "");
    [...files].slice(0, places.length).forEach((file, index) => places[index].put(file));
  }

  restore(images) {
    for (const image of images) this.slots.find((slot) => slot.shot === image.shot)?.restore(image);
  }

  /** A case has taken what was sent ahead. */
  handOver() { for (const slot of this.slots) slot.sent = null; }

  /** Take back what was sent ahead. */
  takeBack() { for (const slot of this.slots) slot.takeBack(); }

  clear() {
    for (const slot of this.slots) slot.empty();
    for (const slot of this.slots.slice(1)) slot.element.hidden = true;
  }
}

class Slot {
  constructor(element, slots, changed, maxBytes) {
    Object.assign(this, { element, slots, changed, maxBytes, shot: element.dataset.shot, name: element.querySelector("h3").firstChild.textContent.trim() });
    this.picture = element.querySelector(".picture");
    this.example = this.picture.firstElementChild;
    this.status = element.querySelector(".verdict");
    const [camera, files] = ["from-camera", "from-files"].map((name) => element.querySelector(`.${name}`));
    for (const field of [camera, files]) {
      field.addEventListener("change", () => { if (field.files.length) slots.take(field.files, this); field.value = ""; });
    }
    element.querySelector(".choose").addEventListener("click", () => files.click());
    element.querySelector(".take").addEventListener("click", async () => {
      const photo = canFrame() ? await photograph({ name: this.name, hint: element.querySelector(".hint").textContent, frame: this.example.querySelector(".corners") }) : "OTHER";
      photo === "OTHER" ? camera.click() : photo && slots.take([photo], this);
    });
    element.querySelector(".rotate").addEventListener("click", () => this.rotate());
    element.querySelector(".remove").addEventListener("click", () => {
      this.empty();
      this.status.textContent = t("slot.removed", { slot: this.name });
      element.querySelector(".choose").focus();
      changed();
    });
    this.empty();
  }

  /** What the draft keeps. */
  get kept() { return { shot: this.shot, blob: this.blob, opaque: this.opaque, report: this.report, sent: this.sent }; }

  takeBack() {
    this.request?.abort();
    if (this.sent) discard(this.sent.id).catch(() => {}); // else it is gone within the hour
    this.sent = null;
  }

  empty() {
    this.takeBack();
    Object.assign(this, { blob: null, file: null, report: null, turns: 0, preparing: false, turnable: false });
    this.draw();
    this.say();
  }

  async put(file) {
    this.empty();
    this.preparing = true;
    this.slots.arrange();
    this.say(t("verdict.preparing"));
    const [bitmap, turnable] = await Promise.all([opened(file), canvasIsTrue()]);
    const blob = bitmap && (turnable ? await drawn(bitmap, 0) : file);
    bitmap?.close();
    this.preparing = false;
    if ((blob ?? file).size > this.maxBytes) return this.say(t("slot.too_large", { mb: Math.floor(this.maxBytes / 2 ** 20) }), "fault");
    Object.assign(this, { file, blob: blob ?? file, opaque: !blob, turnable: Boolean(blob) && turnable });
    this.draw();
    this.changed();
    await this.send();
  }

  restore({ blob, report, sent = null }) {
    Object.assign(this, { file: blob, blob, report, sent, turns: 0, opaque: !/^image\/(jpeg|png|webp)$/.test(blob.type), turnable: false });
    this.draw();
    report ? this.tell() : this.send();
    canvasIsTrue().then((yes) => { this.turnable = yes && !this.opaque && this.file === blob; this.buttons(); });
  }

  async rotate() {
    if (!this.turnable || this.preparing) return;
    this.preparing = true;
    this.turns += 1;
    const bitmap = await opened(this.file);
    this.blob = await drawn(bitmap, this.turns);
    bitmap.close();
    this.preparing = false;
    this.draw();
    this.announce(t("slot.rotated", { slot: this.name }));
    this.takeBack();
    this.changed();
  }

  /** Send the photo ahead of its case, which answers what it is good for. */
  async send() {
    const request = (this.request = new AbortController());
    this.say(t("verdict.checking"), "checking");
    try {
      this.sent = await upload(this.blob, request.signal);
    } catch (error) {
      if (request.signal.aborted) return;
      const refused = error.status === 415 || error.status === 422;
      return refused ? (this.empty(), this.say(error.detail, "fault"), this.changed()) : this.say(t("verdict.unchecked"));
    }
    if (request.signal.aborted) return this.takeBack();
    this.report = this.sent.quality;
    this.report ? this.tell() : this.say(t("verdict.unchecked"));
    this.changed();
  }

  /** Say the verdict in words and pictures: what is, and what would be better. */
  tell() {
    const { verdict, reasons, advice } = this.report;
    const why = reasons.map((reason, index) => el("div", { className: "why" },
      el("p", {}, el("strong", {}, said(`reason.${reason}`, reason)), ". ", said(`advice.${reason}`, advice[index] ?? "")),
      el("div", { className: "pair", "aria-hidden": "true" },
        el("figure", {}, drawing(`now-${reason}`, ""), el("figcaption", {}, t("verdict.now"))),
        el("span", {}, "→"),
        el("figure", {}, drawing("scene", ""), el("figcaption", {}, t("verdict.better"))))));
    this.status.replaceChildren(el("p", { className: `mark ${verdict}` }, icon(verdict), t(`verdict.${verdict}`)), ...why);
    this.buttons();
  }

  say(text = "", className = "quiet") {
    this.status.replaceChildren(...(text ? [el("p", { className }, text)] : []));
    this.buttons();
  }

  announce(text) {
    const note = el("span", { className: "hidden" }, text);
    this.status.append(note);
    setTimeout(() => note.remove(), 2000);
  }

  draw() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = this.blob && !this.opaque ? URL.createObjectURL(this.blob) : null;
    const shown = !this.blob ? this.example : this.opaque ? el("p", { className: "quiet" }, t("slot.opaque")) : el("img", { src: this.url, alt: t("slot.preview", { slot: this.name }) });
    this.picture.replaceChildren(shown);
    this.buttons();
  }

  buttons() {
    const filled = Boolean(this.blob), find = (name) => this.element.querySelector(name);
    this.element.classList.toggle("filled", filled);
    find(".rotate").hidden = !filled || !this.turnable;
    find(".remove").hidden = !filled;
    find(".take span").textContent = t(filled ? "slot.retake" : "slot.take");
    find(".take").classList.toggle("main", Boolean(this.report) && this.report.verdict !== "USABLE");
    this.slots.arrange();
  }
}
