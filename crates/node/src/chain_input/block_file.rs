//! Block files as blocks of a chain, with the same checks as blocks in RLP.

use alloy_consensus::proofs::{
    calculate_ommers_root, calculate_transaction_root, calculate_withdrawals_root,
};
use alloy_primitives::B256;
use braid_blocks::block_file::{BlockFile, FieldError};
use braid_chain::{ChainBlock, Expected, rlp::recover_senders};
use revm::primitives::hardfork::SpecId;
use std::num::NonZeroUsize;

/// Converts a block file into a block for a chain, recovering senders on `threads` threads.
///
/// # Errors
/// As for [`BlockFile::to_block`]; or the file's hash is not the hash of its header, the header
/// does not match the body, a signature is invalid, or a sender does not match its signature.
pub fn chain_block(file: &BlockFile, threads: NonZeroUsize) -> Result<ChainBlock, FieldError> {
    let (block, _) = file.to_block()?;
    let spec = block.cfg.spec;
    check_header(file)?;
    check_senders(file, spec.is_enabled_in(SpecId::HOMESTEAD), threads)?;
    let header = &file.block.header;
    let expected = Expected::of(&header.inner, spec.is_enabled_in(SpecId::BYZANTIUM));
    let (hash, header) = (header.hash, alloy_rlp::encode(&header.inner).into());
    Ok(ChainBlock { block: (&block).into(), hash, expected, header, ..ChainBlock::default() })
}

/// Compares the file's hash with the hash of the header, and the header's roots with the body.
fn check_header(file: &BlockFile) -> Result<(), FieldError> {
    let (block, header) = (&file.block, &file.block.header.inner);
    let signed: Vec<_> = file.transactions()?.iter().map(|one| one.inner.inner()).collect();
    let withdrawals = block.withdrawals.as_ref().map(|list| calculate_withdrawals_root(list));
    same(
        "block.transactionsRoot",
        "the root of the block's transactions",
        header.transactions_root,
        calculate_transaction_root(&signed),
    )?;
    same(
        "block.sha3Uncles",
        "the hash of the ommers",
        header.ommers_hash,
        calculate_ommers_root(&file.ommers),
    )?;
    same(
        "block.withdrawalsRoot",
        "the root of the block's withdrawals",
        header.withdrawals_root,
        withdrawals,
    )?;
    same("block.hash", "the hash of the header", block.header.hash, header.hash_slow())
}

fn same(
    field: &str,
    what: &str,
    stated: impl Into<Option<B256>>,
    found: impl Into<Option<B256>>,
) -> Result<(), FieldError> {
    let (stated, found) = (stated.into(), found.into());
    if stated == found {
        return Ok(());
    }
    let text = |root: Option<B256>| root.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
    Err(FieldError::new(field, format!("{what}, {}", text(found)), text(stated)))
}

/// Compares the senders in the file with the ones recovered from the signatures.
fn check_senders(
    file: &BlockFile,
    homestead: bool,
    threads: NonZeroUsize,
) -> Result<(), FieldError> {
    let transactions = file.transactions()?;
    let signed: Vec<_> = transactions.iter().map(|one| one.inner.inner()).collect();
    let path = |index: usize, field| format!("block.transactions[{index}].{field}");
    let senders = recover_senders(&signed, homestead, threads).map_err(|index| {
        let (expected, found) = ("a valid signature", "one that belongs to no key");
        FieldError::new(path(index, "r"), expected, found).in_transaction(index)
    })?;
    for (index, (named, sender)) in transactions.iter().zip(senders).enumerate() {
        let named = named.inner.signer();
        if named != sender {
            let expected = format!("the sender that the signature gives, {sender:?}");
            let error = FieldError::new(path(index, "from"), expected, format!("{named:?}"));
            return Err(error.in_transaction(index));
        }
    }
    Ok(())
}
