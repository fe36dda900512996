//! Blocks in RLP: accepted inputs, and rejected ones with the position of the error.

use alloy_consensus::{
    Block, BlockBody, TxEnvelope, proofs::calculate_transaction_root,
    transaction::SignerRecoverable,
};
use alloy_primitives::{B256, Signature, U256};
use alloy_rlp::Encodable;
use braid_blocks::workload::demo_chain;
use braid_chain::{
    Rules,
    rlp::{RlpError, RlpItems, decode_block},
};
use std::num::NonZeroUsize;

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("some")
}

/// Returns the first block of a generated chain, with the chain's rules.
pub(crate) fn demo() -> (Block<TxEnvelope>, Rules) {
    let (genesis, files) = demo_chain(1, 1, braid_chain::genesis::header).expect("generates");
    let transactions = files[0].transactions().expect("whole transactions").iter();
    let transactions = transactions.map(|transaction| transaction.inner.inner().clone()).collect();
    let withdrawals = files[0].block.withdrawals.clone();
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
    (Block { header: files[0].block.header.inner.clone(), body }, Rules::new(genesis.config))
}

pub(crate) fn refusal(block: &Block<TxEnvelope>, rules: &Rules) -> RlpError {
    decode_block(&alloy_rlp::encode(block), rules, threads(2)).expect_err("refused")
}

fn refused(block: &Block<TxEnvelope>, rules: &Rules) -> String {
    refusal(block, rules).to_string()
}

/// Returns `block` with two invalid signatures.
pub(crate) fn unsigned(block: &Block<TxEnvelope>) -> Block<TxEnvelope> {
    let mut unsigned = block.clone();
    for index in [180, 77] {
        let signature = Signature::new(U256::ZERO, U256::ONE, false);
        let transaction = &mut unsigned.body.transactions[index];
        *transaction = match transaction.clone() {
            TxEnvelope::Legacy(signed) => {
                let hash = *signed.hash();
                TxEnvelope::Legacy(alloy_consensus::Signed::new_unchecked(
                    signed.strip_signature(),
                    signature,
                    hash,
                ))
            }
            TxEnvelope::Eip1559(signed) => {
                let hash = *signed.hash();
                TxEnvelope::Eip1559(alloy_consensus::Signed::new_unchecked(
                    signed.strip_signature(),
                    signature,
                    hash,
                ))
            }
            other => other,
        };
    }
    unsigned.header.transactions_root = calculate_transaction_root(&unsigned.body.transactions);
    unsigned
}

#[test]
fn senders_are_recovered_on_any_number_of_threads() {
    let (block, rules) = demo();
    let bytes = alloy_rlp::encode(&block);
    for count in [1, 2, 3, 500] {
        let decoded = decode_block(&bytes, &rules, threads(count)).expect("a block");
        assert_eq!(decoded.hash, block.header.hash_slow());
        assert_eq!(decoded.block.transactions.len(), block.body.transactions.len());
        for (found, expected) in decoded.block.transactions.iter().zip(&block.body.transactions) {
            assert_eq!(found.caller, expected.recover_signer().expect("it is signed"));
        }
    }
}

#[test]
fn what_does_not_fit_together_is_refused_with_its_place() {
    let (block, rules) = demo();
    let mut other = block.clone();
    other.header.withdrawals_root = Some(B256::ZERO);
    let text = refused(&other, &rules);
    assert!(
        text.starts_with("block 1: the header states another withdrawals root than the body has; ")
    );
    let mut other = block.clone();
    other.body.transactions.pop();
    let text = refused(&other, &rules);
    assert!(
        text.starts_with(
            "block 1: the header states another transactions root than the body has; "
        )
    );

    let text = refused(&unsigned(&block), &rules);
    assert!(text.starts_with("block 1, transaction 77: its signature is invalid; "), "{text}");
}

#[test]
fn items_are_taken_one_by_one() {
    let (block, _) = demo();
    let mut bytes = Vec::new();
    (0..3).for_each(|_| block.encode(&mut bytes));
    let items: Result<Vec<_>, _> = RlpItems::new(bytes.as_slice()).collect();
    assert_eq!(items.expect("three blocks").concat(), bytes);
    let error = |bytes: &[u8]| RlpItems::new(bytes).find_map(Result::err).expect("refused");
    assert!(matches!(error(&bytes[..bytes.len() - 1]), RlpError::Io(_)));
    assert!(matches!(error(b"{}"), RlpError::Rlp(_)));
    assert!(matches!(error(&[0xff; 20]), RlpError::Length(_)));
    // A list of 60 missing bytes.
    assert!(matches!(error(&[0xf8, 60]), RlpError::Io(_)));
    assert!(RlpItems::new(&[][..]).next().is_none());
}
