// Runs the built client against a running system: node smoke.mjs URL IMAGE [KEY]
import { readFile } from "node:fs/promises";
import assert from "node:assert/strict";
import { DermisError, assess, checked, dermis } from "./dist/index.js";

const [url, image, key] = process.argv.slice(2);
const client = dermis({ url, key });
const found = await assess(client, [new Blob([await readFile(image)], { type: "image/jpeg" })], { report: { related_category: "RASH" } });
assert.equal(found.status, "FINISHED");
assert.ok(found.outcome.differential.length > 1);
assert.equal(found.guidance.clinical_review, "none");
const { models } = checked(await client.GET("/v1/models"));
assert.ok(models.some((model) => model.current));
const { batches } = checked(await client.GET("/v1/batches"));
assert.deepEqual(batches, []);
const keyless = await dermis({ url }).GET("/v1/batches");
assert.throws(() => checked(keyless), (error) => error instanceof DermisError && error.problem.reason === "SCOPE");
const given = checked(await client.POST("/v1/cases/{case_id}/feedback", { params: { path: { case_id: found.id } }, body: { helpful: true } }));
assert.equal(given.case_id, found.id);
const erased = await client.DELETE("/v1/cases/{case_id}", { params: { path: { case_id: found.id } } });
assert.equal(erased.response.status, 204);
assert.equal(checked(erased), undefined);
const gone = await client.GET("/v1/cases/{case_id}", { params: { path: { case_id: found.id } } });
assert.throws(() => checked(gone), (error) => error instanceof DermisError && error.problem.reason === "CASE_ERASED");
await unsaid();
console.log(`TypeScript client: ${found.outcome.kind}, ${models.length} model(s), feedback kept, case erased`);

// A proxy that answers for the system, and someone who waits for three seconds at most.
async function unsaid() {
  const { fetch } = globalThis, asked = [];
  globalThis.fetch = async ({ headers }) => {
    asked.push(headers.get("prefer"));
    return new Response("<html>", { status: 502, headers: { "Content-Type": "text/html" } });
  };
  const refused = assess(dermis({ url }), [new Blob([])], { timeout: 3 });
  await assert.rejects(refused, (error) => error instanceof DermisError && error.problem.status === 502 && error.problem.reason === "NOT_DERMIS");
  assert.deepEqual(asked, ["wait=2"]);
  globalThis.fetch = fetch;
}
