//! Random orders of toy transactions on 2 to 64 shards, with every fault of the network and with
//! restarts.
//!
//! 1. Every transaction has the same result as in one process, and so has the state.
//! 2. Logs and messages in flight stay within the window.
//! 3. Execution ends.
//! 4. Equal seeds give equal runs.
//!
//! `BRAID_SHARDS_SEED=n` replays one seed and prints it; `BRAID_SHARDS_RUNS=n` tries that many.

use braid_evm::runtime::simulated::Random;
use braid_shards::toy::{Toy, random_entries};
use braid_shards::{
    Agreed, Entry, Options, ShardId, Simulated, Traffic, Values, reference, simulate,
};

const RUNS: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Returns an order, the state before it, and its entries.
pub(crate) fn scene(seed: u64) -> (Agreed<Toy>, Values<Toy>, Vec<Entry<Toy>>) {
    let make = || {
        let mut random = Random::new(seed);
        let shards = [2, 2, 3, 4, 7, 16, 64][usize::from(random.small(7))];
        let keys = 2 + u16::from(random.small(200));
        let window = [1, 2, 5, 1_000][usize::from(random.small(4))];
        let count = 1 + random.below(80);
        let base = (0..keys).filter(|_| random.chance(1, 2)).map(|key| (key, u64::from(key)));
        let base: Values<Toy> = base.collect();
        (random_entries(&mut random, count, keys), base, shards, window)
    };
    let ((entries, base, shards, window), (same, ..)) = (make(), make());
    (Agreed::new(entries, shards, window, |key| ShardId(*key)), base, same)
}

/// Returns the difference between the shards and one process, if any.
pub(crate) fn differs(
    agreed: &Agreed<Toy>,
    base: &Values<Toy>,
    entries: &[Entry<Toy>],
    simulated: &Simulated<Toy>,
) -> Option<String> {
    let expected = reference(entries, base);
    if simulated.outcomes != expected.outcomes {
        return Some("the outcomes differ from those of one process".to_owned());
    }
    let differs = agreed.homes().find(|(key, _)| {
        let found = simulated.state.get(*key).copied();
        found != Some(expected.state.get(*key).copied().unwrap_or_default())
    });
    differs.map(|(key, home)| format!("key {key} of shard {} differs", home.0))
}

fn run(seed: u64) -> Result<Simulated<Toy>, String> {
    let (agreed, base, entries) = scene(seed);
    let options = Options::faulty(seed);
    let simulated = simulate(&agreed, &base, options).map_err(|error| error.to_string())?;
    match differs(&agreed, &base, &entries, &simulated) {
        Some(wrong) => Err(wrong),
        None => Ok(simulated),
    }
}

#[test]
fn shards_come_to_what_one_process_comes_to() {
    let first = number("BRAID_SHARDS_SEED");
    let count = number("BRAID_SHARDS_RUNS").unwrap_or(if first.is_some() { 1 } else { RUNS });
    let mut all = Traffic::default();
    let (mut undeclared, mut most_shards) = (0, 0);
    for seed in (first.unwrap_or(0)..).take(usize::try_from(count).expect("a small number")) {
        let simulated = run(seed).unwrap_or_else(|wrong| {
            panic!("{wrong}; replay: BRAID_SHARDS_SEED={seed} cargo test -p braid-shards toy")
        });
        let Traffic { values, acknowledgements, lost, doubled, restarts, .. } = simulated.traffic;
        if count == 1 {
            println!("seed {seed}: {:?}", simulated.traffic);
        }
        all.values += values;
        all.acknowledgements += acknowledgements;
        all.lost += lost;
        all.doubled += doubled;
        all.restarts += restarts;
        undeclared += simulated.outcomes.iter().filter(|outcome| outcome.is_err()).count();
        most_shards = most_shards.max(scene(seed).0.shards());
    }
    println!("{count} orders: {all:?}, {undeclared} left their declaration");
    if count >= RUNS {
        let seen = [all.values, all.acknowledgements, all.lost, all.doubled, all.restarts];
        assert!(seen.iter().all(|times| *times > 100), "{all:?}");
        assert!(undeclared > 100 && most_shards == 64, "{undeclared}, {most_shards}");
    }
}

#[test]
fn a_seed_does_the_same_again() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

/// Two shards with one transaction each way: the roles and the messages follow the rule.
#[test]
fn roles_follow_from_the_declaration() {
    let home = |key: &u16| ShardId(*key);
    let roles = braid_shards::Roles::new(&[0, 1, 2], &[1, 3], home);
    let pairs: Vec<_> = roles.messages().map(|(from, to)| (from.0, to.0)).collect();
    assert_eq!(pairs, [(0, 1), (0, 3), (1, 3), (2, 1), (2, 3)]);
    assert_eq!(roles.shards(), 4);
    // A transaction that writes nothing runs on the shard of its first read.
    let reads_only = braid_shards::Roles::new(&[2, 1], &[], home);
    assert_eq!(reads_only.active.iter().map(|shard| shard.0).collect::<Vec<_>>(), [1]);
    let empty = braid_shards::Roles::new(&[], &[], home);
    assert_eq!((empty.active.len(), empty.shards()), (1, 1));
}
