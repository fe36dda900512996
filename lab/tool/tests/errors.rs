//! Every variant of the errors of the laboratory's measurements is made here; a result that differs is a bug of the engine.

use braid_blocks::{
    errors::Made,
    workload::{Workload, WorkloadSpec, generate},
};
use braid_lab::bench::energy::{Meter, Ways};
use core::num::NonZeroU16;

#[test]
fn a_block_without_a_cost_says_which_transaction_is_wrong() {
    let file = generate(&WorkloadSpec::new(Workload::Transfers, 3, 0, 1).unsigned());
    let (mut block, database) = file.expect("it generates").to_block().expect("a block");
    block.transactions[1].nonce = 77;
    let mut ways = Ways::new(&[NonZeroU16::MIN], Meter::default()).expect("no threads");
    let error = ways.execute(&block, &database, 1).expect_err("it is invalid");
    let mut made = Made::default();
    made.add(&error, &["transaction 1", "nonce"]);
    made.has_all_of(include_str!("../src/bench/energy.rs"), "EnergyError", &["Different"]);
}
