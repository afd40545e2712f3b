import { own } from "./errors.js";

const FIRST_WAIT = 0.2; // seconds
const AGAIN = 1; // seconds until a busy gateway is asked again where it does not say when
const LONGEST_WAIT = 30; // seconds
/** How often a request is sent at most where the connection fails: about 1.4 s of waiting in all. */
export const MOST_ATTEMPTS = 4;
const BUSY = [429, 503];
const NULL_BODY = [204, 205, 304];

/** Resolve after so many seconds; reject as soon as `signal` aborts. */
export function sleep(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, 1000 * seconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Return the seconds to wait before attempt number `attempt` (2, 3, ...) after a connection that failed. */
export const waitBefore = (attempt: number) => FIRST_WAIT * 2 ** (attempt - 2);

/**
 * Return a `fetch` that sends a request again for `timeout` seconds at most: where the gateway is busy (429, 503), when `Retry-After` says so; where the connection
 * fails, three times more (`attempts` in all). What could be done twice by that is not sent again: a case has an Idempotency-Key for it, feedback, batches and
 * webhooks have none.
 */
export function retrying(timeout: number, { attempts = MOST_ATTEMPTS } = {}): (request: Request) => Promise<Response> {
  return async (request) => {
    const deadline = Date.now() + 1000 * timeout;
    const late = (wait: number) => Date.now() + 1000 * wait > deadline;
    for (let attempt = 1; ; attempt += 1) {
      let wait = waitBefore(attempt + 1);
      try {
        const response = await whole(request.clone(), deadline - Date.now());
        if (!isBusy(request, response)) return response;
        wait = retryAfter(response);
        if (late(wait)) return response;
      } catch (fault) {
        if (request.signal.aborted) throw fault; // the caller's own wish
        if (attempt >= attempts || late(wait) || !(isUnsent(fault) || isRepeatable(request))) throw lost(request.url, fault);
      }
      await sleep(wait, request.signal);
    }
  };
}

/**
 * Return an answer with its whole body, so that what breaks off on the way is sent again too.
 *
 * `AbortSignal.any` of a timeout would be shorter, but Node 20 may collect its timer as garbage, after which nothing ends the wait.
 */
async function whole(request: Request, milliseconds: number): Promise<Response> {
  request.signal.throwIfAborted();
  const ending = new AbortController();
  const stop = () => ending.abort(request.signal.reason);
  const timer = setTimeout(() => ending.abort(new DOMException("no answer in time", "TimeoutError")), Math.max(1, milliseconds));
  request.signal.addEventListener("abort", stop);
  try {
    const { status, statusText, headers, body } = await fetch(request, { signal: ending.signal }).then(async (response) => ({
      status: response.status,
      statusText: response.statusText,
      headers: response.headers,
      body: NULL_BODY.includes(response.status) ? null : await response.arrayBuffer(),
    }));
    return new Response(body, { status, statusText, headers });
  } finally {
    clearTimeout(timer);
    request.signal.removeEventListener("abort", stop);
  }
}

function isBusy(request: Request, response: Response): boolean {
  return BUSY.includes(response.status) && (response.status === 429 || isRepeatable(request)); // a 503 may come after a write, a 429 never does
}

function isRepeatable({ method, headers, url }: Request): boolean {
  // An upload that is begun twice leaves one that ends by itself, and a piece of one is not taken twice.
  return method !== "POST" || headers.has("Idempotency-Key") || headers.has("Tus-Resumable") || new URL(url).pathname.endsWith(":assess");
}

function isUnsent(fault: unknown): boolean {
  const code = (fault as { cause?: { code?: string } })?.cause?.code; // Node's; browsers do not say
  return code !== undefined && ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"].includes(code);
}

export function lost(url: string, fault: unknown): Error {
  const { origin } = new URL(url);
  if (isUnsent(fault)) return own("NO_GATEWAY", `nothing answers at ${origin}; start dermis there (\`dermis up\`), or correct the address`);
  return own("NO_ANSWER", `${origin}: ${fault instanceof Error ? fault.message : String(fault)}`);
}

/** Return the seconds that `Retry-After` asks for, as a number or a date, at most 30. */
export function retryAfter(response: Response): number {
  const text = response.headers.get("Retry-After") ?? "";
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? AGAIN : Math.min(Math.max(0, seconds), LONGEST_WAIT);
}
