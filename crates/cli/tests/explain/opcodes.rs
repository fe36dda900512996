//! A second recorder, which follows every instruction and must find the same chains and conflicts
//! on real blocks.
//!
//! It uses neither revm's journal nor the reads of the database. It tracks slots, balances and
//! reverted calls itself, and compares each transaction with all earlier ones.

use crate::support::{block_files, fixtures};
use alloy_primitives::{Address, B256, U256};
use braid_blocks::{
    block::Block,
    block_file::{BlockFile, FileDatabase},
};
use braid_cli::explain::{Axis, Graph, Location, Recording, Rule, WhatIf, conflicts, record};
use revm::{
    Context, DatabaseCommit, InspectEvm, Inspector, MainBuilder, MainContext, SystemCallCommitEvm,
    bytecode::opcode,
    context::ContextTr,
    context_interface::transaction::{AuthorizationTr, Transaction as _},
    database::{CacheDB, WrapDatabaseRef},
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter, InterpreterAction,
        interpreter::EthInterpreter,
        interpreter_types::{Jumps, LoopControl},
    },
    state::EvmState,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

type Reads = BTreeSet<Location>;

/// Effects of a transaction, instruction by instruction.
#[derive(Default)]
struct Instructions {
    reads: Reads,
    /// Current values of written slots, by frame, the outermost first.
    stored: Vec<HashMap<Location, U256>>,
    /// Values of slots before the transaction.
    before: HashMap<Location, U256>,
    /// Ether gained and lost by accounts, by frame.
    moved: Vec<HashMap<Address, (U256, U256)>>,
    /// Contracts created or destroyed, by frame.
    replaced: Vec<BTreeSet<Address>>,
    /// Accounts that have created contracts, by frame.
    creators: Vec<BTreeSet<Address>>,
    /// Locations that the current instruction reads unless it fails.
    pending: Vec<Location>,
    store: Option<(Location, U256)>,
}

fn address(word: U256) -> Address {
    Address::from_word(B256::from(word))
}

impl Instructions {
    fn enter(&mut self) {
        self.stored.push(HashMap::new());
        self.moved.push(HashMap::new());
        self.replaced.push(BTreeSet::new());
        self.creators.push(BTreeSet::new());
    }

    /// Ends the innermost frame. Its effects become its caller's if `keep` is set.
    fn leave(&mut self, keep: bool) {
        let stored = self.stored.pop().expect("a frame");
        let moved = self.moved.pop().expect("a frame");
        let replaced = self.replaced.pop().expect("a frame");
        let creators = self.creators.pop().expect("a frame");
        if !keep {
            return;
        }
        self.stored.last_mut().expect("outermost").extend(stored);
        self.replaced.last_mut().expect("outermost").extend(replaced);
        self.creators.last_mut().expect("outermost").extend(creators);
        for (account, (gained, lost)) in moved {
            let all = self.moved.last_mut().expect("outermost").entry(account).or_default();
            *all = (all.0 + gained, all.1 + lost);
        }
    }

    fn pay(&mut self, from: Address, to: Address, value: U256) {
        let moved = self.moved.last_mut().expect("a frame");
        moved.entry(from).or_default().1 += value;
        moved.entry(to).or_default().0 += value;
    }
}

impl<C: ContextTr> Inspector<C, EthInterpreter> for Instructions {
    fn step(&mut self, interpreter: &mut Interpreter<EthInterpreter>, _: &mut C) {
        let word = |index| interpreter.stack.peek(index).unwrap_or_default();
        let this = interpreter.input.target_address;
        self.store = None;
        self.pending = match interpreter.bytecode.opcode() {
            opcode::SLOAD => vec![Location::Slot(this, word(0))],
            opcode::SSTORE => {
                self.store = Some((Location::Slot(this, word(0)), word(1)));
                vec![Location::Slot(this, word(0))]
            }
            opcode::BALANCE => vec![Location::Balance(address(word(0)))],
            opcode::SELFBALANCE => vec![Location::Balance(this)],
            opcode::EXTCODESIZE | opcode::EXTCODECOPY | opcode::EXTCODEHASH => {
                vec![Location::Code(address(word(0)))]
            }
            opcode::SELFDESTRUCT => {
                vec![Location::Balance(this), Location::Balance(address(word(0)))]
            }
            opcode::CALL if !word(2).is_zero() => {
                let to = address(word(1));
                vec![Location::Balance(this), Location::Balance(to), Location::Code(to)]
            }
            opcode::CALLCODE if !word(2).is_zero() => {
                vec![Location::Balance(this), Location::Code(address(word(1)))]
            }
            opcode::CALL | opcode::CALLCODE | opcode::DELEGATECALL | opcode::STATICCALL => {
                vec![Location::Code(address(word(1)))]
            }
            opcode::CREATE | opcode::CREATE2 => {
                let mut reads = vec![Location::Nonce(this)];
                reads.extend((!word(0).is_zero()).then_some(Location::Balance(this)));
                reads
            }
            _ => vec![],
        };
    }

