/** Elements, texts and numbers of the page's language. */
const texts = JSON.parse(document.getElementById("texts").textContent);
export const language = document.documentElement.lang;
export const $ = (id) => document.getElementById(id);
export const has = (key) => key in texts;

/** The text of a key, with its values put in. */
export function t(key, values = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** What came with the result in English, in the page's language where its catalogue has it. */
export const said = (key, english) => (has(key) ? t(key) : english);

/** What the form calls an answer; form and result are one document. */
export const answerLabel = (field, value) => document.querySelector(`[name="${field}"][value="${value}"] + span`)?.textContent ?? value;

/** Make an element; children are nodes or text, never HTML. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export const list = (items, className = "") => el("ul", { className }, ...items.map((item) => el("li", {}, item)));

/** A drawing out of the page's own sprite. */
export function drawing(name, className, viewBox = "0 0 80 56") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), use = document.createElementNS(svg.namespaceURI, "use");
  for (const [key, value] of Object.entries({ class: className, viewBox, "aria-hidden": "true", focusable: "false" })) svg.setAttribute(key, value);
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}
export const icon = (name) => drawing(`i-${name}`, "icon", "0 0 24 24");

const whole = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
export const percent = (share) => (share > 0 && share < 0.0005 ? `< ${fine.format(0.001)}` : (share > 0 && share < 0.1 ? fine : whole).format(share));
export const time = (text) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(text));
export const date = (at) => new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(new Date(at));
export const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

/** Resolves when the browser says that it is online, at once if it is. */
export const online = () => new Promise((done) => (navigator.onLine ? done() : addEventListener("online", done, { once: true })));

/** Letters and digits that nobody guesses; crypto.randomUUID is there on secure origins alone. */
export const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
