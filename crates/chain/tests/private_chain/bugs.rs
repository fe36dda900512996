//! Seeded bugs that the comparison with sequential revm must notice.

use super::{MAINNET_WRITE, WRITE, example, forced, states};
use alloy_primitives::Address;
use braid_evm::{Executor, Forced, Policy, Precompile, PrecompileCall, PrecompileState};
use example::{precompile::Holdings, rules};
use revm::precompile::{PrecompileError, PrecompileOutput};
use std::{
    sync::{Arc, Condvar, Mutex},
    thread::{self, ThreadId},
    time::Duration,
};

#[test]
fn another_gas_rule_is_noticed() {
    let executor = rules::executor(forced(2, Policy::Auto)).expect("threads");
    let different = states(executor, MAINNET_WRITE, 1).expect_err("mainnet's gas is another");
    assert!(different.contains("gas"), "{different}");
}

#[test]
fn a_missing_precompile_is_noticed() {
    let executor = Executor::new(forced(2, Policy::Auto)).expect("threads");
    states(executor, WRITE, 1).expect_err("the precompile is missing");
}

/// The chain's precompile, failing on all threads except the one that builds the blocks.
#[derive(Debug)]
struct OnlyHere {
    here: ThreadId,
    called_elsewhere: Mutex<bool>,
    changed: Condvar,
}

impl Precompile for OnlyHere {
    fn address(&self) -> Address {
        Holdings.address()
    }

    fn call(
        &self,
        call: PrecompileCall<'_>,
        state: &mut dyn PrecompileState,
    ) -> Result<PrecompileOutput, PrecompileError> {
        let mut called = self.called_elsewhere.lock().expect("no call panics");
        if thread::current().id() != self.here {
            *called = true;
            self.changed.notify_all();
            return Ok(call.halt("bad input"));
        }
        // Otherwise this thread may run all calls while the system delays the others.
        let wait = self.changed.wait_timeout_while(called, Duration::from_secs(10), |it| !*it);
        assert!(*wait.expect("no call panics").0, "no other thread has called the precompile");
        Holdings.call(call, state)
    }
}

#[test]
fn a_precompile_that_other_threads_do_not_know_is_noticed() {
    let only_here = OnlyHere {
        here: thread::current().id(),
        called_elsewhere: Mutex::new(false),
        changed: Condvar::new(),
    };
    let executor = Executor::new(forced(2, Policy::Forced(Forced::Speculative))).expect("threads");
    let executor = executor.with_precompiles(vec![Arc::new(only_here)]);
    // On a busy machine, this thread may repeat or help with the other's work in one block after
    // the other, but not in all of them.
    let noticed = states(executor, WRITE, 60).is_err();
    assert!(noticed, "the precompile fails on the other thread");
}
