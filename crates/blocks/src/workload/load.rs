//! An endless stream of transactions, for a chain under sustained load.

use super::{
    Hot, Parties, Placement, Spread, WorkloadError,
    assemble::Assembly,
    choice::Picker,
    demo::genesis_of,
    dex::{Dex, Kind},
    erc20::Erc20,
    random::Random,
    transfers::Transfers,
    wallet::{Signing, Wallets},
    world::{Call, Payments, Traffic, World},
};
use alloy_consensus::TxEnvelope;
use alloy_genesis::Genesis;
use alloy_primitives::{Address, TxKind};
use clap::ValueEnum;
use revm::context::TxEnv;
use std::num::NonZeroU32;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Load {
    /// Native transfers between any two of the accounts
    Native,
    /// 60 % native transfers, 30 % transfers of one of three tokens, 10 % swaps on ten pools; 20 %
    /// of them use ten accounts, or two pools
    Mixed,
    /// Transfers of one token to 40 accounts
    Contended,
}

/// Number of calls that are drawn before the first transaction. The stream repeats them with other
/// nonces.
const CALLS: u32 = 100_000;

/// The calls of a load in turn, each with the next nonce of its sender.
#[derive(Debug)]
pub struct LoadStream {
    calls: Vec<Call>,
    senders: Vec<Address>,
    nonces: Vec<u64>,
    next: usize,
    wallets: Wallets,
    assembly: Assembly,
}

/// Returns the genesis of a chain with `accounts` sending accounts, and the stream of their
/// transactions; equal arguments give equal results.
///
/// # Errors
/// Returns an error only if the generator is at fault.
pub fn load(
    load: Load,
    accounts: NonZeroU32,
    seed: u64,
    signing: Signing,
) -> Result<(Genesis, LoadStream), WorkloadError> {
    let mut world = World::new(seed, signing, Placement::DEFAULT.timestamp);
    let parts = parts(load, accounts, &mut world)?;
    let mut random = Random::new(seed, "load");
    let mut calls = Vec::with_capacity(CALLS as usize);
    for (mut traffic, percent) in parts {
        for _ in 0..CALLS / 100 * percent {
            calls.push(traffic.call(&mut world, &mut random)?);
        }
    }
    random.shuffle(&mut calls);
    let mut senders = Vec::new();
    for place in 0..u64::from(accounts.get()) {
        senders.push(world.sender(place)?.address);
    }
    let nonces = vec![0; senders.len()];
    let genesis = genesis_of(&world.state);
    let assembly = Assembly::new(seed);
    let wallets = world.wallets;
    Ok((genesis, LoadStream { calls, senders, nonces, next: 0, wallets, assembly }))
}

/// Kinds of calls, each with its share in percent.
type Parts = Vec<(Box<dyn Traffic>, u32)>;

fn parts(load: Load, accounts: NonZeroU32, world: &mut World) -> Result<Parts, WorkloadError> {
    let any = Spread::Among(accounts);
    let parties = Parties { senders: any, recipients: any, shared: true };
    let hot = |percent, parties| Hot {
        percent,
        parties: NonZeroU32::new(parties).unwrap_or(NonZeroU32::MIN),
    };
    Ok(match load {
        Load::Native => vec![(Box::new(Transfers::new(Payments::new(parties, Hot::NONE))), 100)],
        Load::Mixed => {
            let payments = || Payments::new(parties, hot(20, 10));
            let markets = Picker::new(Spread::among(10), hot(20, 2));
            let traders = Picker::new(any, Hot::NONE);
            vec![
                (Box::new(Transfers::new(payments())), 60),
                (Box::new(Erc20::new(Spread::among(3), payments())?), 30),
                (Box::new(Dex::new(world, Kind::Product, markets, traders)?), 10),
            ]
        }
        Load::Contended => {
            let payments = Payments::new(parties, hot(100, 40));
            vec![(Box::new(Erc20::new(Spread::ONE, payments)?), 100)]
        }
    })
}

