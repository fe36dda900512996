// A wallet and a test tool that are not of this project, viem, against `braid-node run --rpc`.
// node client.mjs FOLDER-OF-VIEM URL CONTRACTS.json
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [packages, url, contracts] = process.argv.slice(2)
const from = (file) => import(pathToFileURL(`${packages}/node_modules/viem/_esm/${file}`))
const { createPublicClient, createWalletClient, defineChain, http, parseEther } =
  await from('index.js')
const { privateKeyToAccount } = await from('accounts/index.js')

const chain = defineChain({
  id: 7008,
  name: 'Braid',
  nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [url] } },
})
const reader = createPublicClient({ chain, transport: http(), pollingInterval: 50 })
const account = privateKeyToAccount(`0x${'11'.repeat(32)}`)
const wallet = createWalletClient({ account, chain, transport: http() })
const receipt = (hash) => reader.waitForTransactionReceipt({ hash, timeout: 60_000 })

assert.equal(await reader.getChainId(), 7008)
assert.equal(await reader.getBlockNumber({ cacheTime: 0 }), 0n)
const before = await reader.getBalance({ address: account.address })
assert.equal(before, parseEther('1000'))

// A transfer.
const to = '0x00000000000000000000000000000000000000b0'
const paid = await receipt(await wallet.sendTransaction({ to, value: parseEther('3') }))
assert.equal(paid.status, 'success')
assert.equal(paid.gasUsed, 21_000n)
assert.equal(await reader.getBalance({ address: to }), parseEther('3'))
const cost = paid.gasUsed * paid.effectiveGasPrice + parseEther('3')
assert.equal(await reader.getBalance({ address: account.address }), before - cost)

// A contract of this repository, compiled by solc.
const { abi, evm } = JSON.parse(readFileSync(contracts)).contracts['src/Mint.sol'].SerialMint
const runtime = evm.deployedBytecode.object
// The code that returns what follows it.
const size = (runtime.length / 2).toString(16).padStart(4, '0')
const bytecode = `0x61${size}80600a5f395ff3${runtime}`
const deployed = await receipt(await wallet.deployContract({ abi, bytecode }))
assert.equal(deployed.status, 'success')
const address = deployed.contractAddress
const code = await reader.getCode({ address })
assert.equal(code, `0x${runtime}`)

// Three calls, sent without waiting for each other.
let nonce = await reader.getTransactionCount({ address: account.address, blockTag: 'pending' })
const sent = []
for (let i = 0; i < 3; i++) {
  sent.push(await wallet.writeContract({ address, abi, functionName: 'mint', nonce: nonce++ }))
}
const receipts = await Promise.all(sent.map(receipt))
assert.ok(receipts.every(({ status }) => status === 'success'))
assert.equal(await reader.readContract({ address, abi, functionName: 'nextId' }), 3n)
assert.equal(
  await reader.readContract({ address, abi, functionName: 'ownerOf', args: [2n] }),
  account.address,
)
// Slot 3 is that of `nextId`.
assert.equal(BigInt(await reader.getStorageAt({ address, slot: '0x3' })), 3n)

// Their logs: all, those of one token, those of no token.
const mints = (args) =>
  reader.getContractEvents({ address, abi, eventName: 'Transfer', args, fromBlock: 0n })
const logs = await mints({})
assert.deepEqual(logs.map(({ args }) => args.id), [0n, 1n, 2n])
assert.deepEqual(logs.map(({ transactionHash }) => transactionHash), sent)
assert.equal((await mints({ id: 1n })).length, 1)
assert.equal((await mints({ id: 9n })).length, 0)

// Blocks and transactions.
const block = await reader.getBlock({ blockHash: receipts[2].blockHash, includeTransactions: true })
const found = block.transactions.find(({ hash }) => hash === sent[2])
assert.equal(found.from, account.address.toLowerCase())
assert.equal(found.to, address.toLowerCase())
assert.equal((await reader.getTransaction({ hash: sent[0] })).nonce, receipts.length - 1)
const parent = await reader.getBlock({ blockNumber: block.number - 1n })
assert.equal(block.parentHash, parent.hash)
assert.ok(block.timestamp > parent.timestamp)

// Fees.
const history = await reader.getFeeHistory({ blockCount: 2, rewardPercentiles: [50] })
assert.equal(history.baseFeePerGas.length, 3)
assert.ok((await reader.getGasPrice()) > 0n)
const { maxFeePerGas } = await reader.estimateFeesPerGas()
assert.ok(maxFeePerGas >= block.baseFeePerGas)

// Errors, as the client understands them.
const fails = async (name, promise) => {
  const error = await promise.then(() => assert.fail(`${name}: no error`), (error) => error)
  const walked = error.walk?.((one) => one.name === name)
  assert.ok(walked, `${name}: ${error}`)
}
const value = parseEther('1')
await fails('NonceTooLowError', wallet.sendTransaction({ to, value, nonce: 0, gas: 21_000n }))
const poor = privateKeyToAccount(`0x${'22'.repeat(32)}`)
const empty = createWalletClient({ account: poor, chain, transport: http() })
await fails('InsufficientFundsError', empty.sendTransaction({ to, value, gas: 21_000n }))
await fails('InsufficientFundsError', empty.sendTransaction({ to, value }))
await fails(
  'ContractFunctionExecutionError',
  reader.readContract({ address, abi, functionName: 'ownerOf', args: [0n], blockNumber: 0n }),
)
console.log(`ok: ${block.number} blocks`)
