#!/usr/bin/env node
// The npm compiler under the command line that forge expects of a native solc.
//
// METERSEAL_NODE_MODULES names the folder that holds the package. Output goes out by writeSync: a
// process that exits while its standard output is a full pipe would cut it at 64 KiB.
import { createRequire } from "node:module";
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";

const solc = createRequire(join(process.env.METERSEAL_NODE_MODULES, "package.json"))("solc");

function write(text) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    at += writeSync(1, bytes, at);
  }
}

if (process.argv.includes("--version")) {
  const version = solc.version().replace("Emscripten.clang", "Linux.g++");
  write(`solc, the solidity compiler commandline interface\nVersion: ${version}\n`);
} else {
  write(solc.compile(readFileSync(0, "utf8")));
}
