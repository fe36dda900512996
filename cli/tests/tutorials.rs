//! The tutorials: their commands print what the pages say.

use crate::documented::executed;

#[test]
fn from_a_serial_mint_to_a_parallel_one() {
    assert_eq!(executed("MINT.md"), 7);
}

#[test]
fn a_block_as_a_chain_engineer_reads_it() {
    assert_eq!(executed("BLOCK.md"), 5);
}
