/** What a demo model may say: that it is one. */
import { $, el, icon, t } from "../dom.js";
import { lazyFold } from "./fold.js";
import { callLink } from "./urgency.js";

const banner = $("demo-banner");
const current = !banner.hidden; // whether the model that answers new cases is a demo

/** Keep the banner in view while a demo is current, or while a case is shown that one answered. */
export function showBanner(demo = false) { banner.hidden = !(current || demo); }

/** In place of everything that a model would say; `sample` shows a made-up case as a real model would answer it. */
export function demo(sample) {
  return el("section", { className: "card demo" }, el("h2", {}, icon("MARGINAL"), t("demo.title")),
    el("p", {}, t("demo.drawings")), el("p", {}, el("strong", {}, t("demo.worried"))), callLink("demo.help", "button"),
    lazyFold(t("demo.how"), () => [el("p", {}, t("demo.how.text"))]), lazyFold(t("demo.sample"), sample));
}
