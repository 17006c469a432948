// SPDX-License-Identifier: Apache-2.0
// node judge.mjs FILE…: prints one JSON line of complaints for each AsyncAPI document.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "package.json"));
const { Parser } = require("@asyncapi/parser");
const parser = new Parser();

for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await parser.parse(await readFile(file, "utf8"));
  const complaints = diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path }));
  console.log(JSON.stringify({ understood: document !== undefined, complaints }));
}
