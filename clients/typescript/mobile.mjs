// Runs the app of docs/how-to/mobile.md, compiled to dist/app: node mobile.mjs URL KEY PHOTO
import { readFile } from "node:fs/promises";
import { run } from "./dist/app/mobile.js";

const [url, key, photo] = process.argv.slice(2);
console.log(JSON.stringify(await run(url, key, new Blob([await readFile(photo)]))));
