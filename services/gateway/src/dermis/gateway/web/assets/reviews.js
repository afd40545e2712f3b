/** The form of a reading: conditions by search, all else by digits, so that a case needs no mouse. */
const MOST = 5, SHOWN = 8;
const form = document.getElementById("reading"), search = document.getElementById("search"), options = document.getElementById("options");
const chosen = document.getElementById("chosen"), fault = document.getElementById("reading-fault"), conditions = document.getElementById("conditions");
const stops = [...form.querySelectorAll("fieldset[data-digits]")];
let labels = [], matches = [], active = 0, start = performance.now();

for (const photo of document.querySelectorAll(".photos img")) photo.addEventListener("load", () => { start = performance.now(); });
fetch("/ops/reviews/labels").then((response) => response.json()).then((all) => { labels = all; form.dataset.ready = "yes"; show(); });

const text = (name, label) => form.dataset[name].replace("{label}", label);
const rows = () => [...chosen.children];
const level = (row) => row.querySelector("input[type=radio]:checked")?.value ?? "";
const gradable = () => form.elements.gradable.value === form.elements.gradable[0].value;
const say = (words) => { fault.textContent = words; };

/** Labels that begin with what was typed come first, then those with a word that does, then those that hold it; of each the shorter. */
function matching(typed) {
  const sought = typed.trim().toLowerCase();
  if (!sought) return [];
  const rank = (label) => {
    const low = label.toLowerCase();
    return low.startsWith(sought) ? 0 : low.split(/[^\p{L}\p{N}]+/u).some((word) => word.startsWith(sought)) ? 1 : low.includes(sought) ? 2 : 3;
  };
  return labels.map((label) => [rank(label), label]).filter(([place]) => place < 3).sort(([a, first], [b, second]) => a - b || first.length - second.length).slice(0, SHOWN).map(([, label]) => label);
}

function show() {
  matches = matching(search.value);
  active = 0;
  options.replaceChildren(...matches.map((label, n) => {
    const option = Object.assign(document.createElement("li"), { id: `option-${n}`, textContent: label, lang: "en" });
    option.setAttribute("role", "option");
    option.addEventListener("mousedown", (event) => { event.preventDefault(); choose(label); });
    return option;
  }));
  say(search.value.trim() && !matches.length && labels.length ? form.dataset.noMatch : "");
  mark();
}

function mark() {
  options.hidden = !matches.length;
  search.setAttribute("aria-expanded", matches.length > 0);
  [...options.children].forEach((option, n) => option.setAttribute("aria-selected", n === active));
  if (matches.length) search.setAttribute("aria-activedescendant", `option-${active}`);
  else search.removeAttribute("aria-activedescendant");
}

function choose(label) {
  search.value = "";
  show();
  if (rows().some((row) => row.dataset.label === label)) return;
  if (rows().length >= MOST) { say(form.dataset.most); return; }
  chosen.append(row(label));
}

function row(label) {
  const item = document.createElement("li"), name = document.createElement("strong"), group = document.createElement("fieldset");
  const legend = document.createElement("legend"), remove = document.createElement("button");
  item.dataset.label = label;
  Object.assign(name, { textContent: label, lang: "en" });
  Object.assign(legend, { textContent: text("confidence", label), className: "hidden" });
  Object.assign(remove, { type: "button", className: "small", textContent: "×" });
  remove.setAttribute("aria-label", text("remove", label));
  remove.addEventListener("click", () => { item.remove(); search.focus(); });
  group.append(legend, ...[1, 2, 3, 4, 5].map((n) => {
    const pill = document.createElement("label"), radio = Object.assign(document.createElement("input"), { type: "radio", name: `level of ${label}`, value: n });
    pill.className = "pill";
    pill.append(radio, Object.assign(document.createElement("span"), { textContent: n }));
    return pill;
  }));
  item.append(name, " ", group, " ", remove);
  return item;
}

/** A digit in the empty box says how sure the reader is of the last condition. */
function rate(digit) {
  const radio = rows().at(-1)?.querySelector(`input[value="${digit}"]`);
  if (radio) radio.checked = true;
  return Boolean(radio);
}

search.addEventListener("input", show);
search.addEventListener("keydown", (event) => {
  const { key } = event, step = { ArrowDown: 1, ArrowUp: -1 }[key];
  if (step && matches.length) { active = (active + step + matches.length) % matches.length; mark(); }
  else if (key === "Escape") { search.value = ""; show(); }
  else if (key === "Enter") { if (matches.length) choose(matches[active]); else if (!search.value.trim()) stops[0].querySelector("input:checked").focus(); }
  else if (!search.value && /^[1-5]$/.test(key) && !event.ctrlKey && !event.metaKey && !event.altKey) { if (!rate(key)) return; }
  else return;
  event.preventDefault();
});
search.addEventListener("blur", () => { matches = []; mark(); });

stops.forEach((stop, place) => stop.addEventListener("keydown", (event) => {
  const digit = /^[0-9]$/.test(event.key) ? Number(event.key) || 10 : 0;
  if (!digit || digit > Number(stop.dataset.digits) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  stop.querySelectorAll("input")[digit - 1].checked = true;
  (stops[place + 1]?.querySelector("input:checked") ?? form.querySelector("button[type=submit]")).focus();
}));

form.addEventListener("change", ({ target }) => { if (target.name === "gradable") conditions.disabled = !gradable(); });

form.addEventListener("submit", (event) => {
  form.querySelectorAll("[data-sent]").forEach((each) => each.remove());
  const unrated = rows().find((each) => !level(each));
  if (gradable() && (!rows().length || unrated)) {
    event.preventDefault();
    say(unrated ? text("needConfidence", unrated.dataset.label) : form.dataset.needCondition);
    search.focus();
    return;
  }
  form.elements.seconds.value = ((performance.now() - start) / 1000).toFixed(1);
  for (const each of gradable() ? rows() : []) {
    for (const [name, value] of [["condition", each.dataset.label], ["confidence", level(each)]]) {
      const field = Object.assign(document.createElement("input"), { type: "hidden", name, value });
      field.dataset.sent = "yes";
      form.append(field);
    }
  }
});
