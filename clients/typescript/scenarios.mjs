// Runs scenarios by the built client: a JSON line each on standard input, one with what came of it on standard output. node scenarios.mjs URL
import { createInterface } from "node:readline";
import { readFile } from "node:fs/promises";
import { DermisError, assess, checked, dermis, events, submit, upload, wait } from "./dist/index.js";

const [url] = process.argv.slice(2);

const CALLS = {
  assess: async (client, { image, report, timeout }) => ended(await assess(client, [image], { report, timeout })),
  models: async (client) => (checked(await client.GET("/v1/models")), { status: "OK" }),
  nowhere: async () => checked(await dermis({ url: "http://127.0.0.1:2" }).GET("/v1/models")),
  feedback: async (client) =>
    checked(await client.POST("/v1/cases/{case_id}/feedback", { params: { path: { case_id: "case_1" } }, body: { helpful: true } })),
  events: async (client, { image }) => {
    const names = [];
    for await (const event of events(client, (await submit(client, [image])).id)) names.push(event.name);
    return { events: names };
  },
  twice: async (client, { image }) => {
    const idempotencyKey = crypto.randomUUID();
    const [first, second] = [await submit(client, [image], { idempotencyKey }), await submit(client, [image], { idempotencyKey })];
    return { status: first.id === second.id ? "SAME" : "OTHER" };
  },
  reused: async (client, { image }) => {
    const idempotencyKey = crypto.randomUUID();
    await submit(client, [image], { idempotencyKey });
    return ended(await submit(client, [image], { idempotencyKey, report: { textures: ["FLAT"] } }));
  },
  erased: async (client, { image }) => {
    const params = { path: { case_id: (await submit(client, [image])).id } };
    checked(await client.DELETE("/v1/cases/{case_id}", { params }));
    return checked(await client.GET("/v1/cases/{case_id}", { params }));
  },
  upload: async (client, scenario) => {
    const progress = [];
    return { ...uploaded(await send(client, scenario, { progress })), progress };
  },
  resumed: async (client, scenario) => {
    const progress = [];
    const { id, ended } = await begin(client, scenario, 2);
    return { ...uploaded(await send(client, scenario, { resume: id, progress })), ended, progress };
  },
  upload_deleted: async (client, scenario) => {
    const { id } = await begin(client, scenario, 1);
    checked(await client.DELETE("/v1/uploads/{upload_id}", { params: { path: { upload_id: id } } }));
    return uploaded(await send(client, scenario, { resume: id }));
  },
  upload_of_another: async (client, scenario) => {
    const { id } = await begin(client, scenario, 1);
    return uploaded(await send(other(scenario.keys.other), scenario, { resume: id }));
  },
  case_of_anothers_upload: async (client, scenario) =>
    ended(await submit(other(scenario.keys.other), [], { uploads: [(await send(client, scenario)).id] })),
  expired: async (client, scenario) => uploaded(await send(client, scenario, { resume: scenario.expired })),
  case_of_expired: async (client, { expired }) => ended(await submit(client, [], { uploads: [expired] })),
  case_of_upload: async (client, scenario) => ended(await assess(client, [], { uploads: [(await send(client, scenario)).id] })),
  upload_taken_twice: async (client, scenario) => {
    const uploads = [(await send(client, scenario)).id];
    await submit(client, [], { uploads });
    return ended(await submit(client, [], { uploads }));
  },
  publishable: async (client, scenario) => {
    const { id, client_secret } = await publish(scenario);
    const done = await wait(other(client_secret), id);
    const { cases } = checked(await client.GET("/v1/cases", { params: { query: { client_reference: "draft-7", order: "newest" } } }));
    return { ...ended(done), reference: cases.some((each) => each.id === done.id) ? "draft-7" : null };
  },
  publishable_reads: async (_, scenario) => ended(await read(other(scenario.keys.publishable), (await publish(scenario)).id)),
  secret_of_another: async (client, scenario) => {
    const { client_secret } = await publish(scenario);
    return ended(await read(other(client_secret), (await submit(client, [scenario.image])).id));
  },
};

const other = (key) => dermis({ url, key });
const read = async (client, id) => checked(await client.GET("/v1/cases/{case_id}", { params: { path: { case_id: id } } }));

/** Upload and submit as an app does, whose key only creates. */
async function publish(scenario) {
  const app = other(scenario.keys.publishable);
  return submit(app, [], { uploads: [(await send(app, scenario)).id], clientReference: "draft-7" });
}

/** Upload the scenario's image in as many pieces as it has; `progress` takes how far it is, in pieces. */
async function send(client, { image, size, pieces = 1, timeout }, { progress = [], ...options } = {}) {
  const pieceBytes = Math.ceil(size / pieces) || 1;
  const onProgress = (state) => {
    progress.push(state.offset === state.length ? Math.ceil(state.offset / pieceBytes) : state.offset / pieceBytes);
    options.onProgress?.(state, progress.at(-1));
  };
  return upload(client, image, { pieceBytes, ...(timeout && { timeout }), ...options, onProgress });
}

/** Begin an upload, end the call by its signal at piece `stopAt`, and return the upload's id. */
async function begin(client, scenario, stopAt) {
  const ending = new AbortController();
  let id;
  const onProgress = (state, pieces) => {
    id = state.id;
    if (pieces >= stopAt) ending.abort(new Error("enough"));
  };
  try {
    await send(client, scenario, { signal: ending.signal, onProgress });
    return { id, ended: false };
  } catch (error) {
    if (error.message !== "enough") throw error;
    return { id, ended: true };
  }
}

function uploaded({ status, quality }) {
  return { status, verdict: quality?.verdict };
}

function ended({ status, livemode, outcome }) {
  return { status, livemode, kind: outcome?.kind, reason: outcome?.reason };
}

async function imageOf({ image, file }) {
  const bytes = image && (await readFile(file));
  return { size: bytes?.length, image: image === "stream" ? new Blob([bytes]).stream() : bytes };
}

for await (const line of createInterface({ input: process.stdin })) {
  const scenario = JSON.parse(line);
  const client = dermis({ url, key: scenario.keys.key, timeout: scenario.timeout });
  const options = { ...scenario, ...(await imageOf(scenario)) };
  let answer;
  try {
    answer = await CALLS[scenario.call](client, options);
  } catch (error) {
    if (!(error instanceof DermisError)) answer = { error: String(error.stack) };
    else {
      const { reason, status, errors = [] } = error.problem;
      answer = { error: reason, http_status: status || null, codes: errors.map((each) => each.code), pointers: errors.map((each) => each.pointer) };
    }
  }
  console.log(JSON.stringify(answer));
}
