//! Checks conversions of alloy's input types and into revm's and alloy's output types: equal
//! values, and the same memory where the library promises not to copy.

use crate::support::fixtures::{block_files, fixtures};
use crate::support::scene::{Scene, call};
use alloy_consensus::transaction::Recovered;
use alloy_consensus::{
    Block as AlloyBlock, BlockBody, EthereumReceipt, Header, ReceiptEnvelope, TxEnvelope, TxReceipt,
};
use alloy_eips::eip2718::{Decodable2718, Encodable2718, Typed2718};
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_primitives::{Address, B256, Log};
use braid_blocks::block_file::BlockFile;
use braid_blocks::code::Code;
use braid_blocks::fork;
use braid_blocks::sequential::{ForkSpec, SequentialOutcome};
use braid_blocks::workload::{Workload, WorkloadSpec, generate};
use braid_evm::{Block, BlockOutput, Config, Executor, Mode, Outcome};
use braid_testkit::generate::Case;
use braid_testkit::oracle::Expected;
use revm::context::result::ExecutionResult;
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeSet;

fn build_mode() -> Executor {
    let mut config = Config::default();
    config.engine.mode = Mode::Build;
    Executor::new(config).expect("threads start")
}

/// Returns the addresses of the output bytes and logs of the executed transactions.
fn places(output: &BlockOutput) -> Vec<(*const u8, *const Log)> {
    let executed = output.outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Executed(executed) => Some(executed.clone().into_result(Vec::new())),
        Outcome::Skipped(_) => None,
    });
    let logs = output.receipts.iter().map(|receipt| receipt.logs.as_ptr());
    executed.map(|result| bytes(&result)).zip(logs).collect()
}

fn bytes(result: &ExecutionResult) -> *const u8 {
    result.output().map_or(std::ptr::null(), |bytes| bytes.as_ptr())
}

#[test]
fn results_are_those_of_revm_and_nothing_is_copied() {
    let mut executor = build_mode();
    let (mut logs, mut skipped, mut others) = (0, 0, 0);
    for seed in 0..60 {
        let case = Case::from_seed(seed);
        let output = executor.block(case.block.clone()).database(case.database()).execute();
        let Ok(mut output) = output else { continue };
        let expected = Expected::new(&case.block, Mode::Build, &case.database());
        let expected = expected.output().expect("Braid has executed it");
        let (before, receipts) = (places(&output), output.receipts.clone());
        let results: Vec<_> = output.take_results().collect();
        assert_eq!(results.len(), expected.outcomes.len(), "seed {seed}");
        let mut executed = before.iter().zip(&receipts);
        for (result, expected) in results.iter().zip(&expected.outcomes) {
            match (result, expected) {
                (Ok(result), SequentialOutcome::Executed(expected)) => {
                    let (place, receipt) = executed.next().expect("it has a receipt");
                    let found = (bytes(result), result.logs().as_ptr());
                    assert_eq!(found, *place, "seed {seed}: something was copied");
                    assert_eq!(result.logs(), receipt.logs.as_slice());
                    assert_eq!(result.is_success(), expected.is_success());
                    assert_eq!(result.gas(), expected.gas());
                    assert_eq!(result.output(), expected.output());
                    logs += result.logs().len();
                    others += usize::from(!result.is_success());
                }
                (Err(_), SequentialOutcome::Skipped(_)) => skipped += 1,
                (found, expected) => panic!("seed {seed}: {found:?}, not {expected:?}"),
            }
        }
        assert!(executed.next().is_none(), "a receipt of no transaction");
        assert!(output.outcomes.is_empty());
        let stripped =
            |receipt: &EthereumReceipt| EthereumReceipt { logs: Vec::new(), ..receipt.clone() };
        assert_eq!(output.receipts, receipts.iter().map(stripped).collect::<Vec<_>>());
    }
    assert!(logs > 100 && skipped > 20 && others > 30, "{logs} {skipped} {others}");
}

