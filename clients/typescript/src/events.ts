import type { Client } from "openapi-fetch";
import { checked } from "./errors.js";
import { MOST_ATTEMPTS, lost, sleep } from "./retry.js";
import type { components, paths } from "./schema.js";

const LAST = ["outcome", "failed", "erased"];

/** One fact of a case: `id` is its ordinal, `case` what is known with it, null if the case was erased. */
export interface CaseEvent {
  id: number;
  name: string;
  case: components["schemas"]["Case"] | null;
}

/** Yield each event of a case as it comes, until the case ends; a stream that breaks goes on after the last event. */
export async function* events(client: Client<paths>, caseId: string): AsyncGenerator<CaseEvent> {
  let last = "";
  let failures = 0;
  let asked = "http://unknown";
  const noted = (request: Request) => {
    asked = request.url;
    return fetch(request);
  };
  for (;;) {
    try {
      const params = { path: { case_id: caseId }, header: last ? { "last-event-id": last } : {} };
      const answer = await client.GET("/v1/cases/{case_id}/events", { params, parseAs: "stream", fetch: noted });
      if (answer.response.status === 204) return;
      for await (const event of parsed(checked(answer) as unknown as ReadableStream<Uint8Array>)) {
        last = String(event.id);
        failures = 0;
        yield event;
        if (LAST.includes(event.name)) return;
      }
    } catch (fault) {
      if (!(fault instanceof TypeError)) throw fault; // fetch's own of a connection that failed
      failures += 1;
      if (failures >= MOST_ATTEMPTS) throw lost(asked, fault);
    }
    await sleep(1);
  }
}

async function* parsed(stream: ReadableStream<Uint8Array>): AsyncGenerator<CaseEvent> {
  const reader = stream.pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).trim()]));
        const { id, event: name, data } = fields;
        if (id && name && data) yield { id: Number(id), name, case: name === "erased" ? null : JSON.parse(data) };
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
