//! Hand-made blocks.

use alloy_eip7928::bal::Bal;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use braid_blocks::code::Code;
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_blocks::sequential::{
    SequentialError, SequentialOutcome, SequentialOutput, SkipReason, request_contracts,
};
#[cfg(feature = "testing")]
use braid_evm::Simulation;
use braid_evm::{Block, Forced, Mode, Policy};
use braid_testkit::lineup::Lineup;
#[cfg(feature = "testing")]
use braid_testkit::simulation::{Scenario, Wishes, judge};
use core::convert::Infallible;
use revm::bytecode::opcode;
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::context_interface::either::Either;
use revm::context_interface::transaction::{
    Authorization, RecoveredAuthority, RecoveredAuthorization,
};
use revm::database::BundleAccount;
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Wei in one ether.
pub(crate) const ETHER: u64 = 1_000_000_000_000_000_000;
/// Wei per gas that every transaction offers.
pub(crate) const PRICE: u128 = 10;
/// Base fee from London on, in wei per gas.
pub(crate) const BASE_FEE: u64 = 7;
/// Receiver of the fees, unless a test chooses another.
pub(crate) const BENEFICIARY: Address = Address::repeat_byte(0xbe);

/// A block under construction, with the state before it.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) block: Block,
    accounts: BTreeMap<Address, MemoryAccount>,
    nonces: BTreeMap<Address, u64>,
}

/// Sequential results of a scene, after every executor has given the same.
#[derive(Debug)]
pub(crate) struct Played {
    output: SequentialOutput,
    /// Access list of an executor.
    access_list: Bal,
}

