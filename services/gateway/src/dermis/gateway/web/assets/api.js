/** The gateway's HTTP API. A problem (RFC 9457) is thrown; one without a status means that nothing was answered. */
import { has, online, pause, t } from "./dom.js";

const lost = () => ({ detail: t("error.offline") });
/** A problem's own words are English and for programs: people read the page's, by its reason. */
const words = (status, reason) => t(has(`refusal.${reason}`) ? `refusal.${reason}` : status === 429 || status >= 500 ? "refusal.busy" : "refusal.other");
const refused = (status, problem, wait) => ({ ...problem, status, wait, detail: words(status, problem?.reason) });
const retryAfter = (value) => Math.max(1, Number(value) || 1);

/** The page translates an answer itself, into the language that a person chose here, by what it says in English. */
const ENGLISH = "en";

async function ask(path, options = {}) {
  const headers = { ...options.headers, "Accept-Language": ENGLISH };
  const response = await fetch(path, { ...options, headers }).catch((error) => { throw error.name === "AbortError" ? error : lost(); });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw refused(response.status, problem, retryAfter(response.headers.get("Retry-After")));
}

/** Send a photo ahead of its case; resolves with `{ id, expires_at, quality }`, `quality` null where nobody judged it in time. */
export async function upload(blob, signal) {
  return (await ask("/v1/uploads", { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: blob, signal })).json();
}

export const discard = (id) => ask(`/v1/uploads/${id}`, { method: "DELETE" });

export const links = async (id) => (await ask(`/v1/cases/${id}/shares`)).json();
export const makeLink = async (id, asked) =>
  (await ask(`/v1/cases/${id}/shares`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked) })).json();
export const endLink = (id, link) => ask(`/v1/cases/${id}/shares/${link}`, { method: "DELETE" });

/** Send a case; `progress` gets the share of its bytes that went out. XMLHttpRequest, as fetch tells nothing of that. */
export function submit(form, key, progress) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/cases");
    request.setRequestHeader("Idempotency-Key", key);
    request.setRequestHeader("Accept-Language", ENGLISH);
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded, total }) => progress(total ? loaded / total : 0));
    request.addEventListener("error", () => fail(lost()));
    request.addEventListener("load", () => {
      const { status, response } = request;
      if (status < 300 && response) return done(response);
      fail(refused(status, response, retryAfter(request.getResponseHeader("Retry-After"))));
    });
    request.send(form);
  });
}

export const show = async (id) => (await ask(`/v1/cases/${id}`)).json();
export const erase = (id) => ask(`/v1/cases/${id}`, { method: "DELETE" });
/** Where the prepared photo `n` of a case is. */
export const imageUrl = (id, n) => `/v1/cases/${id}/images/${n}`;
export const heatmap = async (id, n, condition) => (await ask(`/v1/cases/${id}/images/${n}/heatmap?condition=${encodeURIComponent(condition)}`)).blob();
export const feedback = (id, given) =>
  ask(`/v1/cases/${id}/feedback`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given) });

export const ended = (known) => known.status !== "RECEIVED" && known.status !== "ASSESSED";

/** Follow a case to its end and return it: by events, and by asking again where they don't come through. */
export async function follow(known, { news, waiting, signal }) {
  while (!ended(known) && !signal.aborted) {
    known = await listen(known, news, signal);
    if (ended(known) || signal.aborted) break;
    if (!navigator.onLine) waiting();
    await online();
    await pause(1);
    try {
      known = await show(known.id);
      news(known);
    } catch (error) {
      if (error.status && error.status < 500) throw error;
      waiting();
    }
  }
  return known;
}

const listen = (known, news, signal) => new Promise((done) => {
  const source = new EventSource(`/v1/cases/${known.id}/events?lang=${ENGLISH}`);
  const stopped = new AbortController();
  const stop = () => { source.close(); stopped.abort(); done(known); };
  for (const fact of ["received", "assessed", "failed", "outcome", "erased"]) {
    source.addEventListener(fact, (event) => {
      known = { ...known, ...JSON.parse(event.data) };
      ended(known) ? stop() : news(known);
    });
  }
  source.addEventListener("error", stop);
  addEventListener("offline", stop, { signal: stopped.signal });
  signal.addEventListener("abort", stop, { signal: stopped.signal });
});
