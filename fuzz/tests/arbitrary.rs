//! Runs inputs of seeded random bytes on every target, each once, as the fuzzer would. Inputs
//! guided by coverage are left to the fuzzer: `cargo xtask fuzz`.
//!
//! `BRAID_FUZZ_INPUTS=n` takes `n` inputs for each target.

use braid_fuzz::targets::{TARGETS, random_input};

/// Number of inputs for each target.
const INPUTS: u64 = 150;

#[test]
fn random_bytes_are_right_on_every_target() {
    let inputs = std::env::var("BRAID_FUZZ_INPUTS").ok();
    let inputs = inputs.map_or(INPUTS, |count| count.parse().expect("a number"));
    let mut executed = 0;
    for target in TARGETS {
        for seed in 0..inputs {
            let checked = target.check_chosen(&random_input(seed));
            checked.unwrap_or_else(|wrong| panic!("{}, seed {seed}: {wrong}", target.name));
            executed += 1;
        }
    }
    println!("{executed} inputs");
    assert_eq!(executed, TARGETS.len() as u64 * inputs);
}