impl Scene {
    /// Creates an empty block under the rules of `spec`, on an empty state.
    pub(crate) fn on(spec: SpecId) -> Self {
        let since = |fork| spec.is_enabled_in(fork);
        let blob_price = BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 };
        let env = BlockEnv {
            number: U256::from(1_000),
            beneficiary: BENEFICIARY,
            timestamp: U256::from(10_000),
            gas_limit: 30_000_000,
            basefee: if since(SpecId::LONDON) { BASE_FEE } else { 0 },
            difficulty: if since(SpecId::MERGE) { U256::ZERO } else { U256::from(9) },
            prevrandao: since(SpecId::MERGE).then_some(B256::repeat_byte(0x77)),
            blob_excess_gas_and_price: since(SpecId::CANCUN).then_some(blob_price),
            slot_num: 5,
        };
        let block = Block {
            cfg: CfgEnv::new_with_spec(spec).with_max_blobs_per_tx(6),
            env,
            parent_hash: MemoryDatabase::hash_of_block(999),
            parent_beacon_block_root: since(SpecId::CANCUN).then_some(B256::repeat_byte(0x4b)),
            withdrawals: since(SpecId::SHANGHAI).then(Vec::new),
            ..Block::default()
        };
        let mut scene = Self { block, accounts: BTreeMap::new(), nonces: BTreeMap::new() };
        // The block is invalid without these contracts.
        for contract in request_contracts(spec) {
            scene.put(contract, self::contract(Code::new().op(opcode::STOP)));
        }
        scene
    }

    /// Removes an account from the state before the block.
    pub(crate) fn remove(&mut self, address: Address) {
        self.accounts.remove(&address);
    }

    /// Adds an account to the state before the block.
    pub(crate) fn put(&mut self, address: Address, account: MemoryAccount) -> Address {
        self.nonces.insert(address, account.nonce);
        self.accounts.insert(address, account);
        address
    }

    /// Returns an account of the state before the block.
    pub(crate) fn account(&self, address: Address) -> &MemoryAccount {
        &self.accounts[&address]
    }

    /// Returns the next nonce of `address`.
    pub(crate) fn nonce(&self, address: Address) -> u64 {
        self.nonces.get(&address).copied().unwrap_or_default()
    }

    /// Sets the next nonce of `address`.
    pub(crate) fn set_nonce(&mut self, address: Address, nonce: u64) {
        self.nonces.insert(address, nonce);
    }

    /// Gives an account `wei` in the state before the block.
    pub(crate) fn fund(&mut self, address: Address, wei: u64) -> Address {
        self.accounts.entry(address).or_default().balance = U256::from(wei);
        address
    }

    /// Adds `N` senders with 1000 ether each.
    pub(crate) fn senders<const N: usize>(&mut self) -> [Address; N] {
        core::array::from_fn(|index| {
            let address = Address::repeat_byte(0xa0 + index as u8);
            self.put(address, rich())
        })
    }

    /// Adds sender number `index`, with 1000 ether.
    pub(crate) fn sender(&mut self, index: u64) -> Address {
        self.put(numbered(0x5e, index), rich())
    }

    /// Adds a contract with nonce 1 and no balance at address number `index`.
    pub(crate) fn contract(&mut self, index: u64, code: Code) -> Address {
        self.put(numbered(0xc0, index), contract(code))
    }

    /// Adds a transaction of `sender` with its next nonce.
    pub(crate) fn send(&mut self, sender: Address, tx: TxEnv) {
        let nonce = self.nonces.entry(sender).or_default();
        self.block.transactions.push(TxEnv { caller: sender, nonce: *nonce, ..tx });
        *nonce += 1;
    }

    /// Returns an authorization of `authority` for the code of `target`, with its next nonce.
    pub(crate) fn authorize(&mut self, authority: Address, target: Address) -> Signed {
        let nonce = self.nonces.entry(authority).or_default();
        *nonce += 1;
        authorization(authority, target, *nonce - 1)
    }

    /// Returns the state before the block.
    pub(crate) fn database(&self) -> MemoryDatabase {
        MemoryDatabase::new(self.accounts.clone())
    }

    /// Executes the block in validate mode with every number of workers, at full speed and with
    /// higher transactions first, and compares all results with sequential execution.
    ///
    /// # Panics
    /// An execution differs, or the block is invalid.
    #[track_caller]
    pub(crate) fn play(&self) -> Played {
        self.play_in(Mode::Validate).unwrap_or_else(|error| panic!("the block is invalid: {error}"))
    }

    /// Like [`play`](Self::play), in build mode.
    #[track_caller]
    pub(crate) fn build(&self) -> Played {
        self.play_in(Mode::Build).unwrap_or_else(|error| panic!("the block is invalid: {error}"))
    }

    /// Like [`play`](Self::play), for an invalid block. Returns the error, on which all executions
    /// agree.
    #[track_caller]
    pub(crate) fn fail(&self) -> SequentialError<Infallible> {
        match self.play_in(Mode::Validate) {
            Ok(_) => panic!("the block is valid"),
            Err(error) => error,
        }
    }

    /// Executes the block under seeded schedules of the simulated runtime, and compares each result
    /// with sequential execution. `choose` may override the choices of a seed.
    ///
    /// # Panics
    /// An execution differs.
    #[cfg(feature = "testing")]
    #[track_caller]
    pub(crate) fn play_schedules(&self, seeds: core::ops::Range<u64>, choose: fn(&mut Simulation)) {
        let _ = self.simulate(seeds, choose, false);
    }

    /// Like [`play_schedules`](Self::play_schedules), with the shipped executor: in contiguous
    /// batches, with workers that share the bundle. Returns the number of contiguous batches.
    #[cfg(feature = "testing")]
    #[track_caller]
    pub(crate) fn play_whole(
        &self,
        seeds: core::ops::Range<u64>,
        choose: fn(&mut Simulation),
    ) -> u64 {
        self.simulate(seeds, choose, true)
    }

    #[cfg(feature = "testing")]
    #[track_caller]
    fn simulate(
        &self,
        seeds: core::ops::Range<u64>,
        choose: fn(&mut Simulation),
        whole: bool,
    ) -> u64 {
        let mut parts = 0;
        let mut simulator = braid_evm::evm_simulator();
        let wishes = Wishes { faults: Vec::new(), whole, ..Wishes::default() };
        for seed in seeds {
            let mut scenario = Scenario::new(seed, &wishes);
            (scenario.case.block, scenario.case.accounts) =
                (self.block.clone(), self.accounts.clone());
            choose(&mut scenario.simulation);
            let judged = judge(&mut simulator, &scenario);
            judged.verdict.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}\n{scenario}"));
            parts += judged.stats.contiguous_batches;
        }
        parts
    }

    #[track_caller]
    fn play_in(&self, mode: Mode) -> Result<Played, SequentialError<Infallible>> {
        let block = Arc::new(self.block.clone());
        let database = self.database();
        let mut result = None;
        for policy in [Policy::Forced(Forced::Speculative), Policy::Auto] {
            let mut lineup = Lineup::new(policy, mode);
            let expected = match policy {
                Policy::Forced(Forced::Speculative) => lineup.compare_paced(&block, &database),
                _ => lineup.compare(&block, &database),
            };
            let expected = expected.unwrap_or_else(|difference| panic!("{policy:?}: {difference}"));
            result = Some(expected.into_result().map(|output| {
                let access_list = lineup.access_list.take().expect("most executors make a list");
                Played { output, access_list }
            }));
        }
        result.expect("at least one policy")
    }
}

impl Played {
    /// Returns all sequential results.
    pub(crate) fn output(&self) -> &SequentialOutput {
        &self.output
    }

    /// Returns the access list of an executor.
    pub(crate) fn access_list(&self) -> &Bal {
        &self.access_list
    }

