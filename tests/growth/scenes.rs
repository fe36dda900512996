//! Blocks of any size.

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, keccak256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_blocks::sequential::request_contracts;
use braid_evm::{Block, CancellationToken, Cloned, Config, Executor, Ommer};
use core::num::NonZeroU16;
use core::time::Duration;
use revm::bytecode::opcode;
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::context_interface::either::Either;
use revm::context_interface::transaction::{
    Authorization, RecoveredAuthority, RecoveredAuthorization,
};
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Size of the smallest block, in transactions or other items.
pub(crate) const LEAST: u64 = 1_024;
/// Slot with slow reads.
const SLOW: u64 = u64::MAX;
const CONTRACT: Address = Address::repeat_byte(0xcc);
/// Contract of EIP-7002.
const REQUESTS: Address = address!("0x00000961Ef480Eb55e80D19ad83579A64c007002");

/// A block, and the state before it.
#[derive(Clone, Debug)]
pub(crate) struct Growing {
    pub(crate) block: Arc<Block>,
    pub(crate) database: Watched,
}

impl Growing {
    /// Returns the state, in which a read of `last` cancels `token`.
    pub(crate) fn cancelling(&self, last: Address, token: CancellationToken) -> Hooked<Watched> {
        Hooked::watched(self.database.clone(), move |read| {
            if read == Read::Account(last) {
                token.cancel();
            }
        })
    }
}

type Watched = Hooked<Arc<MemoryDatabase>>;

/// Returns a state of `accounts` in which reads of [`SLOW`] are slow.
fn watched(accounts: BTreeMap<Address, MemoryAccount>) -> Watched {
    Hooked::watched(Arc::new(MemoryDatabase::new(accounts)), |read| {
        if matches!(read, Read::Slot(_, slot) if slot == U256::from(SLOW)) {
            std::thread::sleep(Duration::from_millis(600));
        }
    })
}

fn numbered(kind: u8, index: u64) -> Address {
    let mut address = Address::repeat_byte(kind);
    address.0[12..].copy_from_slice(&index.to_be_bytes());
    address
}

fn sender(index: u64) -> Address {
    numbered(0x5e, index)
}

fn pay(index: u64, to: Address) -> TxEnv {
    TxEnv {
        caller: sender(index),
        kind: TxKind::Call(to),
        value: U256::ONE,
        gas_limit: 21_000,
        gas_price: 10,
        chain_id: Some(1),
        ..TxEnv::default()
    }
}

fn call(index: u64) -> TxEnv {
    TxEnv { value: U256::ZERO, gas_limit: 100_000, ..pay(index, CONTRACT) }
}

fn growing(spec: SpecId, transactions: Vec<TxEnv>, code: Code) -> Growing {
    let since = |fork| spec.is_enabled_in(fork);
    let blob_price = BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 };
    let env = BlockEnv {
        number: U256::from(1_000),
        beneficiary: Address::repeat_byte(0xbe),
        gas_limit: 1 << 50,
        prevrandao: since(SpecId::MERGE).then_some(B256::repeat_byte(0x77)),
        blob_excess_gas_and_price: since(SpecId::CANCUN).then_some(blob_price),
        ..BlockEnv::default()
    };
    let rich = MemoryAccount { balance: U256::from(10_u64.pow(19)), ..MemoryAccount::default() };
    let senders = transactions.iter().map(|tx| (tx.caller, rich.clone()));
    let mut accounts: BTreeMap<_, _> = senders.collect();
    let contract = MemoryAccount { nonce: 1, code: code.bytes(), ..MemoryAccount::default() };
    accounts.insert(CONTRACT, contract);
    accounts.extend(ending(spec));
    let block = Block {
        cfg: CfgEnv::new_with_spec(spec),
        env,
        transactions,
        parent_beacon_block_root: since(SpecId::CANCUN).then_some(B256::repeat_byte(0x4b)),
        withdrawals: since(SpecId::SHANGHAI).then(Vec::new),
        ..Block::default()
    };
    Growing { block: Arc::new(block), database: watched(accounts) }
}

