//! Compares the sequential oracle with the headers of real blocks, and block files with their text.
//!
//! 1. On every fixture, the oracle's gas, receipts root, logs bloom and requests hash equal the
//!    header's, and gas and success of each transaction equal the file's.
//! 2. A file that is written and read again is unchanged, with each compression.
//! 3. The senders in the files equal those recovered from the signatures.

use braid_blocks::{block_file::BlockFile, sequential, verify::checks};

/// Number of real blocks; fewer would mean that some are not recognised any more.
const FIXTURES: usize = 78;

#[test]
fn every_real_block_is_as_its_header_says() {
    let Some(folder) = crate::support::fixtures() else { return };
    let files = crate::support::block_files(&folder);
    assert!(files.len() >= FIXTURES, "only {} block files", files.len());
    let mut roots = 0;
    for path in &files {
        let file = BlockFile::read(path).unwrap_or_else(|error| panic!("{error}"));
        let (block, database) = file.to_block().unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let output = sequential::execute(&block, database)
            .unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_eq!(output.outcomes.len(), block.transactions.len());
        let results = checks::Results {
            gas_used: output.gas_used,
            receipts: &output.receipts,
            requests: &output.requests,
        };
        for check in checks::against_file(&file, block.cfg.spec, results) {
            assert_eq!(check.mismatch, None, "{path:?}: {check}");
            roots += usize::from(check.check == checks::Check::ReceiptsRoot);
        }
        let blob_gas = file.block.header.inner.blob_gas_used.unwrap_or_default();
        assert_eq!(output.blob_gas_used, blob_gas, "{path:?}: blob gas");
    }
    println!("{} blocks, {roots} receipts roots", files.len());
}

#[test]
fn written_files_read_back_the_same() {
    let Some(folder) = crate::support::fixtures() else { return };
    let out = tempfile::tempdir().expect("a temporary folder");
    for name in ["mainnet-22615247.json.zst", "mainnet-1920000.json.zst"] {
        let file = BlockFile::read(&folder.join(name)).unwrap_or_else(|error| panic!("{error}"));
        for end in ["json", "json.gz", "json.zst"] {
            let path = out.path().join(format!("block.{end}"));
            file.write(&path).unwrap_or_else(|error| panic!("{error}"));
            let again = BlockFile::read(&path).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(again, file, "{name} as {end}");
        }
        let error = file.write(&out.path().join("block.txt")).expect_err("no such packing");
        assert!(error.to_string().contains("block.txt"), "{error}");
    }
}

#[test]
fn signatures_give_the_senders_in_the_files() {
    let Some(folder) = crate::support::fixtures() else { return };
    for path in crate::support::block_files(&folder).iter().step_by(6) {
        let mut file = BlockFile::read(path).unwrap_or_else(|error| panic!("{error}"));
        file.check_signatures().unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let mut transactions = file.transactions().expect("whole transactions").to_vec();
        let Some(last) = transactions.last_mut() else { continue };
        let index = last.transaction_index.expect("mined") as usize;
        last.inner = alloy_consensus::transaction::Recovered::new_unchecked(
            last.inner.inner().clone(),
            alloy_primitives::Address::ZERO,
        );
        file.block.transactions = alloy_rpc_types_eth::BlockTransactions::Full(transactions);
        let error = file.check_signatures().expect_err("a wrong sender");
        assert_eq!(error.transaction, Some(index), "{path:?}: {error}");
        assert_eq!(error.field, format!("block.transactions[{index}].from"));
    }
}
