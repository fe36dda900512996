// ethers against `braid-node dev`: accounts of the node, and events by filters and by WebSocket.
// node dev-ethers.mjs FOLDER-OF-ETHERS URL CONTRACTS.json
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [packages, url, contracts] = process.argv.slice(2)
const ethers = await import(pathToFileURL(`${packages}/node_modules/ethers/lib.esm/index.js`))
const { ContractFactory, JsonRpcProvider, WebSocketProvider, parseEther, verifyMessage } = ethers
const { verifyTypedData } = ethers

const { abi, evm } = JSON.parse(readFileSync(contracts)).contracts['src/Mint.sol'].SerialMint
const runtime = evm.deployedBytecode.object
const size = (runtime.length / 2).toString(16).padStart(4, '0')
const bytecode = `0x61${size}80600a5f395ff3${runtime}`

const http = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 })
const polled = new JsonRpcProvider(url, undefined, { cacheTimeout: -1, polling: true })
const socket = new WebSocketProvider(url.replace('http', 'ws'))
polled.pollingInterval = 50
http.pollingInterval = 50

// A signer whose key the node has.
const signer = await http.getSigner(0)
assert.equal((await http.listAccounts()).length, 10)
assert.equal(verifyMessage('hello', await signer.signMessage('hello')), signer.address)
const types = { Mail: [{ name: 'to', type: 'address' }, { name: 'text', type: 'string' }] }
const typed = [{ name: 'Braid', chainId: 31337 }, types, { to: signer.address, text: 'hello' }]
assert.equal(verifyTypedData(...typed, await signer.signTypedData(...typed)), signer.address)

const contract = await (await new ContractFactory(abi, bytecode, signer).deploy()).waitForDeployment()
const address = await contract.getAddress()

// Sends transactions until all of `awaited` have come: on a busy machine a subscription may begin
// only after a transaction, and then hears of the next one.
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
async function sendUntil(awaited, send) {
  const sent = []
  while (sent.length < 10) {
    await pause(400)
    sent.push(await send())
    const heard = await Promise.race([Promise.all(awaited), pause(2_000)])
    if (heard) return [sent, heard]
  }
  assert.fail('nothing was heard')
}

// Events by each provider, and blocks and transactions by WebSocket.
for (const [name, provider] of Object.entries({ http, polled, socket })) {
  const watched = contract.connect(provider)
  const id = await contract.nextId()
  const heard = new Promise((resolve) => watched.on('Transfer', (from, to, id) => resolve(id)))
  const block = new Promise((resolve) => provider.on('block', resolve))
  const [receipts, [heardId, heardBlock]] = await sendUntil([heard, block], async () => (await contract.mint()).wait())
  assert.ok(id <= heardId && heardId < id + BigInt(receipts.length), name)
  assert.ok(receipts.some(({ blockNumber }) => blockNumber === heardBlock), name)
  await watched.off('Transfer')
  await provider.off('block')
}
const to = '0x00000000000000000000000000000000000000b0'
const pending = new Promise((resolve) => socket.on('pending', resolve))
const [all, [hash]] = await sendUntil([pending], () => signer.sendTransaction({ to, value: parseEther('1') }))
assert.ok(all.some((sent) => sent.hash === hash))
// Confirmations come with empty blocks.
const waiting = all.at(-1).wait(3)
await http.send('evm_mine', [])
await http.send('evm_mine', [])
assert.equal((await waiting).status, 1)
console.log(`ok: ${await socket.getBlockNumber()} blocks`)
process.exit(0)
