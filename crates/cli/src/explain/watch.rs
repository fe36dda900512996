//! Observes a transaction in revm: a database that records the first read of each account and slot,
//! and an inspector that records the accesses that no database sees.

use super::{location::Location, preimages::Preimages};
use alloy_primitives::{Address, B256, U256};
use revm::{
    Database, DatabaseCommit, DatabaseRef, Inspector,
    bytecode::opcode,
    context::ContextTr,
    database::{CacheDB, WrapDatabaseRef},
    interpreter::{
        CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, Interpreter,
        interpreter::EthInterpreter,
        interpreter_types::{Jumps, MemoryTr},
    },
    state::{AccountInfo, Bytecode, EvmState},
};
use std::time::{Duration, Instant};

/// Gas that a call with value gives its callee on top of the gas that the caller pays.
const STIPEND: u64 = 2_300;

/// Maximum length of a hash input that is recorded: a key of a mapping with the mapping's slot.
const LONGEST_INPUT: usize = 160;

/// First read of an account (`None`) or of one of its slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) account: Address,
    pub(super) slot: Option<U256>,
    /// Gas that the transaction's code has spent before.
    pub(super) gas: u64,
    /// Time since the start of the transaction.
    pub(super) time: Duration,
}

/// The state after the preceding transactions; records the reads of a transaction.
#[derive(Debug)]
pub(super) struct Tape<D: DatabaseRef> {
    pub(super) state: CacheDB<WrapDatabaseRef<D>>,
    /// Reads of the current transaction; revm's journal reads each account and slot once.
    pub(super) loads: Vec<Load>,
    /// Gas that the code of the current transaction has spent. Only the inspector advances it.
    gas: u64,
    began: Instant,
}

impl<D: DatabaseRef> Tape<D> {
    pub(super) fn new(database: D) -> Self {
        let state = CacheDB::new(WrapDatabaseRef(database));
        Self { state, loads: Vec::new(), gas: 0, began: Instant::now() }
    }

    /// Starts the next transaction.
    pub(super) fn begin(&mut self) {
        self.loads.clear();
        self.gas = 0;
        self.began = Instant::now();
    }

    /// Returns the time since the start of the transaction.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn note(&mut self, account: Address, slot: Option<U256>) {
        self.loads.push(Load { account, slot, gas: self.gas, time: self.began.elapsed() });
    }
}

impl<D: DatabaseRef> Database for Tape<D> {
    type Error = D::Error;

    fn basic(&mut self, account: Address) -> Result<Option<AccountInfo>, D::Error> {
        self.note(account, None);
        self.state.basic(account)
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, D::Error> {
        self.state.code_by_hash(hash)
    }

    fn storage(&mut self, account: Address, slot: U256) -> Result<U256, D::Error> {
        self.note(account, Some(slot));
        self.state.storage(account, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, D::Error> {
        self.state.block_hash(number)
    }
}

impl<D: DatabaseRef> DatabaseCommit for Tape<D> {
    fn commit(&mut self, changes: EvmState) {
        self.state.commit(changes);
    }
}

/// A contract's access to its own slot, ether or nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The location.
    pub location: Location,
    /// The called function of the contract; `None` if the input has fewer than four bytes, or while
    /// the contract is created.
    pub function: Option<[u8; 4]>,
    /// The instruction; `None` where the contract receives ether.
    pub instruction: Option<Instruction>,
    /// Whether it may change the value: a store, a payment, a creation.
    pub stores: bool,
}

/// An instruction of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instruction {
    /// Account whose code runs: a different one if the contract runs a library or is a proxy.
    pub code: Address,
    /// Position in the code.
    pub counter: usize,
}

/// Inspector's record of the current transaction.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Accounts whose balance the transaction has read or changed.
    pub(super) balances: Vec<Address>,
    /// Accounts whose nonce it has used.
    pub(super) nonces: Vec<Address>,
    /// Accounts whose code it has run or read.
    pub(super) codes: Vec<Address>,
    /// Called contracts, with the first four bytes of the input.
    pub(super) calls: Vec<(Address, [u8; 4])>,
    /// Inputs of hashes of the whole block.
    pub(super) preimages: Preimages,
    /// Accesses of contracts to their own slots, ether and nonces.
    pub(super) sites: Vec<Site>,
    /// Open frames: the called function, and the account whose code runs.
    frames: Vec<(Option<[u8; 4]>, Address)>,
    /// Gas spent at the start of each frame.
    bases: Vec<u64>,
    /// Gas spent so far, as of the last instruction.
    spent: u64,
    /// Input of the hash that is being computed.
    hashed: Option<Vec<u8>>,
}

impl Watch {
    /// Starts the next transaction.
    pub(super) fn begin(&mut self) {
        self.balances.clear();
        self.nonces.clear();
        self.codes.clear();
        self.calls.clear();
        self.sites.clear();
        self.frames.clear();
        self.bases.clear();
        self.spent = 0;
        self.hashed = None;
    }