    fn step_end(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut C) {
        let failed = match interpreter.bytecode.action() {
            Some(InterpreterAction::Return(result)) => result.result.is_halt(),
            _ => false,
        };
        let pending = std::mem::take(&mut self.pending);
        if failed {
            return;
        }
        for location in &pending {
            if let Location::Slot(account, slot) = location
                && self.reads.insert(*location)
            {
                // The database has the state before the transaction.
                let value = context.db_mut();
                let value = revm::Database::storage(value, *account, *slot);
                self.before.insert(*location, value.unwrap_or_default());
            }
        }
        self.reads.extend(pending);
        if let Some((location, value)) = self.store.take() {
            self.stored.last_mut().expect("a frame").insert(location, value);
        }
    }

    fn call(&mut self, _: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        if self.stored.len() == 1 {
            self.reads.insert(Location::Code(inputs.bytecode_address));
        }
        self.reads.extend(delegate(&inputs.known_bytecode.1).map(Location::Code));
        self.enter();
        if let Some(value) = inputs.transfer_value().filter(|value| !value.is_zero()) {
            if self.stored.len() == 2 {
                let sides = [inputs.caller, inputs.target_address].map(Location::Balance);
                self.reads.extend(sides);
            }
            self.pay(inputs.caller, inputs.target_address, value);
        }
        None
    }

    fn call_end(&mut self, _: &mut C, _: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(outcome.result.result.is_ok());
    }

    fn create(&mut self, _: &mut C, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.creators.last_mut().expect("outermost").insert(inputs.caller());
        self.enter();
        None
    }

    fn create_end(&mut self, _: &mut C, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        if let Some(created) = outcome.address {
            self.replaced.last_mut().expect("a frame").insert(created);
            if !inputs.value().is_zero() {
                self.pay(inputs.caller(), created, inputs.value());
            }
        }
        self.leave(outcome.result.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.replaced.last_mut().expect("a frame").insert(contract);
        self.pay(contract, target, value);
    }
}

/// Returns the delegation target of an account's code.
fn delegate(code: &revm::state::Bytecode) -> Option<Address> {
    code.eip7702_address()
}

/// Reads and writes of a transaction, and its gas.
struct Followed {
    gas: u64,
    reads: Reads,
    writes: Reads,
}

impl Instructions {
    /// Ends the transaction. `state` provides changes of accounts that no instruction makes.
    fn followed(mut self, tx: &revm::context::TxEnv, gas: u64, state: &EvmState) -> Followed {
        let mut writes = Reads::new();
        let [stored] = &self.stored[..] else { panic!("all frames ended") };
        let changed = stored.iter().filter(|(location, value)| self.before[*location] != **value);
        writes.extend(changed.map(|(location, _)| *location));
        let moved = self.moved[0].iter().filter(|(_, (gained, lost))| gained != lost);
        writes.extend(moved.map(|(account, _)| Location::Balance(*account)));
        for account in &self.replaced[0] {
            writes.extend([Location::Nonce(*account), Location::Code(*account)]);
            // A destroyed account loses its slots and its code.
            if state[account].is_selfdestructed() {
                writes.retain(|it| !matches!(it, Location::Slot(of, _) if of == account));
            }
        }
        writes.extend(self.creators[0].iter().map(|account| Location::Nonce(*account)));
        writes.insert(Location::Nonce(tx.caller));
        let price = tx.gas_price;
        writes.extend((price > 0).then_some(Location::Balance(tx.caller)));
        let of_sender =
            [Location::Balance, Location::Nonce, Location::Code].map(|it| it(tx.caller));
        self.reads.extend(of_sender);
        for authority in tx.authorization_list().filter_map(|it| it.authority()) {
            self.reads.extend([Location::Nonce(authority), Location::Code(authority)]);
            if let Some(account) = state.get(&authority) {
                let (before, after) = (account.original_info(), &account.info);
                writes.extend((before.nonce != after.nonce).then_some(Location::Nonce(authority)));
                let is_changed = before.code_hash != after.code_hash;
                writes.extend(is_changed.then_some(Location::Code(authority)));
            }
        }
        let reads = self.reads.union(&writes).copied().collect();
        Followed { gas, reads, writes }
    }
}

fn follow(block: &Block, database: &FileDatabase) -> Vec<Followed> {
    let mut evm = Context::mainnet()
        .with_db(CacheDB::new(WrapDatabaseRef(database.clone())))
        .with_cfg(block.cfg.clone())
        .with_block(block.env.clone())
        .build_mainnet_with_inspector(Instructions::default());
    for (call, input) in before(block) {
        evm.system_call_commit(call, input.0.into()).expect("a system call");
    }
    let mut all = Vec::new();
    for tx in &block.transactions {
        let mut inspector = Instructions::default();
        inspector.enter();
        let executed = evm.inspect(tx.clone(), inspector).expect("valid");
        let inspector = std::mem::take(&mut evm.inspector);
        all.push(inspector.followed(tx, executed.result.tx_gas_used(), &executed.state));
        evm.ctx.journaled_state.database.commit(executed.state);
    }
    all
}

/// Returns the system calls before the transactions.
fn before(block: &Block) -> Vec<(Address, B256)> {
    use alloy_eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS};
    use revm::primitives::hardfork::SpecId;
    let spec = block.cfg.spec;
    let hashes = spec.is_enabled_in(SpecId::PRAGUE).then_some(block.parent_hash);
    let roots = block.parent_beacon_block_root.filter(|_| spec.is_enabled_in(SpecId::CANCUN));
    let hashes = hashes.map(|hash| (HISTORY_STORAGE_ADDRESS, hash));
    hashes.into_iter().chain(roots.map(|root| (BEACON_ROOTS_ADDRESS, root))).collect()
}

