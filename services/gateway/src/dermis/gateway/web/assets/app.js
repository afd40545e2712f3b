const $ = (id) => document.getElementById(id);
const form = $("case"), input = $("images"), fault = $("images-fault"), result = $("result"), status = $("status"), answer = $("answer");
const MAX_IMAGES = Number(form.dataset.maxImages);
const ANOTHER = $("again").textContent;
const VERDICTS = { USABLE: "Good enough", MARGINAL: "Usable, but not good", UNUSABLE: "Can't be used" };

/** Make an element; children are nodes or text, never HTML. */
function el(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
const list = (items, className = "") => el("ul", { className }, ...items.map((item) => el("li", {}, item)));
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

input.addEventListener("change", () => {
  for (const image of $("previews").querySelectorAll("img")) URL.revokeObjectURL(image.src);
  const many = input.files.length > MAX_IMAGES;
  fault.hidden = !many;
  fault.textContent = many ? `You chose ${input.files.length} images; choose at most ${MAX_IMAGES}.` : "";
  $("previews").replaceChildren(...[...input.files].slice(0, MAX_IMAGES).map((file, index) => {
    const item = $("preview").content.cloneNode(true);
    item.querySelector("img").src = URL.createObjectURL(file);
    item.querySelector("img").alt = `Image ${index + 1}`;
    item.querySelector("span").textContent = `Image ${index + 1} is taken`;
    return item;
  }));
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!input.files.length || input.files.length > MAX_IMAGES) return input.focus();
  form.querySelector("button").disabled = true;
  open("Sending ...");
  try {
    const sent = await ask("/v1/cases", { method: "POST", body: body() });
    await follow(sent);
  } catch (error) {
    close("It didn't work.", problem(error));
    $("again").textContent = "Back to the form";
  } finally {
    form.querySelector("button").disabled = false;
  }
});

$("again").addEventListener("click", () => {
  if ($("again").textContent === ANOTHER) {
    form.reset();
    input.dispatchEvent(new Event("change"));
  }
  result.hidden = true;
  form.hidden = false;
  input.focus();
});

function body() {
  const data = new FormData(), report = {};
  for (const file of input.files) data.append("images", file);
  for (const select of form.querySelectorAll("[name=shot_types]")) data.append("shot_types", select.value);
  for (const select of form.querySelectorAll("details select")) if (select.value) report[select.name] = select.value;
  for (const box of form.querySelectorAll("details input:checked")) (report[box.name] ??= []).push(box.value);
  data.append("self_report", JSON.stringify(report));
  return data;
}

/** Fetch JSON; a problem is thrown. */
async function ask(path, options = {}) {
  const response = await fetch(path, options).catch(() => { throw { detail: "The server can't be reached. Check the connection and try again." }; });
  if (!response.ok) throw await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
  return { case: await response.json(), wait: Number(response.headers.get("Retry-After") ?? 1) };
}

const ended = (known) => known.status !== "RECEIVED" && known.status !== "ASSESSED";

function show(known) {
  open(known.status === "RECEIVED" ? "Received. Looking at the images ..." : "Images judged. Working out the result ...", images(known));
}

async function follow({ case: known, wait }) {
  show(known);
  known = await listen(known);
  let failures = 0;
  while (!ended(known)) {
    await pause(wait);
    try {
      ({ case: known, wait } = await ask(`/v1/cases/${known.id}`));
      failures = 0;
      show(known);
    } catch (error) {
      if (++failures > 10 || error.status === 404) throw error;
    }
  }
  known.status === "FAILED" ? close("It failed.", failed(known), images(known), facts(known)) : close(...finished(known));
}

/** Follow the case's events; resolves with what is known when it has ended, or when events don't come through. */
const listen = (known) => new Promise((done) => {
  const source = new EventSource(`/v1/cases/${known.id}/events`);
  const stop = () => { source.close(); done(known); };
  for (const fact of ["received", "assessed", "failed", "outcome"]) {
    source.addEventListener(fact, (event) => { known = JSON.parse(event.data); ended(known) ? stop() : show(known); });
  }
  source.addEventListener("erased", stop);
  source.addEventListener("error", stop);
});

function open(text, ...nodes) {
  form.hidden = true;
  result.hidden = false;
  $("again").hidden = true;
  status.textContent = text;
  answer.replaceChildren(...nodes);
}

function close(text, ...nodes) {
  open(text, ...nodes.filter(Boolean));
  $("again").hidden = false;
  $("again").textContent = ANOTHER;
  $("result-title").focus();
}

function finished(known) {
  const { kind, reason, advice, red_flags: flags, notices, differential, coverage, model } = known.outcome;
  const texts = { DIFFERENTIAL: "Finished.", ABSTENTION: "No reliable result.", REJECTION: "The images can't be used." };
  return [
    texts[kind],
    flags.length ? el("div", { className: "flags" }, el("h3", {}, "Please note first"), list(flags.map((flag) => flag.text))) : null,
    model?.purpose === "demo" ? el("p", { className: "demo" }, "Demonstration model: this result has no clinical meaning.") : null,
    todo(known.guidance),
    notices.length ? el("div", {}, list(notices.map((notice) => notice.text), "quiet")) : null,
    kind === "ABSTENTION" ? el("p", { className: "problem" }, `The model declines to answer${reason ? `: ${words(reason)}` : ""}. Don't rely on the ranking below.`) : null,
    advice.length ? el("div", {}, el("h3", {}, "What you can do"), list(advice)) : null,
    differential.length ? ranking(differential, coverage, kind === "DIFFERENTIAL") : null,
    images(known),
    heatmaps(known),
    texts_on(known.guidance),
    counted(known.outcome),
    facts(known),
  ];
}

