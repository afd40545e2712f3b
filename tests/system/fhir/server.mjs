// Medplum's FHIR R4 router over its store in memory, behind HTTP. POST /validate answers what is wrong with a bundle.
import { createServer } from 'node:http';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';
import { getStatus } from '@medplum/core';
import { faults } from './validate.mjs';

const router = new FhirRouter();
const repository = new MemoryRepository();

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
}

async function answer(request) {
  const url = new URL(request.url, 'http://localhost');
  const sent = await body(request);
  if (url.pathname === '/validate') return [200, faults(sent)];
  const [outcome, resource] = await router.handleRequest(
    {
      method: request.method,
      url: `${url.pathname}${url.search}`,
      pathname: '', // set by the router
      params: {},
      query: Object.fromEntries(url.searchParams),
      body: sent,
      headers: request.headers,
      config: { transactions: true },
    },
    repository,
  );
  return [getStatus(outcome), resource ?? outcome];
}

const server = createServer((request, response) => {
  answer(request)
    .catch((error) => [500, { error: String(error.stack) }])
    .then(([status, resource]) => {
      response.writeHead(status, { 'Content-Type': 'application/fhir+json' });
      response.end(JSON.stringify(resource));
    });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
