//! Runs the tool as a user does.

use alloy_consensus::{EthereumReceipt, TxReceipt, proofs::calculate_receipt_root};
use alloy_primitives::Bloom;
use braid_blocks::{block_file::BlockFile, sequential};
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Number of characters of the output that a failed test shows.
const SHOWN: usize = 2_000;

/// Runs the tool in `folder` and asserts its exit code. Returns standard output, followed by
/// standard error unless data was requested.
#[track_caller]
pub(crate) fn tool(folder: &Path, arguments: &[&str], code: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    let output = command.output().expect("the tool starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&output.stdout) + &text(&output.stderr);
    let said: String = all.chars().take(SHOWN).collect();
    assert_eq!(output.status.code(), Some(code), "{said}");
    let is_data = arguments.contains(&"--json") || arguments.contains(&"-");
    if is_data { text(&output.stdout) } else { all }
}

/// Returns the block with the header that its execution gives: commands compare with the header,
/// and generated workloads have none.
pub(crate) fn sealed(mut file: BlockFile) -> BlockFile {
    let (block, database) = file.to_block().expect("a block");
    let output = sequential::execute(&block, database).expect("a valid block");
    let blooms: Vec<_> = output.receipts.iter().map(EthereumReceipt::with_bloom_ref).collect();
    let header = &mut file.block.header.inner;
    header.gas_used = output.gas_used;
    header.receipts_root = calculate_receipt_root(&blooms);
    header.logs_bloom = blooms.iter().fold(Bloom::ZERO, |all, receipt| all | receipt.logs_bloom);
    header.requests_hash = Some(output.requests.requests_hash());
    file
}
