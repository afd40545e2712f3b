/** Typed client of the dermis HTTP API; `schema.ts` is generated from the OpenAPI file, so no type of an answer is written by hand. */

import createClient, { type Client } from "openapi-fetch";
import { checked, own } from "./errors.js";
import { blobOf, type Image } from "./image.js";
import { retryAfter, retrying, sleep } from "./retry.js";
import type { components, paths } from "./schema.js";

export { DermisError, checked, type Problem } from "./errors.js";
export { events, type CaseEvent } from "./events.js";
export type { Image } from "./image.js";
export { upload, type ImageUpload, type UploadOptions } from "./upload.js";
export type { components, paths };
export type Schemas = components["schemas"];
export type Case = Schemas["Case"];
export type SelfReport = Schemas["SelfReport"];

export interface Submission {
  report?: SelfReport;
  consent?: Schemas["Consent"];
  shotTypes?: Schemas["ShotType"][];
  /** Ids of what `upload` sent, in place of images. */
  uploads?: string[];
  /** Your own opaque name of the case, which names no person. */
  clientReference?: string;
  /** Seconds in which it must be done, waits between tries among them. */
  timeout?: number;
  /** The same key with the same case never makes a second one; without it each call has a new key. */
  idempotencyKey?: string;
}

const LONGEST_WAIT = 20; // seconds
const TIMEOUT = 30; // seconds

/** Every route, typed: `dermis({ url }).GET("/v1/models")`; what is sent again for `timeout` seconds: `retrying`. */
export function dermis({ url, key, timeout = TIMEOUT }: { url: string; key?: string; timeout?: number }): Client<paths> {
  return createClient<paths>({ baseUrl: url, headers: key ? { Authorization: `Bearer ${key}` } : {}, fetch: retrying(timeout) });
}

/** Submit 1 to 3 images with what is known of them; resolves with the case when it is finished or failed; NOT_FINISHED after `timeout` seconds. */
export async function assess(client: Client<paths>, images: Image[], { timeout = 120, ...rest }: Submission = {}): Promise<Case> {
  const deadline = Date.now() + 1000 * timeout;
  const submitted = await submit(client, images, { ...rest, timeout, wait: timeout });
  return wait(client, submitted, { timeout: (deadline - Date.now()) / 1000 });
}

/**
 * Submit a case and resolve with it as answered: at once, or finished if that takes no longer than `wait` seconds (at most 20).
 *
 * The answer's `client_secret` opens this case alone: `dermis({ url, key: client_secret })`.
 */
export async function submit(
  client: Client<paths>,
  images: Image[],
  { timeout = TIMEOUT, wait = 0, idempotencyKey = crypto.randomUUID(), ...fields }: Submission & { wait?: number } = {},
): Promise<Case> {
  const headers = { ...prefer(Math.min(wait, timeout - 1)), "idempotency-key": idempotencyKey };
  const options = { params: { header: headers }, fetch: retrying(timeout) };
  const asJson = Boolean(fields.uploads?.length) && !images.length;
  const answer = await client.POST("/v1/cases", asJson ? { ...options, body: jsonOf(fields) } : { ...options, ...(await formOf(images, fields)) });
  return checked(answer) as Case; // the client's own types know no tuples
}

function jsonOf({ uploads, report = {}, consent = "ASSESS_ONLY", shotTypes = [], clientReference }: Submission) {
  return { uploads, self_report: report, consent, shot_types: shotTypes, client_reference: clientReference };
}

async function formOf(images: Image[], { uploads = [], report = {}, consent = "ASSESS_ONLY", shotTypes = [], clientReference }: Submission) {
  const form = new FormData();
  for (const image of images) form.append("images", await blobOf(image), "image");
  for (const id of uploads) form.append("uploads", id);
  for (const shotType of shotTypes) form.append("shot_types", shotType);
  form.append("self_report", JSON.stringify(report));
  form.append("consent", consent);
  if (clientReference !== undefined) form.append("client_reference", clientReference);
  // the file says what the form holds; FormData has no types for its fields
  return { body: form as never, bodySerializer: (body: unknown) => body as FormData };
}

/** Resolve with a case, or that of an id, once it is finished or failed; NOT_FINISHED after `timeout` seconds. */
export async function wait(client: Client<paths>, of: Case | string, { timeout = 120 }: { timeout?: number } = {}): Promise<Case> {
  const deadline = Date.now() + 1000 * timeout;
  const left = () => (deadline - Date.now()) / 1000;
  let latest = typeof of === "string" ? undefined : of;
  const id = typeof of === "string" ? of : of.id;
  while (!latest || !["FINISHED", "FAILED"].includes(latest.status)) {
    if (latest && left() <= 0) throw own("NOT_FINISHED", `case ${id} is ${latest.status} still; look again with GET /v1/cases/${id}`);
    const params = { path: { case_id: id }, header: prefer(left() - 1) };
    const answer = await client.GET("/v1/cases/{case_id}", { params, fetch: retrying(Math.max(1, left())) });
    latest = checked(answer) as Case;
    if (answer.response.headers.has("Retry-After")) await sleep(Math.max(0, Math.min(retryAfter(answer.response), left())));
  }
  return latest;
}

/** Return the header that asks to wait; callers leave a second for the answer to come. */
function prefer(seconds: number): { prefer?: string } {
  return seconds >= 1 ? { prefer: `wait=${Math.min(LONGEST_WAIT, Math.floor(seconds))}` } : {};
}
