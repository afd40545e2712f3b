/** Typed client of the dermis HTTP API; `schema.ts` is generated from the OpenAPI file, so no type here is written by hand. */

import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, paths };
export type Schemas = components["schemas"];
export type Case = Schemas["Case"];
export type SelfReport = Schemas["SelfReport"];
export type Problem = Schemas["Problem"];

const LONGEST_WAIT = 20; // seconds

/** A problem that the gateway answered (RFC 9457); `reason` is a stable code. */
export class DermisError extends Error {
  constructor(readonly problem: Problem) {
    super(`${problem.reason}: ${problem.detail}`);
  }
}

/** Every route, typed: `dermis({ url }).GET("/v1/models")`. */
export function dermis({ url, key }: { url: string; key?: string }): Client<paths> {
  return createClient<paths>({ baseUrl: url, headers: key ? { Authorization: `Bearer ${key}` } : {} });
}

/** Submit 1 to 3 images with what is known of them; resolves with the case when it is finished or failed, or after `seconds`. */
export async function assess(
  client: Client<paths>,
  images: Blob[],
  { report = {}, consent = "ASSESS_ONLY", seconds = 120 }: { report?: SelfReport; consent?: Schemas["Consent"]; seconds?: number } = {},
): Promise<Case> {
  const deadline = Date.now() + 1000 * seconds;
  const prefer = () => `wait=${Math.max(1, Math.min(LONGEST_WAIT, Math.ceil((deadline - Date.now()) / 1000)))}`;
  const form = new FormData();
  for (const image of images) form.append("images", image, "image");
  form.append("self_report", JSON.stringify(report));
  form.append("consent", consent);
  let known = checked(
    await client.POST("/v1/cases", {
      params: { header: { prefer: prefer(), "idempotency-key": globalThis.crypto?.randomUUID() } },
      body: form as never, // the file says what the form holds; FormData has no types for its fields
      bodySerializer: (body: unknown) => body as FormData,
    }),
  );
  while (known.status !== "FINISHED" && known.status !== "FAILED" && Date.now() < deadline) {
    known = checked(await client.GET("/v1/cases/{case_id}", { params: { path: { case_id: known.id }, header: { prefer: prefer() } } }));
  }
  return known as Case; // the client's own types know no tuples
}

/** Return the data of an answer, none of a 204, or throw the problem that it is; what stands between may answer with none. */
export function checked<T>({ data, error, response }: { data?: T; error?: unknown; response: Response }): NonNullable<T> {
  if (response.ok) return data as NonNullable<T>;
  const { status, statusText: title } = response;
  const unsaid = { type: "about:blank", title, status, detail: `the server answered ${status} and no problem`, instance: "", reason: "UNSAID", errors: [] };
  throw new DermisError(error instanceof Object && "reason" in error ? (error as Problem) : unsaid);
}
