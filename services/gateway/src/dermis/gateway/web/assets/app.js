/** One document with two views: the form at /, a case at /cases/<id>. */
import { ended, follow, show } from "./api.js";
import { begin } from "./assess.js";
import { $, el, t } from "./dom.js";
import { showBanner } from "./result/demo.js";
import { finished, message, working } from "./result/result.js";
import { translate } from "./result/words.js";

sessionStorage.removeItem("reloads"); // all scripts are there
const SLOW_SECONDS = 20;
let following = new AbortController();
let shown = null; // the path that is in view

const caseId = () => location.pathname.match(/^\/cases\/(\w+)$/)?.[1];

function view(name) {
  shown = location.pathname;
  for (const each of ["assess", "result"]) $(each).hidden = each !== name;
  $("last").hidden = !sessionStorage.getItem("case");
  $("last").firstElementChild.href = `/cases/${sessionStorage.getItem("case")}${location.search}`;
  for (const link of document.querySelectorAll("[data-language]")) link.href = `${location.pathname}?lang=${link.lang}`;
  document.title = name === "assess" ? t("title") : `${t("result.title")} - dermis`;
}

function enter(name) {
  view(name);
  scrollTo(0, 0);
  $(name).querySelector("h1").focus({ preventScroll: true });
}

async function open(id, known) {
  following.abort();
  const { signal } = (following = new AbortController());
  $("after").hidden = true;
  $("answer").replaceChildren();
  showBanner();
  enter("result");
  heading(t("result.working"));
  const slow = setTimeout(() => { $("status").textContent = t("status.slow"); }, 1000 * SLOW_SECONDS);
  try {
    const words = translate();
    known ??= await show(id);
    if (!ended(known)) working(known);
    known = await follow(known, { signal, news: (each) => { if (!signal.aborted) working(each); }, waiting: () => { $("status").textContent = t("status.waiting"); } });
    await words;
    if (signal.aborted) return;
    known.status === "ERASED" ? gone() : ready(known);
  } catch (error) {
    if (!signal.aborted) refused(error);
  } finally {
    clearTimeout(slow);
  }
}

function heading(text) { $("result").querySelector("h1").textContent = text; }

function ready(known) {
  heading(t("result.title"));
  finished(known, { again: () => sessionStorage.removeItem("case"), gone: () => { gone(); $("result").querySelector("h1").focus(); } });
}

function gone() {
  sessionStorage.removeItem("case");
  heading(t("erased.title"));
  message(t("erased.text"));
}

function refused(error) {
  if (error.reason === "CASE_ERASED") return gone();
  if (error.status === 404) sessionStorage.removeItem("case");
  heading(t("error.title"));
  const retry = el("button", { type: "button" }, t("error.reload"));
  retry.addEventListener("click", () => location.reload());
  message(error.status === 404 || error.status === 422 ? t("error.not_found") : error.detail ?? String(error), error.status === 404 ? "" : retry);
}

function sent(known) {
  sessionStorage.setItem("case", known.id);
  history.pushState(null, "", `/cases/${known.id}${location.search}`);
  open(known.id, known);
}

function route() {
  const id = caseId();
  if (id) return open(id);
  following.abort();
  showBanner();
  enter("assess");
}

addEventListener("popstate", () => { if (location.pathname !== shown) route(); }); // a link to a place of the page is none of ours
if (caseId()) open(caseId()); else view("assess");
begin(sent);