/// Returns the request contracts, with code that stops at once.
fn ending(spec: SpecId) -> impl Iterator<Item = (Address, MemoryAccount)> {
    let code = Code::new().op(opcode::STOP).bytes();
    let contract = MemoryAccount { nonce: 1, code, ..MemoryAccount::default() };
    request_contracts(spec).into_iter().map(move |address| (address, contract.clone()))
}

/// Applies `change` to the block.
fn changed(mut scene: Growing, change: impl FnOnce(&mut Block)) -> Growing {
    change(Arc::make_mut(&mut scene.block));
    scene
}

pub(crate) fn payments(count: u64) -> Growing {
    let transactions = (0..count).map(|index| pay(index, numbered(0xd0, index))).collect();
    growing(SpecId::PRAGUE, transactions, Code::new())
}

/// Every second transaction has a wrong nonce.
pub(crate) fn rejected(count: u64) -> Growing {
    let tx = |index| TxEnv { nonce: index % 2, ..pay(index, numbered(0xd0, index)) };
    growing(SpecId::PRAGUE, (0..count).map(tx).collect(), Code::new())
}

/// Half of the transactions fill the block, and the others have no room.
pub(crate) fn without_room(count: u64) -> Growing {
    changed(payments(count), |block| block.env.gas_limit = 21_000 * count / 2)
}

/// All transactions pay one account.
pub(crate) fn credited(count: u64) -> Growing {
    let transactions = (0..count).map(|index| pay(index, numbered(0xd0, 0))).collect();
    growing(SpecId::PRAGUE, transactions, Code::new())
}

pub(crate) fn created(count: u64) -> Growing {
    creating(count, deploying(Code::new().op(0x00)))
}

/// Each transaction creates a contract that destroys itself at once.
pub(crate) fn destroyed(count: u64) -> Growing {
    creating(count, Code::new().selfdestruct(Address::repeat_byte(0xde)).bytes())
}

fn creating(count: u64, data: Bytes) -> Growing {
    let create = |index| TxEnv { kind: TxKind::Create, data: data.clone(), ..call(index) };
    growing(SpecId::PRAGUE, (0..count).map(create).collect(), Code::new())
}

/// Each transaction delegates an account to the contract.
pub(crate) fn authorised(count: u64) -> Growing {
    let tx = |index| {
        let inner = Authorization { chain_id: U256::ONE, address: CONTRACT, nonce: 0 };
        let authority = RecoveredAuthority::Valid(numbered(0xab, index));
        let authorization = RecoveredAuthorization::new_unchecked(inner, authority);
        let authorization_list = vec![Either::Right(authorization)];
        TxEnv { tx_type: 4, gas_priority_fee: Some(1), authorization_list, ..call(index) }
    };
    growing(SpecId::PRAGUE, (0..count).map(tx).collect(), Code::new())
}

/// Each transaction writes four logs.
pub(crate) fn log_topics(count: u64) -> Growing {
    let log = |code: Code, topic: u64| code.push(topic).log_top(topic);
    let code = (0..4).fold(Code::new(), log);
    growing(SpecId::PRAGUE, (0..count).map(call).collect(), code)
}

/// Each transaction depends on the preceding one.
pub(crate) fn counter(count: u64) -> Growing {
    growing(SpecId::PRAGUE, (0..count).map(call).collect(), Code::new().increment(0, 1))
}

/// One transaction names that many slots in its access list, and the others a few.
pub(crate) fn access_list_entries(count: u64) -> Growing {
    let tx = |index| {
        let slots = if index == 0 { count } else { 4 };
        let storage_keys = (0..slots).map(|slot| B256::from(U256::from(slot))).collect();
        let access_list = AccessList(vec![AccessListItem { address: CONTRACT, storage_keys }]);
        let gas_limit = 100_000 + 2_500 * slots;
        TxEnv { tx_type: 1, access_list, gas_limit, ..call(index) }
    };
    growing(SpecId::PRAGUE, (0..count / 4).map(tx).collect(), Code::new())
}

