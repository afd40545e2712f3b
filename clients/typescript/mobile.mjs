// Runs the app and the server of docs/how-to/mobile.md, compiled to dist/app: node mobile.mjs APP_URL APP_KEY SERVER_URL SERVER_KEY PHOTO
// The app's address is a bad network's. A line of JSON says what came of it, and which webhooks came, by their type.
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { setTimeout } from "node:timers/promises";
import { dermis } from "@dermis/client";
import { receiver, run, subscribe } from "./dist/app/mobile.js";

const [appUrl, appKey, serverUrl, serverKey, photo] = process.argv.slice(2);
const LAST = "case.erased";
const SECONDS = 60;

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  return port;
}

const port = await freePort();
const address = `http://127.0.0.1:${port}/hook`;
const { secret } = await subscribe(dermis({ url: serverUrl, key: serverKey }), address);
const notices = new Map();
const http = receiver(secret, (id, notice) => notices.set(id, notice)).listen(port, "127.0.0.1");
const headers = { "webhook-id": "msg_1", "webhook-timestamp": String(Math.floor(Date.now() / 1000)), "webhook-signature": "v1,Zm9yZ2Vk" };
const forged = await fetch(address, { method: "POST", headers, body: JSON.stringify({ type: LAST, data: {} }) });
const result = await run(appUrl, appKey, new Blob([await readFile(photo)]));
let webhooks = {};
for (const end = Date.now() + 1000 * SECONDS; !webhooks[LAST] && Date.now() < end; await setTimeout(100)) {
  webhooks = Object.fromEntries([...notices.values()].map(({ type, data }) => [type, data]));
}
console.log(JSON.stringify({ ...result, forged: forged.status, webhooks }));
http.close();
http.closeAllConnections();
