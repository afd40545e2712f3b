import type { Client } from "openapi-fetch";
import { DermisError, checked, own } from "./errors.js";
import { blobOf, type Image } from "./image.js";
import { retrying, sleep, waitBefore } from "./retry.js";
import type { components, paths } from "./schema.js";

export type ImageUpload = components["schemas"]["ImageUpload"];

export interface UploadOptions {
  /** Id of an upload that was begun before, to go on with it. */
  resume?: string;
  /** Hears of the upload when it has begun and after each piece; what it throws ends the call. */
  onProgress?: (upload: ImageUpload) => void;
  /** Ends the call with its reason; the upload can be resumed until it expires. */
  signal?: AbortSignal;
  pieceBytes?: number;
  /** Seconds for which a cut connection is gone on with. */
  timeout?: number;
}

const TUS = { "Tus-Resumable": "1.0.0" };
const PIECE_BYTES = 512 * 1024; // as many as the gateway stores at once
const TIMEOUT = 300; // seconds
const LONGEST_WAIT = 5; // seconds
const RESUMED_REASONS = ["NO_ANSWER", "NO_GATEWAY", "UPLOAD_OFFSET"];
const RESUMED_STATUSES = [408, 502, 504];

/**
 * Send an image ahead of its case in pieces (tus 1.0.0), and resolve with its upload and the verdict of a worker.
 *
 * A connection that is cut goes on where the gateway has come, for `timeout` seconds; after that, `resume` takes the upload's id and goes on. Whoever names an
 * upload's id has it, so keep it as a secret. IMAGE: the image has another length than the upload to resume.
 */
export async function upload(
  client: Client<paths>,
  image: Image,
  { resume, onProgress = () => {}, signal, pieceBytes = PIECE_BYTES, timeout = TIMEOUT }: UploadOptions = {},
): Promise<ImageUpload> {
  const deadline = Date.now() + 1000 * timeout;
  const calls = new UploadCalls(client, deadline, signal);
  const blob = await blobOf(image);
  let state = await (resume ? calls.state(resume) : calls.begin(blob.size));
  if (state.length !== blob.size) {
    throw own("IMAGE", `upload ${state.id} is of ${state.length} bytes, the image has ${blob.size}; name the image as it was, or begin anew`);
  }
  onProgress(state);
  while (state.status === "UPLOADING") {
    state = await advance(calls, state, blob, pieceBytes);
    onProgress(state);
  }
  if (state.refusal) throw own(state.refusal.reason, state.refusal.detail);
  return state;
}

/** Send the next piece and resolve with the upload as it is then; after a cut ask first how far it has come. */
async function advance(calls: UploadCalls, begun: ImageUpload, blob: Blob, pieceBytes: number): Promise<ImageUpload> {
  let state = begun;
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (attempt > 1) state = await calls.state(state.id);
      if (state.status !== "UPLOADING") return state;
      const start = state.offset ?? 0;
      const offset = await calls.send(state.id, start, blob.slice(start, start + pieceBytes));
      return offset < blob.size ? { ...state, offset } : await calls.state(state.id);
    } catch (error) {
      const wait = Math.min(waitBefore(attempt + 1), LONGEST_WAIT);
      if (!(error instanceof DermisError) || !mayResume(error) || calls.left() < wait) throw error;
      await sleep(wait, calls.signal);
    }
  }
}

class UploadCalls {
  constructor(
    private readonly client: Client<paths>,
    private readonly deadline: number,
    readonly signal: AbortSignal | undefined,
  ) {}

  left(): number {
    return (this.deadline - Date.now()) / 1000;
  }

  async begin(length: number): Promise<ImageUpload> {
    const headers = { ...TUS, "Upload-Length": String(length) };
    return checked(await this.client.POST("/v1/uploads", { headers, body: undefined as never, signal: this.signal }));
  }

  async state(id: string): Promise<ImageUpload> {
    const params = { path: { upload_id: id } };
    const options = { params, headers: TUS, signal: this.signal, fetch: retrying(this.left()) };
    return checked(await this.client.GET("/v1/uploads/{upload_id}", options));
  }

  /** Send a piece that begins at `offset` and resolve with how far the upload is then. */
  async send(id: string, offset: number, piece: Blob): Promise<number> {
    const headers = { ...TUS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
    const answer = await this.client.PATCH("/v1/uploads/{upload_id}", {
      params: { path: { upload_id: id } },
      headers,
      body: piece as never, // the file says that it is bytes, for which the types have a string
      bodySerializer: (body: unknown) => body as Blob,
      signal: this.signal,
      fetch: retrying(this.left(), { attempts: 1 }),
    });
    checked(answer);
    const text = answer.response.headers.get("Upload-Offset") ?? "";
    if (!/^\d+$/.test(text)) throw own("NOT_DERMIS", "the answer has no Upload-Offset; what stands between drops it");
    return Number(text);
  }
}

/** Return whether the connection was cut, or the gateway has come further than thought. */
function mayResume({ problem }: DermisError): boolean {
  return RESUMED_REASONS.includes(problem.reason) || RESUMED_STATUSES.includes(problem.status);
}
