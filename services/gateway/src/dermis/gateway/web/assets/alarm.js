/** What the answers call for at once: after every tap, and before anything is sent. */
import { $, el, said, t } from "./dom.js";
import { redFlags } from "./red_flags.js";

const rules = JSON.parse($("red-flags").textContent);
let before = "";

/** Show what the answers raise; return it, the most urgent first. The words stand whole on the screen where they came up. */
export function alarm(answers, step) {
  const flags = redFlags(rules, answers), now = flags.map(({ flag }) => flag).join(), card = $("alarm");
  card.hidden = !flags.length;
  if (!flags.length) delete card.dataset.step;
  if (now !== before && flags.length) {
    card.dataset.step = step;
    card.className = `card alarm ${flags[0].urgency}`;
    $("alarm-title").textContent = t(`alarm.${flags[0].urgency}`);
    $("alarm-text").replaceChildren(...flags.map(({ flag, text }) => el("p", {}, said(`flag.${flag}`, text).replace(/^[^:]+: (.)/, (_, first) => first.toUpperCase()))));
    scrollTo(0, 0);
  }
  card.classList.toggle("short", card.dataset.step !== step);
  before = now;
  return flags;
}
