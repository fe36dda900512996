// Compiles `src/*.sol` into `../testkit/artifacts/*.json`, byte for byte the same on every machine.
//
//   npm ci && node build.mjs           writes the artifacts
//   npm ci && node build.mjs --check   compares them with the committed ones; exit code 1 if any differ
//
// What keeps the output fixed: exact versions in package.json, hashes in package-lock.json, no
// metadata in the code, and a layout of the artifacts that does not depend on the compiler's order.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const solc = require("solc");

const root = dirname(fileURLToPath(import.meta.url));
const sources = join(root, "src");
// Inside the package that includes them, so that it can be published.
const artifacts = join(root, "..", "testkit", "artifacts");
// By the oldest fork that they run on; OpenZeppelin's ERC-721 needs MCOPY.
const contracts = {
  shanghai: [
    "Governance",
    "Lending",
    "NftGame",
    "Payouts",
    "Pool",
    "RangePool",
    "Rollup",
    "Router",
    "SupplyChain",
    "Token",
  ],
  cancun: ["Collectible"],
};

const settings = {
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  optimizer: { enabled: true, runs: 1_000_000 },
  viaIR: true,
};
const selected = [
  "abi",
  "evm.bytecode.object",
  "evm.deployedBytecode.object",
  "evm.deployedBytecode.immutableReferences",
  "evm.methodIdentifiers",
  "storageLayout",
];

/** Source text of an import that is not in `src`: a file of a package. */
function importCallback(path) {
  try {
    return { contents: readFileSync(join(root, "node_modules", path), "utf8") };
  } catch (cause) {
    return { error: `${path}: ${cause.message}` };
  }
}

/** Compiles for a fork; throws with the compiler's own words if anything is not clean. */
function compile(evmVersion) {
  const elsewhere = Object.entries(contracts)
    .filter(([fork]) => fork !== evmVersion)
    .flatMap(([, others]) => others.map((other) => `${other}.sol`));
  const names = readdirSync(sources)
    .filter((name) => name.endsWith(".sol") && !elsewhere.includes(name))
    .sort();
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(
      names.map((name) => [`src/${name}`, { content: readFileSync(join(sources, name), "utf8") }]),
    ),
    settings: { evmVersion, ...settings, outputSelection: { "*": { "*": selected } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: importCallback }));
  if (output.errors?.length) {
    throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
  }
  return output.contracts;
}

/** Where the given variables or members lie; the compiler's numbers of syntax nodes are left out. */
function placesOf(entries, types) {
  return Object.fromEntries(
    entries.map(({ label, slot, offset, type }) => [
      label,
      { slot: Number(slot), offset, bytes: Number(types[type].numberOfBytes), type: types[type].label },
    ]),
  );
}

/** The storage of a contract: its variables, and the members of every struct that they use. */
function layoutOf({ storageLayout: { storage, types } }) {
  // A contract without storage has no types.
  const structs = Object.values(types ?? {})
    .filter((type) => type.members)
    .map((type) => [type.label.replace(/^struct /, ""), placesOf(type.members, types)])
    .sort(([one], [other]) => (one < other ? -1 : 1));
  return { variables: placesOf(storage, types), structs: Object.fromEntries(structs) };
}

/** The text of one artifact. */
function artifactOf(name, contract, evmVersion) {
  const { bytecode, deployedBytecode, methodIdentifiers } = contract.evm;
  if (Object.keys(deployedBytecode.immutableReferences ?? {}).length) {
    throw new Error(`${name}: immutables would leave holes in the runtime code`);
  }
  const artifact = {
    contractName: name,
    source: `src/${name}.sol`,
    compiler: { version: solc.version(), settings: { evmVersion, ...settings } },
    license: "MIT OR Apache-2.0; includes OpenZeppelin Contracts, MIT",
    selectors: methodIdentifiers,
    storage: layoutOf(contract),
    runtimeCode: `0x${deployedBytecode.object}`,
    creationCode: `0x${bytecode.object}`,
    abi: contract.abi,
  };
  return `${JSON.stringify(artifact, null, 2)}\n`;
}

/** Writes one artifact, or compares it; returns whether it is what is committed. */
function settle(name, text, check) {
  const path = join(artifacts, `${name}.json`);
  if (!check) {
    writeFileSync(path, text);
    console.log(`wrote artifacts/${name}.json`);
    return true;
  }
  let committed = null;
  try {
    committed = readFileSync(path, "utf8");
  } catch {
    // A missing artifact differs like any other.
  }
  const same = committed === text;
  console.log(`artifacts/${name}.json: ${same ? "same" : "differs"}`);
  return same;
}

function main() {
  const check = process.argv.includes("--check");
  mkdirSync(artifacts, { recursive: true });
  let allSame = true;
  for (const [evmVersion, names] of Object.entries(contracts)) {
    const compiled = compile(evmVersion);
    for (const name of names) {
      const text = artifactOf(name, compiled[`src/${name}.sol`][name], evmVersion);
      allSame = settle(name, text, check) && allSame;
    }
  }
  process.exitCode = allSame ? 0 : 1;
}

main();
