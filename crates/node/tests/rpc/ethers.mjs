// Another client that is not of this project, ethers, against `braid-node run --rpc`.
// node ethers.mjs FOLDER-OF-ETHERS URL CONTRACTS.json
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [packages, url, contracts] = process.argv.slice(2)
const { ContractFactory, JsonRpcProvider, Wallet, parseEther } = await import(
  pathToFileURL(`${packages}/node_modules/ethers/lib.esm/index.js`)
)

// As docs/NODE.md says.
const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 })
provider.pollingInterval = 50
const wallet = new Wallet(`0x${'11'.repeat(32)}`, provider)
assert.equal((await provider.getNetwork()).chainId, 7008n)

// A contract of this repository, compiled by solc, behind the code that returns what follows it.
const { abi, evm } = JSON.parse(readFileSync(contracts)).contracts['src/Mint.sol'].SerialMint
const runtime = evm.deployedBytecode.object
const size = (runtime.length / 2).toString(16).padStart(4, '0')
const factory = new ContractFactory(abi, `0x61${size}80600a5f395ff3${runtime}`, wallet)
const contract = await (await factory.deploy()).waitForDeployment()
const address = await contract.getAddress()
assert.equal(await provider.getCode(address), `0x${runtime}`)

// Three calls, sent without waiting for each other, and a payment.
const sent = []
for (let i = 0; i < 3; i++) sent.push(await contract.mint())
const to = '0x00000000000000000000000000000000000000b0'
const value = parseEther('3')
sent.push(await wallet.sendTransaction({ to, value }))
const receipts = await Promise.all(sent.map((tx) => tx.wait()))
assert.ok(receipts.every(({ status }) => status === 1))
assert.equal(await provider.getBalance(to), value)
assert.equal(await contract.nextId(), 3n)
assert.equal(await contract.ownerOf(2n), wallet.address)

// Their logs: all, and those of one token.
const mints = (...args) => contract.queryFilter(contract.filters.Transfer(...args), 0)
assert.deepEqual((await mints()).map(({ args }) => args.id), [0n, 1n, 2n])
const [mint] = await mints(null, null, 1n)
assert.equal(mint.transactionHash, sent[1].hash)

// The state after an earlier block, and a call from an account with code.
const { blockNumber } = receipts[0]
const before = (await mints()).filter((log) => log.blockNumber <= blockNumber)
assert.equal(await contract.nextId({ blockTag: blockNumber }), BigInt(before.length))
assert.equal(await contract.connect(provider).nextId({ from: address }), 3n)

// Errors, as the client understands them.
const fails = (code, promise) => assert.rejects(promise, { code })
await fails('NONCE_EXPIRED', wallet.sendTransaction({ to, nonce: 0, gasLimit: 21_000 }))
const poor = new Wallet(`0x${'22'.repeat(32)}`, provider)
await fails('INSUFFICIENT_FUNDS', poor.sendTransaction({ to, value, gasLimit: 21_000 }))
// Its logs as they come. Where there are no filters, it asks for logs itself.
const heard = new Promise((resolve) => contract.on('Transfer', (from, owner, id) => resolve(id)))
// On a busy machine it may begin only after a transaction, and then hears of the next one.
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let id
for (let minted = 0; id === undefined && minted < 10; minted++) {
  await pause(500)
  await (await contract.mint()).wait()
  id = await Promise.race([heard, pause(2_000)])
}
assert.ok(id >= 3n)
await contract.off('Transfer')
// An account without ether, before it signs anything.
await fails('INSUFFICIENT_FUNDS', poor.sendTransaction({ to, value }))
await fails('INSUFFICIENT_FUNDS', provider.estimateGas({ from: poor.address, to, value: 1 }))
console.log(`ok: ${await provider.getBlockNumber()} blocks`)
provider.destroy()
