// Compile src/ into the artifact that the aggregator deploys: the same bytes on every machine.
//
//   node build.mjs [--modules DIR] [--out FILE]
//
// The compiler is the npm package solc, pinned in package-lock.json. No metadata is appended, so the code depends on
// the source and the settings below alone. London: no PUSH0, so that every target runs it.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const option = (name, otherwise) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : process.argv[at + 1];
};
const out = option("--out", join(here, "../aggregator/meterseal_aggregator/artifacts/MeterSealLog.json"));
const require = createRequire(join(option("--modules", join(here, "node_modules")), "package.json"));

const read = (file) => readFileSync(join(here, file), "utf8");
const settings = {
  evmVersion: "london",
  optimizer: { enabled: true, runs: 10000 },
  metadata: { bytecodeHash: "none", appendCBOR: false },
};
const input = {
  language: "Solidity",
  sources: {
    "src/MeterSealLog.sol": { content: read("src/MeterSealLog.sol") },
    "src/Rfc9162.sol": { content: read("src/Rfc9162.sol") },
  },
  settings: {
    ...settings,
    outputSelection: {
      "src/MeterSealLog.sol": {
        MeterSealLog: ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"],
      },
    },
  },
};

const solc = require("solc");
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const faults = (output.errors ?? []).map((error) => error.formattedMessage);
if (faults.length > 0) {
  // A warning is a fault too.
  writeSync(2, faults.join("\n") + "\n");
  process.exit(1);
}
const contract = output.contracts["src/MeterSealLog.sol"].MeterSealLog;
const artifact = {
  contract: "MeterSealLog",
  compiler: { name: "solc", version: solc.version(), settings },
  abi: contract.abi,
  storageLayout: contract.storageLayout.storage.map(({ label, slot, offset }) => ({ label, slot, offset })),
  bytecode: "0x" + contract.evm.bytecode.object,
  deployedBytecode: "0x" + contract.evm.deployedBytecode.object,
};
writeFileSync(out, JSON.stringify(artifact, null, 1) + "\n");
