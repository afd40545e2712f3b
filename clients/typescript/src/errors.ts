import type { components } from "./schema.js";

export type Problem = components["schemas"]["Problem"];

/**
 * A call that did not succeed: a problem that the gateway answered (RFC 9457), or one of this client's own.
 *
 * `problem.reason` is a stable code: the gateway's, or NO_GATEWAY (nothing answers at the URL), NO_ANSWER (the connection broke, or the time was over),
 * NOT_FINISHED (the time to wait is over), NOT_DERMIS (an answer that is none of dermis). `problem.status` is 0 without an answer.
 */
export class DermisError extends Error {
  constructor(readonly problem: Problem) {
    super(`${problem.reason}: ${problem.detail}`);
  }

  /** Whether the same call may succeed later without a change. */
  get retryable(): boolean {
    return [408, 429, 502, 503, 504, 507].includes(this.problem.status) || ["NO_ANSWER", "NO_GATEWAY"].includes(this.problem.reason);
  }
}

export function own(reason: string, detail: string, { status = 0, title = "" } = {}): DermisError {
  return new DermisError({ type: "about:blank", title, status, detail, instance: "", reason, errors: [] });
}

/** Return the data of an answer, none of a 204, or throw the problem that it is; what stands between may answer with none. */
export function checked<T>({ data, error, response }: { data?: T; error?: unknown; response: Response }): NonNullable<T> {
  if (response.ok) return data as NonNullable<T>;
  if (error instanceof Object && "reason" in error) throw new DermisError({ errors: [], ...(error as Problem) });
  const { status, statusText: title } = response;
  throw own("NOT_DERMIS", `the server answered ${status} and no problem of dermis`, { status, title });
}
