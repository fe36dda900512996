// Compiles `src/*.sol` into `../../crates/blocks/artifacts/*.json`, byte for byte the same on every machine. `out/Mint.json` is
// what the compiler itself writes of `Mint.sol` (`solc --standard-json`): the names that `braid lint` is tried with.
//
//   npm ci && node build.mjs           writes the artifacts
//   npm ci && node build.mjs --check   compares them with the committed ones; exit code 1 if any differ
//
// What keeps the output fixed: exact versions in package.json, hashes in package-lock.json, no
// metadata in the code, and a layout of the artifacts that does not depend on the compiler's order.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const solc = require("solc");

const root = dirname(fileURLToPath(import.meta.url));
const sources = join(root, "src");
// Inside the package that includes them, so that it can be published.
const artifacts = join(root, "..", "..", "crates", "blocks", "artifacts");
const out = join(root, "out");
// By the oldest fork that they run on (OpenZeppelin's ERC-721 needs MCOPY), and by the compiler's way: the older one
// tells which line an instruction comes from.
const groups = [
  { evmVersion: "shanghai", viaIR: true, names: [
    "Governance", "Lending", "NftGame", "Payouts", "Pool", "RangePool", "Rollup", "Router", "SupplyChain", "Token",
  ] },
  { evmVersion: "shanghai", viaIR: false, names: ["CounterMint", "ParallelMint", "SerialMint"] },
  { evmVersion: "cancun", viaIR: true, names: ["Collectible"] },
];
// A contract is in the file that is called like it, or in this one.
const files = { CounterMint: "Mint", ParallelMint: "Mint", SerialMint: "Mint" };
const fileOf = (name) => `src/${files[name] ?? name}.sol`;

const settings = {
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  optimizer: { enabled: true, runs: 1_000_000 },
};
const selected = [
  "abi",
  "evm.bytecode.object",
  "evm.deployedBytecode.object",
  "evm.deployedBytecode.sourceMap",
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

/** Compiles a group; throws with the compiler's own words if anything is not clean. */
function compile({ evmVersion, viaIR, names: wanted }) {
  const elsewhere = groups.flatMap(({ names }) => names).filter((name) => !wanted.includes(name));
  const others = elsewhere.map((name) => basename(fileOf(name)));
  const names = readdirSync(sources)
    .filter((name) => name.endsWith(".sol") && !others.includes(name))
    .sort();
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(
      names.map((name) => [`src/${name}`, { content: readFileSync(join(sources, name), "utf8") }]),
    ),
    settings: { evmVersion, ...settings, viaIR, outputSelection: { "*": { "*": selected } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: importCallback }));
  if (output.errors?.length) {
    throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
  }
  return output;
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
function artifactOf(name, contract, { evmVersion, viaIR }) {
  const { bytecode, deployedBytecode, methodIdentifiers } = contract.evm;
  if (Object.keys(deployedBytecode.immutableReferences ?? {}).length) {
    throw new Error(`${name}: immutables would leave holes in the runtime code`);
  }
  const artifact = {
    contractName: name,
    source: fileOf(name),
    compiler: { version: solc.version(), settings: { evmVersion, ...settings, viaIR } },
    license: "MIT OR Apache-2.0; includes OpenZeppelin Contracts, MIT",
    selectors: methodIdentifiers,
    storage: layoutOf(contract),
    runtimeCode: `0x${deployedBytecode.object}`,
    creationCode: `0x${bytecode.object}`,
    abi: contract.abi,
  };
  return `${JSON.stringify(artifact, null, 2)}\n`;
}

/** What the compiler writes of `Mint.sol`, without what has no names. */
function compiledMint({ contracts: compiled, sources: known }) {
  const kept = Object.entries(compiled["src/Mint.sol"]).map(([name, { abi, storageLayout, evm }]) => {
    const { object, sourceMap } = evm.deployedBytecode;
    return [name, { abi, storageLayout, evm: { deployedBytecode: { object, sourceMap } } }];
  });
  const output = { contracts: { "src/Mint.sol": Object.fromEntries(kept) }, sources: known };
  return `${JSON.stringify(output)}\n`;
}

/** Writes one file, or compares it; returns whether it is what is committed. */
function settle(path, text, check) {
  const name = relative(root, path);
  if (!check) {
    writeFileSync(path, text);
    console.log(`wrote ${name}`);
    return true;
  }
  let committed = null;
  try {
    committed = readFileSync(path, "utf8");
  } catch {
    // A missing artifact differs like any other.
  }
  const same = committed === text;
  console.log(`${name}: ${same ? "same" : "differs"}`);
  return same;
}

function main() {
  const check = process.argv.includes("--check");
  for (const folder of [artifacts, out]) mkdirSync(folder, { recursive: true });
  let allSame = true;
  for (const group of groups) {
    const compiled = compile(group);
    for (const name of group.names) {
      const text = artifactOf(name, compiled.contracts[fileOf(name)][name], group);
      allSame = settle(join(artifacts, `${name}.json`), text, check) && allSame;
    }
    if (compiled.contracts["src/Mint.sol"]) {
      allSame = settle(join(out, "Mint.json"), compiledMint(compiled), check) && allSame;
    }
  }
  process.exitCode = allSame ? 0 : 1;
}

main();
