/** One thing a screen: what is in view, how far it is, and the way on and back, which the browser's own Back knows too. */
import { $, t } from "./dom.js";

export class Steps {
  /** `isOut` says whether a step is left out now, `begun` whether any but the first may be shown; `entered` is told of each. */
  constructor(form, { isOut, begun, entered }) {
    Object.assign(this, { isOut, begun, entered, sections: [...form.querySelectorAll(".step")] });
    addEventListener("popstate", () => { if (!location.pathname.startsWith("/cases/")) this.show(this.asked); });
    $("back").addEventListener("click", () => this.back());
  }

  get asked() { return location.hash.slice(1); }
  get names() { return this.sections.map((each) => each.dataset.step).filter((name) => name === this.name || !this.isOut(name)); }

  /** Go to a step, so that Back leads here again. */
  go(name) {
    history.pushState({ from: this.name }, "", `#${name}`);
    this.show(name, { focus: true });
  }

  next() {
    const { names } = this;
    if (this.name !== names.at(-1)) this.go(names[names.indexOf(this.name) + 1]);
  }

  back() {
    const { names } = this, previous = names[names.indexOf(this.name) - 1];
    if (history.state?.from === previous) return history.back();
    history.replaceState(null, "", `#${previous}`);
    this.show(previous, { focus: true });
  }

  /** Show a step, the first where it isn't one that may be shown. */
  show(name, { focus = false } = {}) {
    const may = this.begun() && this.sections.some((each) => each.dataset.step === name) && !this.isOut(name);
    this.name = may ? name : this.sections[0].dataset.step;
    for (const section of this.sections) section.classList.toggle("now", section.dataset.step === this.name);
    const { names } = this, n = names.indexOf(this.name) + 1;
    Object.assign($("way"), { max: names.length, value: n });
    $("way-told").textContent = t("way.told", { n, m: names.length });
    this.entered(this.name);
    if (!focus) return;
    scrollTo(0, 0);
    this.sections.find((each) => each.dataset.step === this.name).querySelector("legend, h2").focus({ preventScroll: true });
  }
}
