/** What can be done with a result: print it, say what became of it, erase it. */
import { erase, feedback } from "../api.js";
import { $, el, icon, t } from "../dom.js";
import { share } from "../share.js";
import { conditionName, isDemo } from "./words.js";

export function after(known, { again, gone }) {
  const print = el("button", { type: "button" }, t("print"));
  print.addEventListener("click", () => window.print());
  if (known.access === "READ") return [el("p", {}, t("share.read")), el("p", { className: "buttons" }, print)];
  const erasing = el("button", { type: "button", className: "danger" }, icon("remove"), t("erase.button"));
  erasing.addEventListener("click", () => ask(known.id, gone));
  const anew = el("a", { className: "button", href: `/${location.search}` }, t("again"));
  anew.addEventListener("click", again);
  return [...(known.outcome ? [opinion(known)] : []), el("p", { className: "buttons" }, print, share(known), anew, erasing)];
}

function ask(id, gone) {
  const dialog = $("erase"), status = $("erase-status");
  status.textContent = "";
  $("erase-no").onclick = () => dialog.close();
  $("erase-yes").onclick = async () => {
    status.textContent = t("erase.working");
    const failed = await erase(id).then(() => null, (error) => error);
    if (failed && failed.status !== 404) { status.textContent = t("erase.failed"); return; }
    dialog.close();
    gone();
  };
  dialog.showModal();
}

function opinion(known) {
  const status = el("p", { role: "status" });
  const give = async (body) => { status.textContent = await feedback(known.id, body).then(() => t("feedback.thanks"), () => t("feedback.failed")); };
  const button = (helpful) => {
    const node = el("button", { type: "button" }, t(helpful ? "feedback.yes" : "feedback.no"));
    node.addEventListener("click", () => give({ helpful }));
    return node;
  };
  const named = known.outcome.differential.length && !isDemo(known);
  return el("section", { className: "card" }, el("h2", {}, t("feedback.title")), el("p", { className: "buttons" }, button(true), button(false)), named ? confirmation(known, give) : null, status);
}

/** What it turned out to be, of the conditions that the model knows. */
function confirmation(known, give) {
  const options = known.outcome.differential.map((each) => [each.condition, conditionName(each.name)]);
  const [condition, what] = select("feedback.condition", [...options, ["OTHER", t("feedback.other")]]);
  const [by, who] = select("feedback.by", ["SELF", "DOCTOR", "DERMATOLOGIST", "LABORATORY"].map((value) => [value, t(`feedback.by.${value}`)]));
  const send = el("button", { type: "button" }, t("feedback.send"));
  send.addEventListener("click", () => {
    if (condition.value && by.value) give({ condition: condition.value, confirmed_by: by.value });
    else (condition.value ? by : condition).focus();
  });
  return el("details", {}, el("summary", {}, t("feedback.became")), what, who, el("p", {}, send));
}

function select(label, options) {
  const node = el("select", {}, el("option", { value: "" }, "–"), ...options.map(([value, text]) => el("option", { value }, text)));
  return [node, el("label", {}, t(label), node)];
}