    /// Returns whether the transaction succeeded.
    #[track_caller]
    pub(crate) fn ok(&self, tx: usize) -> bool {
        match &self.output.outcomes[tx] {
            SequentialOutcome::Executed(result) => result.is_success(),
            SequentialOutcome::Skipped(reason) => panic!("transaction {tx} was skipped: {reason}"),
        }
    }

    /// Returns the gas that the transaction paid for.
    #[track_caller]
    pub(crate) fn gas(&self, tx: usize) -> u64 {
        match &self.output.outcomes[tx] {
            SequentialOutcome::Executed(result) => result.tx_gas_used(),
            SequentialOutcome::Skipped(reason) => panic!("transaction {tx} was skipped: {reason}"),
        }
    }

    /// Returns why the transaction was skipped.
    #[track_caller]
    pub(crate) fn skipped(&self, tx: usize) -> Option<&SkipReason> {
        match &self.output.outcomes[tx] {
            SequentialOutcome::Executed(_) => None,
            SequentialOutcome::Skipped(reason) => Some(reason),
        }
    }

    /// Returns the indices of the skipped transactions.
    pub(crate) fn all_skipped(&self) -> Vec<usize> {
        let outcomes = self.output.outcomes.iter().enumerate();
        let skipped = outcomes
            .filter(|(_, outcome)| matches!(outcome, SequentialOutcome::Skipped(_)))
            .map(|(index, _)| index);
        skipped.collect()
    }

    /// Returns the account's entry in the bundle.
    #[track_caller]
    pub(crate) fn account(&self, address: Address) -> &BundleAccount {
        let account = self.output.bundle.account(&address);
        account.unwrap_or_else(|| panic!("{address} is not in the bundle"))
    }

    /// Returns the account's balance after the block; `None` if it does not exist any more.
    #[track_caller]
    pub(crate) fn balance(&self, address: Address) -> Option<U256> {
        self.account(address).info.as_ref().map(|info| info.balance)
    }

    /// Returns the slot's value after the block, if the block changed it.
    #[track_caller]
    pub(crate) fn slot(&self, address: Address, slot: u64) -> Option<U256> {
        let slot = self.account(address).storage.get(&U256::from(slot));
        slot.map(|slot| slot.present_value)
    }
}

pub(crate) fn numbered(kind: u8, index: u64) -> Address {
    let mut address = Address::repeat_byte(kind);
    address.0[12..].copy_from_slice(&index.to_be_bytes());
    address
}

/// Returns an account with 1000 ether.
pub(crate) fn rich() -> MemoryAccount {
    MemoryAccount { balance: U256::from(ETHER) * U256::from(1_000), ..MemoryAccount::default() }
}

/// Returns a contract with nonce 1 and no balance.
pub(crate) fn contract(code: Code) -> MemoryAccount {
    MemoryAccount { nonce: 1, code: code.bytes(), ..MemoryAccount::default() }
}

/// Returns storage with these values.
pub(crate) fn storage<const N: usize>(slots: [(u64, u64); N]) -> BTreeMap<U256, U256> {
    slots.map(|(slot, value)| (U256::from(slot), U256::from(value))).into()
}

/// Returns a legacy transaction that calls `to` without data or value; the sender is set later.
pub(crate) fn call(to: Address) -> TxEnv {
    TxEnv {
        tx_type: 0,
        gas_limit: 1_000_000,
        gas_price: PRICE,
        kind: TxKind::Call(to),
        chain_id: Some(1),
        ..TxEnv::default()
    }
}

/// Like [`call`], with value.
pub(crate) fn pay(to: Address, wei: u64) -> TxEnv {
    TxEnv { value: U256::from(wei), ..call(to) }
}

/// Like [`call`], with one word of data.
pub(crate) fn call_with(to: Address, word: u64) -> TxEnv {
    TxEnv { data: B256::from(U256::from(word)).into(), ..call(to) }
}

/// Returns a legacy transaction that creates a contract.
pub(crate) fn create(init: Bytes) -> TxEnv {
    TxEnv { kind: TxKind::Create, data: init, ..call(Address::ZERO) }
}

/// An EIP-7702 authorization whose signature has been checked.
pub(crate) type Signed =
    Either<revm::context_interface::transaction::SignedAuthorization, RecoveredAuthorization>;

/// Returns an authorization of `authority` with this nonce.
pub(crate) fn authorization(authority: Address, target: Address, nonce: u64) -> Signed {
    let inner = Authorization { chain_id: U256::ONE, address: target, nonce };
    Either::Right(RecoveredAuthorization::new_unchecked(
        inner,
        RecoveredAuthority::Valid(authority),
    ))
}

/// Returns an EIP-7702 transaction that calls `to`.
pub(crate) fn delegate(authorizations: Vec<Signed>, to: Address) -> TxEnv {
    TxEnv { tx_type: 4, gas_priority_fee: Some(1), authorization_list: authorizations, ..call(to) }
}