    /// Returns the gas spent so far, if `interpreter` is the running frame.
    fn spent_in(&self, interpreter: &Interpreter<EthInterpreter>) -> u64 {
        let base = self.bases.last().copied().unwrap_or_default();
        base.saturating_add(interpreter.gas.limit().saturating_sub(interpreter.gas.remaining()))
    }

    /// Opens a frame with this gas limit, all of which the caller has paid except `given`.
    fn enter(&mut self, limit: u64, given: u64) {
        let base = self.spent.saturating_sub(limit.saturating_sub(given));
        // The outermost frame: nothing was spent before it.
        self.bases.push(if self.bases.is_empty() { 0 } else { base });
    }

    /// Records that the running instruction accesses a location of its contract.
    fn site(
        &mut self,
        interpreter: &Interpreter<EthInterpreter>,
        location: Location,
        stores: bool,
    ) {
        let (function, code) = self.frames.last().copied().unwrap_or_default();
        let instruction = Some(Instruction { code, counter: interpreter.bytecode.pc() });
        self.sites.push(Site { location, function, instruction, stores });
    }
}

fn address(word: U256) -> Address {
    Address::from_word(B256::from(word))
}

impl<C, D> Inspector<C, EthInterpreter> for Watch
where
    C: ContextTr<Db = Tape<D>>,
    D: DatabaseRef,
{
    fn step(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut C) {
        context.db_mut().gas = self.spent_in(interpreter);
        let word = |index| interpreter.stack.peek(index).unwrap_or_default();
        let contract = interpreter.input.target_address;
        match interpreter.bytecode.opcode() {
            opcode::KECCAK256 => {
                let (offset, size) = (word(0).saturating_to(), word(1).saturating_to::<usize>());
                let end = usize::checked_add(offset, size);
                let is_known = end.is_some_and(|end| end <= interpreter.memory.size());
                self.hashed = (is_known && (32..=LONGEST_INPUT).contains(&size))
                    .then(|| interpreter.memory.slice_len(offset, size).to_vec());
            }
            code @ (opcode::SLOAD | opcode::SSTORE) => {
                let slot = Location::Slot(contract, word(0));
                self.site(interpreter, slot, code == opcode::SSTORE);
            }
            opcode::BALANCE => {
                let account = address(word(0));
                self.balances.push(account);
                if account == contract {
                    self.site(interpreter, Location::Balance(contract), false);
                }
            }
            opcode::SELFBALANCE => {
                self.balances.push(contract);
                self.site(interpreter, Location::Balance(contract), false);
            }
            opcode::CALL if !word(2).is_zero() => {
                self.site(interpreter, Location::Balance(contract), true);
            }
            opcode::CREATE | opcode::CREATE2 => {
                self.site(interpreter, Location::Nonce(contract), true);
                if !word(0).is_zero() {
                    self.site(interpreter, Location::Balance(contract), true);
                }
            }
            opcode::SELFDESTRUCT => {
                self.balances.extend([contract, address(word(0))]);
                self.site(interpreter, Location::Balance(contract), true);
            }
            opcode::EXTCODESIZE | opcode::EXTCODECOPY | opcode::EXTCODEHASH => {
                self.codes.push(address(word(0)));
            }
            _ => {}
        }
    }

    fn step_end(&mut self, interpreter: &mut Interpreter<EthInterpreter>, _: &mut C) {
        self.spent = self.spent_in(interpreter);
        if let Some(input) = self.hashed.take()
            && let Ok(hash) = interpreter.stack.peek(0)
        {
            self.preimages.add(hash, &input);
        }
    }

    fn call(&mut self, context: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let moves = inputs.transfers_value();
        self.enter(inputs.gas_limit, if moves { STIPEND } else { 0 });
        if moves {
            self.balances.extend([inputs.caller, inputs.target_address]);
        }
        self.codes.push(inputs.bytecode_address);
        let input = inputs.input.as_bytes(context);
        let selector = input.first_chunk().copied();
        if let Some(selector) = selector {
            self.calls.push((inputs.target_address, selector));
        }
        if moves {
            let location = Location::Balance(inputs.target_address);
            self.sites.push(Site { location, function: selector, instruction: None, stores: true });
        }
        // Another account's code that runs on the contract's storage belongs to the called
        // function.
        let is_own = matches!(inputs.scheme, CallScheme::DelegateCall | CallScheme::CallCode);
        let function = self.frames.last().filter(|_| is_own).map_or(selector, |frame| frame.0);
        self.frames.push((function, inputs.bytecode_address));
        None
    }

    fn call_end(&mut self, _: &mut C, _: &CallInputs, _: &mut CallOutcome) {
        self.frames.pop();
        self.bases.pop();
    }

    fn create(&mut self, _: &mut C, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.enter(inputs.gas_limit(), 0);
        self.frames.push((None, Address::ZERO));
        self.nonces.push(inputs.caller());
        if !inputs.value().is_zero() {
            self.balances.push(inputs.caller());
        }
        None
    }

    fn create_end(&mut self, _: &mut C, _: &CreateInputs, _: &mut CreateOutcome) {
        self.frames.pop();
        self.bases.pop();
    }
}
