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
const gone = await client.GET("/v1/cases/{case_id}", { params: { path: { case_id: found.id } } });
assert.throws(() => checked(gone), (error) => error instanceof DermisError && error.problem.reason === "CASE_ERASED");
console.log(`TypeScript client: ${found.outcome.kind}, ${models.length} model(s), feedback kept, case erased`);
