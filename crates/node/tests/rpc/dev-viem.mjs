// viem against `braid-node dev`: its test client, and watchers over HTTP and WebSocket.
// node dev-viem.mjs FOLDER-OF-VIEM URL CONTRACTS.json
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [packages, url, contracts] = process.argv.slice(2)
const from = (file) => import(pathToFileURL(`${packages}/node_modules/viem/_esm/${file}`))
const viem = await from('index.js')
const { createTestClient, http, parseEther, publicActions, walletActions, webSocket } = viem
const { verifyMessage, verifyTypedData } = viem
const { foundry } = await from('chains/index.js')

const { abi, evm } = JSON.parse(readFileSync(contracts)).contracts['src/Mint.sol'].SerialMint
const runtime = evm.deployedBytecode.object
const size = (runtime.length / 2).toString(16).padStart(4, '0')
const bytecode = `0x61${size}80600a5f395ff3${runtime}`

const client = (mode, transport) =>
  createTestClient({ chain: foundry, mode, transport, pollingInterval: 50 })
    .extend(publicActions)
    .extend(walletActions)
const anvil = client('anvil', http(url))
const hardhat = client('hardhat', http(url))
const socket = client('anvil', webSocket(url.replace('http', 'ws')))

const [account, other] = await anvil.getAddresses()
const to = '0x00000000000000000000000000000000000000b0'

// Signatures of the node.
const message = 'hello'
const signature = await anvil.signMessage({ account, message })
assert.ok(await verifyMessage({ address: account, message, signature }))
const typed = {
  domain: { name: 'Braid', chainId: 31337 },
  types: { Mail: [{ name: 'text', type: 'string' }] },
  primaryType: 'Mail',
  message: { text: 'hello' },
}
const data = await anvil.signTypedData({ account, ...typed })
assert.ok(await verifyTypedData({ address: account, ...typed, signature: data }))

// A contract, and watchers of its events.
const deployed = await anvil.waitForTransactionReceipt({
  hash: await anvil.deployContract({ account, abi, bytecode }),
})
const address = deployed.contractAddress
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let minted = 0
for (const [name, reader] of Object.entries({ anvil, socket })) {
  const heard = { logs: [], blocks: [], hashes: [] }
  const failed = (error) => assert.fail(`${name}: ${error}`)
  const stop = [
    reader.watchContractEvent({ address, abi, onLogs: (logs) => heard.logs.push(...logs), onError: failed }),
    reader.watchBlocks({ onBlock: (block) => heard.blocks.push(block), onError: failed }),
    reader.watchPendingTransactions({ onTransactions: (all) => heard.hashes.push(...all), onError: failed }),
  ]
  await pause(500)
  // On a busy machine a watcher may begin only after a transaction, and then hears of the next one.
  const isHeard = ({ transactionHash, blockNumber }) =>
    heard.hashes.includes(transactionHash) && heard.blocks.some(({ number }) => number === blockNumber)
  const sent = []
  while (!heard.logs.some(isHeard) && sent.length < 10) {
    sent.push(await anvil.writeContract({ account, address, abi, functionName: 'mint' }))
    for (let waited = 0; waited < 40 && !heard.logs.some(isHeard); waited++) {
      await pause(50)
    }
  }
  assert.ok(heard.logs.some(isHeard), name)
  assert.ok(heard.logs.every(({ transactionHash }) => sent.includes(transactionHash)), name)
  assert.ok(heard.hashes.every((hash) => sent.includes(hash)), name)
  minted += sent.length
  stop.forEach((one) => one())
}
const filter = await anvil.createEventFilter({ address, fromBlock: 0n })
assert.equal((await anvil.getFilterLogs({ filter })).length, minted)
assert.equal((await anvil.getFilterChanges({ filter })).length, 0)
assert.ok(await anvil.uninstallFilter({ filter }))

// Control, by both kinds of names.
for (const tester of [anvil, hardhat]) {
  const id = await tester.snapshot()
  const head = await tester.getBlock()
  await tester.setBalance({ address: to, value: parseEther('5') })
  await tester.setNonce({ address: to, nonce: 9 })
  await tester.setCode({ address: to, bytecode: '0x60425f5260205ff3' })
  await tester.setStorageAt({ address: to, index: 2, value: `0x${'00'.repeat(31)}07` })
  assert.equal(BigInt((await tester.call({ to })).data), 0x42n)
  assert.equal(BigInt(await tester.getStorageAt({ address: to, slot: '0x2' })), 7n)
  await tester.impersonateAccount({ address: to })
  const hash = await tester.sendTransaction({ account: to, to: other, value: 1n })
  assert.equal((await tester.getTransactionReceipt({ hash })).status, 'success')
  await tester.stopImpersonatingAccount({ address: to })
  await tester.increaseTime({ seconds: 1000 })
  await tester.mine({ blocks: 2 })
  const later = await tester.getBlock()
  assert.ok(later.timestamp >= head.timestamp + 1000n)
  await tester.setNextBlockTimestamp({ timestamp: later.timestamp + 500n })
  await tester.mine({ blocks: 1 })
  assert.equal((await tester.getBlock()).timestamp, later.timestamp + 500n)
  await tester.setAutomine(false)
  assert.equal(await tester.getAutomine(), false)
  const dropped = await tester.sendTransaction({ account, to, value: 1n })
  await tester.dropTransaction({ hash: dropped })
  await tester.setAutomine(true)
  await tester.revert({ id })
  assert.equal((await tester.getBlock()).hash, head.hash)
  assert.equal(await tester.getBalance({ address: to }), 0n)
}
await anvil.reset()
assert.equal(await anvil.getBlockNumber({ cacheTime: 0 }), 0n)
// 300 reads at once, as tools send them.
const reads = await Promise.all(Array.from({ length: 300 }, () => anvil.getBalance({ address: account })))
assert.ok(reads.every((balance) => balance === parseEther('10000')))
console.log(`ok: ${reads.length} reads`)
process.exit(0)