const URGENCY = { EMERGENCY: "Now", TODAY: "Today", SOON: "In the next days", ROUTINE: "When it suits you", WATCH: "Watch it" };

const todo = (guidance) => guidance ? el("div", { className: "todo" }, el("h3", {}, `What to do: ${URGENCY[guidance.urgency].toLowerCase()}`), guidance.next_step) : null;

function texts_on(guidance) {
  if (!guidance) return null;
  const told = guidance.conditions.length ? guidance.conditions.map((each) => [each.name, each.guidance]) : [["In general", guidance.general]];
  const items = told.map(([name, text]) => el("details", {}, el("summary", {}, name), el("p", {}, text.text),
    list([`On lighter skin: ${text.on_lighter_skin}`, `On darker skin: ${text.on_darker_skin}`, `${URGENCY[text.urgency]}: ${text.next_step}`, `Sources: ${text.sources.join("; ")}`])));
  const reviewed = guidance.clinical_review === "none" ? "No clinician has reviewed these texts." : `Reviewed by ${guidance.clinical_review}.`;
  return el("div", {}, el("h3", {}, "In plain words"), ...items, el("details", {}, el("summary", {}, "Caring for your skin"), list(guidance.skin_care)), el("p", { className: "quiet" }, reviewed));
}

/** Each image with what spoke for the most probable condition laid over it. */
function heatmaps(known) {
  const first = known.outcome.heatmaps[0]?.condition, photos = $("previews").querySelectorAll("img");
  const drawn = known.outcome.heatmaps.filter(({ n, condition }) => condition === first && photos[n - 1]).map(({ n }) => el("span", { className: "over" },
    el("img", { src: photos[n - 1].src, alt: `Image ${n}` }), el("img", { src: `/v1/cases/${known.id}/images/${n}/heatmap`, alt: "" })));
  const name = known.outcome.differential.find(({ condition }) => condition === first)?.name;
  return drawn.length ? el("div", {}, el("h3", {}, `Where the model saw what speaks for ${name}`), el("div", { className: "overs" }, ...drawn)) : null;
}

function counted({ answer_shares: shares, differential, measured }) {
  const first = differential[0], parts = [];
  if (shares.length && first?.condition in shares[0].shares) {
    const ranked = [...shares].sort((a, b) => Math.abs(b.shares[first.condition]) - Math.abs(a.shares[first.condition]));
    parts.push(el("h3", {}, `What your answers counted for ${first.name}`), list(ranked.map(({ field, values, shares: of }) => `${words(field)}: ${values.map(words).join(", ")} (${of[first.condition] < 0 ? "against" : "for"} it, ${Math.abs(of[first.condition]).toFixed(2)} logits)`)));
  }
  if (measured) {
    const range = (pair) => pair ? ` (95 % interval ${percent(pair[0])} to ${percent(pair[1])})` : " (too few cases for an interval)";
    const whom = measured.group === "ALL" ? `all ${measured.n} cases of its test` : `${measured.n} cases of the same Fitzpatrick group (${measured.group})`;
    parts.push(el("h3", {}, "How well this model was measured"), el("p", {}, `On ${whom}, the reference condition came first in ${percent(measured.top_1)}${range(measured.top_1_interval)} and was among the first three in ${percent(measured.top_3)}${range(measured.top_3_interval)}. Always naming the commonest would reach ${percent(measured.floor_top_1)} and ${percent(measured.floor_top_3)}.`));
  }
  return parts.length ? el("div", {}, ...parts) : null;
}

function ranking(conditions, coverage, relied) {
  const items = conditions.map(({ name, probability, in_prediction_set: inSet }) => {
    const bar = el("i");
    bar.style.setProperty("--p", probability);
    const mark = inSet && relied ? el("span", { className: "mark" }, "in the prediction set") : null;
    return el("li", { className: inSet && relied ? "in" : "" }, el("span", {}, `${name} `, mark), el("span", {}, percent(probability)), bar);
  });
  const sets = relied && coverage ? el("p", { className: "quiet" }, `The prediction set is made to hold the right condition in ${percent(coverage)} of cases like those it was measured on.`) : null;
  return el("div", {}, el("h3", {}, "Conditions, most probable first"), el("ol", { className: "ranking" }, ...items), sets);
}

function images(known) {
  const items = known.images.filter((image) => image.quality).map(({ n, quality }) =>
    el("li", { className: quality.verdict }, el("strong", {}, `Image ${n}: ${VERDICTS[quality.verdict]}`), ...(quality.advice.length ? [list(quality.advice)] : [])));
  return items.length ? el("div", {}, el("h3", {}, "Images"), el("ul", { className: "images" }, ...items)) : el("div");
}

function facts(known) {
  const rows = [["Case", known.id]], model = known.outcome?.model;
  if (model) rows.push(["Model", `${model.name} ${model.version}`], ["Purpose", model.purpose]);
  return el("div", {}, el("h3", {}, "About this result"), el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])), el("p", { className: "quiet" }, known.notice));
}

const failed = (known) => el("div", { className: "problem" }, el("h3", {}, "This is our fault, not your images'"), `${known.failure.detail} (${known.failure.reason})`);
const words = (reason) => reason.toLowerCase().replaceAll("_", " ");

function problem(error) {
  const details = (error.errors ?? []).map((each) => each.detail).filter((detail) => detail !== error.detail);
  return el("div", { className: "problem" }, el("h3", {}, error.title ?? "Problem"), error.detail ?? String(error), ...(details.length ? [list(details)] : []));
}
