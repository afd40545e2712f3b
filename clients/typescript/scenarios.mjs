// Runs scenarios by the built client: a JSON line each on standard input, one with what came of it on standard output. node scenarios.mjs URL KEY
import { createInterface } from "node:readline";
import { readFile } from "node:fs/promises";
import { DermisError, assess, checked, dermis, events, submit } from "./dist/index.js";

const [url, key] = process.argv.slice(2);

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
};

function ended({ status, livemode, outcome }) {
  return { status, livemode, kind: outcome?.kind, reason: outcome?.reason };
}

async function imageOf({ image, file }) {
  const bytes = image && (await readFile(file));
  return image === "stream" ? new Blob([bytes]).stream() : bytes;
}

for await (const line of createInterface({ input: process.stdin })) {
  const scenario = JSON.parse(line);
  const client = dermis({ url, key, timeout: scenario.timeout });
  const options = { report: scenario.report, timeout: scenario.timeout, image: await imageOf(scenario) };
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
