//! What a store does without an engine around it: what an engine never asks of it, and what takes
//! two threads.

use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mutants::{active, seed};
use braid_evm::mv::{Entry, Resolution, Store};
use braid_models::conformance::{Rejected, replay_store};
use braid_toy::ToyLocation;

const PLACE: ToyLocation = ToyLocation::Balance(0);
/// Times that two threads publish at once, at most.
const ROUNDS: u32 = 200;
/// Publications of each thread.
const PUBLICATIONS: u32 = 200;

pub(crate) fn version(tx: u32, incarnation: u32) -> Version {
    Version { tx: TxIndex(tx), incarnation: Incarnation(incarnation) }
}

fn traced() -> Store<ToyLocation> {
    let mut store = Store::new(1);
    store.start_trace();
    store
}

/// A late older incarnation publishes, becomes an estimate and is withdrawn.
fn late_incarnation() -> Result<(), Rejected> {
    let mut store = traced();
    let mut stale = Vec::new();
    for incarnation in [1, 0] {
        store.publish(version(0, incarnation), &PLACE, Entry::Value(Some(7)), &mut stale);
    }
    store.mark_estimate(version(0, 0), &PLACE);
    store.withdraw(version(0, 0), &PLACE, &mut stale);
    let _ = store.resolve(&PLACE, TxIndex(1));
    replay_store(&store.take_trace())
}

/// Two readers bring different base values.
fn two_base_values() -> Result<(), Rejected> {
    let mut store = traced();
    let asked = [1, 2].map(|reader| (store.resolve(&PLACE, TxIndex(reader)), reader));
    for (resolution, reader) in asked {
        let Resolution::NeedsBase(chain) = resolution else { panic!("the base is not known") };
        let value = Some(u64::from(reader));
        let _ = store.supply_base(chain, &PLACE, TxIndex(reader), value);
    }
    replay_store(&store.take_trace())
}

/// The memory is another block's.
fn kept_memory() -> Result<(), Rejected> {
    let store = Store::new(1);
    store.publish(version(0, 0), &PLACE, Entry::Value(Some(9)), &mut Vec::new());
    let mut store = store.emptied();
    store.start_trace();
    let _ = store.resolve(&PLACE, TxIndex(1));
    replay_store(&store.take_trace())
}

/// Two threads publish at once.
fn two_threads() -> Result<(), Rejected> {
    for _ in 0..ROUNDS {
        let mut store = traced();
        std::thread::scope(|scope| {
            for tx in [0, 1] {
                let (store, bug) = (&store, active());
                scope.spawn(move || {
                    let _bug = seed(bug);
                    for incarnation in 0..PUBLICATIONS {
                        let entry = Entry::Value(Some(u64::from(incarnation)));
                        let by = version(tx, incarnation);
                        store.publish(by, &PLACE, entry, &mut Vec::new());
                    }
                });
            }
        });
        replay_store(&store.take_trace())?;
    }
    Ok(())
}

/// Whether some script's trace is rejected.
pub(crate) fn are_rejected() -> Option<Rejected> {
    let scripts = [late_incarnation, two_base_values, kept_memory, two_threads];
    scripts.into_iter().find_map(|script| script().err())
}