/// A receipt of each type converts into alloy's envelope of that type without moving its logs.
#[test]
fn receipts_are_those_of_alloy_for_every_type() {
    let mut scene = Scene::on(SpecId::PRAGUE);
    let [sender] = scene.senders();
    let logger = scene.contract(1, Code::default().push(1).log_top(7));
    let authority = scene.sender(9);
    for tx_type in 0..=4 {
        let mut tx = call(logger);
        tx.tx_type = tx_type;
        match tx_type {
            3 => {
                tx.blob_hashes = vec![B256::repeat_byte(1)];
                tx.max_fee_per_blob_gas = 1;
            }
            4 => tx.authorization_list = vec![scene.authorize(authority, logger)],
            _ => {}
        }
        scene.send(sender, tx);
    }
    let mut executor = Executor::new(Config::default()).expect("threads start");
    let output = executor.block(scene.block.clone()).database(scene.database()).execute();
    let output = output.unwrap_or_else(|error| panic!("{error}"));
    let mut types = BTreeSet::new();
    for receipt in output.receipts {
        let (plain, logs) = (receipt.clone(), receipt.logs.as_ptr());
        let envelope = ReceiptEnvelope::from(receipt);
        assert_eq!(envelope.logs().as_ptr(), logs, "the logs were copied");
        assert_eq!((envelope.logs().len(), envelope.ty()), (1, plain.tx_type.ty()));
        assert_eq!(envelope.bloom(), plain.bloom());
        let bytes = envelope.encoded_2718();
        assert_eq!(ReceiptEnvelope::decode_2718(&mut &bytes[..]).expect("it is one"), envelope);
        assert_eq!(plain.into_with_bloom().encoded_2718(), bytes);
        types.insert(envelope.ty());
    }
    assert!(types.into_iter().eq(0..=4));
}

/// Checks that the block of `file` gives the same results as alloy's block with recovered senders.
fn comes_as_alloy(file: &BlockFile, what: &str) {
    let (plain, _) = file.to_block().unwrap_or_else(|error| panic!("{what}: {error}"));
    let header = file.block.header.inner.clone();
    let (number, timestamp, chain_id) = (header.number, header.timestamp, plain.cfg.chain_id);
    let recovered = file.transactions().expect("whole transactions");
    let recovered: Vec<Recovered<TxEnvelope>> =
        recovered.iter().map(|tx| tx.inner.clone()).collect();
    let senders = recovered.iter().map(Recovered::as_recovered_ref);
    let listed = braid_evm::alloy::transactions(senders);
    let withdrawals = file.block.withdrawals.clone();
    let ommers: Vec<Header> = file.ommers.clone();
    let body = BlockBody { transactions: recovered, ommers, withdrawals };
    let blobs = fork::blob_params(plain.cfg.spec, chain_id, timestamp);
    let spec = ForkSpec::new(plain.cfg.spec, &plain.rules, number);
    let block = Block::from_alloy(&AlloyBlock { header, body }, &spec, chain_id, blobs);
    let mut expected = Block::from(&plain);
    expected.rules.max_blob_gas = blobs.map(|blobs| blobs.max_blob_gas_per_block());
    expected.rules.deposit_contract = spec.deposit_contract_address();
    assert_eq!(listed, expected.transactions, "{what}");
    assert_eq!(format!("{block:?}"), format!("{expected:?}"), "{what}");
    for (tx, signed) in block.transactions.iter().zip(file.transactions().expect("the same")) {
        let input = alloy_consensus::Transaction::input(signed.inner.inner());
        assert!(input.is_empty() || tx.data.as_ptr() == input.as_ptr(), "{what}: input was copied");
    }
}

#[test]
fn blocks_come_in_as_alloy_has_them() {
    for kind in [Workload::Transfers, Workload::Erc20, Workload::Range] {
        let file = generate(&WorkloadSpec::new(kind, 20, 10, 3));
        let mut file = file.expect("it can be generated");
        let number = file.block.header.inner.number - 1;
        let beneficiary = Address::repeat_byte(0x0e);
        file.ommers.push(Header { number, beneficiary, ..Header::default() });
        comes_as_alloy(&file, &format!("{kind:?}"));
    }
    let Some(folder) = fixtures() else { return };
    for path in &block_files(&folder) {
        let file = BlockFile::read(path).unwrap_or_else(|error| panic!("{error}"));
        comes_as_alloy(&file, &path.display().to_string());
    }
}