/// The second transaction writes eight times as many slots, and writes them again after the slow
/// first transaction has changed a value it read.
pub(crate) fn republished(count: u64) -> Growing {
    let count = 8 * count;
    let stores = |code: Code| {
        let code = code.sload(0).op(opcode::POP).push(count);
        let again = code.len();
        let code = code.op(opcode::JUMPDEST).push(1).op(opcode::DUP2).op(opcode::SSTORE);
        let code = code.push(1).op(opcode::SWAP1).op(opcode::SUB).op(opcode::DUP1);
        code.push(again as u64).op(opcode::JUMPI).op(opcode::STOP)
    };
    let code = Code::new().op(opcode::CALLDATASIZE).if_nonzero(stores);
    let code = code.sload(SLOW).op(opcode::POP).sstore(0, 1);
    let gas_limit = 100_000 + 30_000 * count;
    let second = TxEnv { gas_limit, data: Bytes::from([1]), ..call(1) };
    growing(SpecId::CANCUN, vec![call(0), second], code)
}

pub(crate) fn withdrawals(count: u64) -> Growing {
    let withdrawal = |index| Withdrawal {
        index,
        address: numbered(0xd0, index),
        amount: 5,
        validator_index: index,
    };
    changed(payments(64), |block| block.withdrawals = Some((0..count).map(withdrawal).collect()))
}

pub(crate) fn ommers(count: u64) -> Growing {
    let transactions = (0..64).map(|index| pay(index, numbered(0xd0, index))).collect();
    let ommer = |index| Ommer { beneficiary: numbered(0xd1, index), number: 999 };
    let scene = growing(SpecId::LONDON, transactions, Code::new());
    changed(scene, |block| block.ommers = (0..count).map(ommer).collect())
}

/// The system contract of EIP-7002 returns that many requests.
pub(crate) fn requests(count: u64) -> Growing {
    let mut scene = payments(64);
    let code = Code::new().push(76 * count).push(0).op(0xf3).bytes();
    let contract = MemoryAccount { nonce: 1, code, ..MemoryAccount::default() };
    let rich = MemoryAccount { balance: U256::from(10_u64.pow(19)), ..MemoryAccount::default() };
    let senders = (0..64).map(|index| (sender(index), rich.clone()));
    let accounts = senders.chain(ending(SpecId::PRAGUE)).chain([(REQUESTS, contract)]).collect();
    scene.database = watched(accounts);
    scene
}

/// Each transaction logs a deposit of zeros in the layout of EIP-6110.
pub(crate) fn deposits(count: u64) -> Growing {
    let topic = keccak256("DepositEvent(bytes,bytes,bytes,bytes,bytes)");
    let fields = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];
    let store = |code: Code, at: u64, word: u64| code.push(word).push(at).op(opcode::MSTORE);
    let layout =
        |code, (index, (offset, length))| store(store(code, 32 * index, offset), offset, length);
    let code = (0_u64..).zip(fields).fold(Code::new(), layout);
    let code = code.push(U256::from_be_bytes(topic.0)).push(576).push(0).op(opcode::LOG1);
    let scene = growing(SpecId::PRAGUE, (0..count).map(call).collect(), code.op(opcode::STOP));
    changed(scene, |block| block.rules.deposit_contract = Some(CONTRACT))
}

/// Payments, with the access list of the block.
pub(crate) fn listed(count: u64) -> Growing {
    let scene = payments(count);
    let mut config = Config::with_workers(NonZeroU16::MIN);
    config.access_list = true;
    let mut executor = Executor::new(config).expect("no threads");
    let source = Cloned(scene.database.clone());
    let output = executor.block(Arc::clone(&scene.block)).state(source).execute();
    let list = output.expect("a valid block").access_list.map(Arc::new);
    changed(scene, |block| block.access_list = list)
}
