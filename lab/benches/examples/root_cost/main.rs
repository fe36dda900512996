//! Measures the cost of a block with and without state roots: `docs/DESIGN.md` has the figures.
//!
//! ```text
//! cargo run --release -p braid-benches --example root_cost -- 10000000
//! ```
//!
//! Creates two chains with the given number of accounts, one with state roots, and commits the same
//! blocks to both: 10,000 changed accounts, 2,000 changed slots of 100 of them.

use alloy_primitives::{Address, KECCAK256_EMPTY, U256, keccak256};
use braid_chain::{
    AccountChange, AccountRecord, DurableBatch, EmbeddedStore, Head, Keep, SlotChange, StateRoots,
    commit, create,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    time::{Duration, Instant},
};

const CACHE: u64 = 256 << 20;
/// Accounts that a block creates while the state grows.
const CREATED: u64 = 100_000;
const ACCOUNTS: u64 = 10_000;
const SLOTS: u64 = 2_000;
const CONTRACTS: u64 = 100;
const BLOCKS: u64 = 20;

type Result<T> = core::result::Result<T, Box<dyn core::error::Error>>;

fn main() -> Result<()> {
    let accounts: u64 = env::args().nth(1).ok_or("root_cost ACCOUNTS")?.parse()?;
    let mut times = Vec::new();
    for (name, roots) in [("without", StateRoots::Disabled), ("with", StateRoots::Computed)] {
        let folder = env::temp_dir().join(format!("braid-root-cost-{name}"));
        let _ = fs::remove_dir_all(&folder);
        let store = EmbeddedStore::open_with_cache(&folder, CACHE)?;
        let begun = Instant::now();
        create(&store, b"{}", &DurableBatch::default(), roots)?;
        let grown = accounts.div_ceil(CREATED);
        for number in 1..=grown {
            commit(&store, &creation(number), Keep::blocks(0))?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!("{name} state roots: {accounts} accounts in {seconds:.1} s");
        let mut slots = BTreeMap::new();
        let mut total = Duration::ZERO;
        for number in grown + 1..=grown + BLOCKS {
            let batch = block(number, accounts, &mut slots);
            let begun = Instant::now();
            commit(&store, &batch, Keep::default())?;
            total += begun.elapsed();
        }
        let each = total.as_secs_f64() * 1e6 / (BLOCKS * (ACCOUNTS + SLOTS)) as f64;
        println!("{name} state roots: {each:.2} us for each changed account or slot");
        times.push(each);
        drop(store);
        fs::remove_dir_all(&folder)?;
    }
    if let [without, with] = times.as_slice() {
        println!("state roots cost {:.2} us for each changed account or slot", with - without);
    }
    Ok(())
}

fn head(number: u64) -> Head {
    Head { number, hash: keccak256(number.to_be_bytes()) }
}

fn address(index: u64) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

fn change(address: Address, before: Option<u64>, after: u64) -> AccountChange {
    let record = |nonce: u64| {
        let balance = U256::from(nonce) * U256::from(1_000_000_007_u64) + U256::from(u64::MAX);
        AccountRecord { nonce, balance, code_hash: KECCAK256_EMPTY }
    };
    AccountChange {
        address,
        before: before.map(record),
        after: Some(record(after)),
        cleared: false,
    }
}

fn creation(number: u64) -> DurableBatch {
    let created = (number - 1) * CREATED..number * CREATED;
    let mut accounts: Vec<_> = created.map(|index| change(address(index), None, 0)).collect();
    accounts.sort_unstable_by_key(|change| change.address);
    DurableBatch { head: head(number), accounts, ..DurableBatch::default() }
}

/// Returns the changes of a block: accounts all over the state, and slots of a few of them.
fn block(number: u64, accounts: u64, values: &mut BTreeMap<(Address, U256), U256>) -> DurableBatch {
    let random = |place: u64| {
        let hash = keccak256([number.to_be_bytes(), place.to_be_bytes()].concat());
        U256::from_be_bytes(hash.0)
    };
    let index = |place| (random(place) % U256::from(accounts)).to::<u64>();
    let mut changed: BTreeSet<_> = (0..ACCOUNTS).map(|place| address(index(place))).collect();
    changed.extend((0..CONTRACTS).map(address));
    let mut slots = BTreeMap::new();
    for place in ACCOUNTS..ACCOUNTS + SLOTS {
        let slot = random(place);
        let contract = address((slot % U256::from(CONTRACTS)).to());
        // Half of the slots exist already.
        let known = slot % U256::from(20_000);
        let slot = if slot.bit(255) { known } else { slot };
        slots.insert((contract, slot), random(place + SLOTS));
    }
    let slots = slots.into_iter().map(|((address, slot), after)| {
        let before = values.insert((address, slot), after).unwrap_or_default();
        SlotChange { address, slot, before, after }
    });
    let slots = slots.collect();
    let accounts = changed.into_iter().map(|address| change(address, Some(number - 1), number));
    DurableBatch { head: head(number), accounts: accounts.collect(), slots, ..Default::default() }
}