/// Gas of the longest chain, the transactions on it, and the locations that each of them except the
/// first waited for.
type Chain = (u64, Vec<(usize, Vec<Location>)>);

/// Returns the longest chain, by comparing each transaction with all earlier ones.
fn longest(transactions: &[Followed]) -> Chain {
    let mut ends: Vec<u64> = Vec::new();
    let mut parents: Vec<Option<usize>> = Vec::new();
    let mut writers: BTreeMap<Location, Vec<usize>> = BTreeMap::new();
    for (index, it) in transactions.iter().enumerate() {
        let all = it.reads.iter().filter_map(|location| writers.get(location)).flatten();
        let parent = all.copied().max_by_key(|&writer| (ends[writer], writer));
        ends.push(it.gas + parent.map_or(0, |writer| ends[writer]));
        parents.push(parent);
        for location in &it.writes {
            writers.entry(*location).or_default().push(index);
        }
    }
    let last = (0..ends.len()).rev().max_by_key(|&index| ends[index]);
    let mut path = Vec::new();
    let mut next = last;
    while let Some(index) = next {
        let waited_for = parents[index].map_or_else(Vec::new, |writer| {
            let both = transactions[index].reads.intersection(&transactions[writer].writes);
            both.copied().collect()
        });
        path.push((index, waited_for));
        next = parents[index];
    }
    path.reverse();
    (last.map_or(0, |last| ends[last]), path)
}

/// Checks that the conflicts with the highest cost on the path are reported first.
fn check_top(
    recording: &Recording,
    followed: &[Followed],
    path: &[(usize, Vec<Location>)],
    file: &Path,
) {
    let mut costs: HashMap<Location, u64> = HashMap::new();
    for (index, waited_for) in path {
        for location in waited_for {
            *costs.entry(*location).or_default() += followed[*index].gas;
        }
    }
    let most = costs.values().copied().max().unwrap_or_default();
    let found = conflicts(recording, Axis::Gas, 16, 1);
    let Some(top) = found.first.first() else {
        assert_eq!(most, 0, "{file:?}");
        return;
    };
    assert_eq!(top.chain_cost, most, "{file:?}");
    for location in &top.locations {
        assert_eq!(costs.get(location).copied().unwrap_or_default(), most, "{file:?}: {location}");
    }
}

/// Checks that both recorders find the same chain, and the same most expensive conflict.
fn compare(block: &Block, database: &FileDatabase, file: &Path) {
    let recording = record(block, database, 0).expect("a valid block");
    let graph = Graph::new(&recording, Axis::Gas, &WhatIf::NOTHING);
    let steps = graph.conflict_chain().into_iter();
    let found = steps.map(|step| (step.transaction, step.waited_for)).collect();
    let followed = follow(block, database);
    for (index, (one, other)) in recording.transactions.iter().zip(&followed).enumerate() {
        assert_eq!(one.gas, other.gas, "{file:?}: transaction {index}");
    }
    let longest = longest(&followed);
    check_top(&recording, &followed, &longest.1, file);
    assert_eq!((graph.chain(Rule::Whole), found), longest, "{file:?}");
}

#[test]
fn a_recorder_of_instructions_finds_the_same_chains_on_real_blocks() {
    let Some(folder) = fixtures() else { return };
    let mut compared = 0;
    for path in block_files(&folder) {
        let (block, database) =
            BlockFile::read(&path).expect("a file").to_block().expect("a block");
        if block.rules.dao_fork {
            continue;
        }
        compare(&block, &database, &path);
        compared += 1;
    }
    assert!(compared >= 60, "only {compared} blocks");
}

#[test]
fn the_recorders_agree_on_generated_blocks_transaction_by_transaction() {
    use braid_blocks::workload::{Preset, demo};
    for file in demo(1).expect("generates") {
        let (block, database) = file.to_block().expect("a block");
        compare(&block, &database, Path::new("demo"));
    }
    for preset in [Preset::Mainnet, Preset::RawHot, Preset::OnePool, Preset::Mixed] {
        let (block, database) =
            preset.block(120, 4).expect("generates").to_block().expect("a block");
        let recording = record(&block, &database, 0).expect("a valid block");
        for (one, other) in recording.transactions.iter().zip(follow(&block, &database)) {
            let reads: Reads = one.accesses.iter().map(|access| access.location).collect();
            let written = one.accesses.iter().filter(|access| access.written.is_some());
            let writes: Reads = written.map(|access| access.location).collect();
            assert_eq!((reads, writes), (other.reads, other.writes), "{}", preset.name());
        }
    }
}