impl LoadStream {
    /// Returns the next call, its sender and its nonce.
    fn turn(&mut self) -> (&Call, Address, u64) {
        let call = &self.calls[self.next % self.calls.len()];
        self.next += 1;
        let sender = call.sender as usize;
        let nonce = self.nonces[sender];
        self.nonces[sender] += 1;
        (call, self.senders[sender], nonce)
    }

    /// Returns the next transaction, with a known sender.
    pub fn transaction(&mut self) -> TxEnv {
        let (call, caller, nonce) = self.turn();
        TxEnv {
            tx_type: 2,
            caller,
            gas_limit: call.gas_limit,
            gas_price: 100_000_000_000,
            gas_priority_fee: Some(1_000_000_000),
            kind: TxKind::Call(call.to),
            value: call.value,
            data: call.input.clone(),
            nonce,
            chain_id: Some(crate::fork::MAINNET),
            ..TxEnv::default()
        }
    }

    /// Returns the next `count` transactions, signed if the stream was created with
    /// [`Signing::Signed`].
    ///
    /// # Errors
    /// Returns an error only if the generator is at fault.
    pub fn into_signed(mut self, count: u64) -> Result<Vec<TxEnvelope>, WorkloadError> {
        let calls = self.calls.iter().cycle();
        let calls = calls.take(usize::try_from(count).unwrap_or(usize::MAX));
        let mut signed = Vec::new();
        for call in calls {
            let wallet = self.wallets.get(call.sender)?;
            signed.push(self.assembly.transaction(&wallet, call));
        }
        Ok(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{block::Block, sequential};
    use revm::{
        context::{BlockEnv, CfgEnv},
        database::{CacheDB, EmptyDB},
        primitives::{U256, hardfork::SpecId},
        state::{AccountInfo, Bytecode},
    };

    fn database(genesis: &Genesis) -> CacheDB<EmptyDB> {
        let mut state = CacheDB::new(EmptyDB::new());
        for (address, account) in &genesis.alloc {
            let mut info = AccountInfo::from_balance(account.balance);
            info.nonce = account.nonce.unwrap_or_default();
            if let Some(code) = &account.code {
                info = info.with_code(Bytecode::new_raw(code.clone()));
            }
            state.insert_account_info(*address, info);
            for (slot, value) in account.storage.iter().flatten() {
                let (slot, value) = (U256::from_be_bytes(slot.0), U256::from_be_bytes(value.0));
                state.insert_account_storage(*address, slot, value).expect("in memory");
            }
        }
        state
    }

    /// Executes the first transactions sequentially: none is invalid, none fails.
    #[test]
    fn all_transactions_succeed() {
        for kind in [Load::Native, Load::Mixed, Load::Contended] {
            let accounts = NonZeroU32::new(2_000).expect("some");
            let (genesis, mut stream) = load(kind, accounts, 3, Signing::Unsigned).expect("a load");
            let cfg = CfgEnv::new_with_spec(SpecId::OSAKA);
            let timestamp = U256::from(Placement::DEFAULT.timestamp + 1);
            let gas_limit = u64::MAX / 2;
            let env =
                BlockEnv { timestamp, gas_limit, number: U256::from(1), ..BlockEnv::default() };
            let block = braid_evm::Block {
                cfg,
                env,
                transactions: (0..3_000).map(|_| stream.transaction()).collect(),
                parent_beacon_block_root: Some(Default::default()),
                withdrawals: Some(Vec::new()),
                ..braid_evm::Block::default()
            };
            let block = Block::from(&block);
            let output = sequential::execute(&block, database(&genesis)).expect("a valid block");
            let failed = output.receipts.iter().filter(|receipt| !receipt.success).count();
            assert_eq!((output.receipts.len(), failed), (3_000, 0), "{kind:?}");
        }
    }

    #[test]
    fn the_same_arguments_give_the_same_stream() {
        let accounts = NonZeroU32::new(100).expect("some");
        let first = |signing| {
            let (_, stream) = load(Load::Mixed, accounts, 5, signing).expect("a load");
            stream.into_signed(50).expect("signs")
        };
        assert_eq!(first(Signing::Signed), first(Signing::Signed));
        assert_ne!(first(Signing::Signed), first(Signing::Unsigned));
    }
}
