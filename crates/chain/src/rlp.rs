//! Blocks as `geth export` writes them: a sequence of RLP lists.

use crate::{ChainBlock, Expected, Head, Rules, record::header_of};
use alloy_consensus::{
    Block as RlpBlock, EthereumTxEnvelope, Header, SignableTransaction, TxEip4844,
    crypto::SECP256K1N_HALF,
    proofs::{calculate_ommers_root, calculate_transaction_root, calculate_withdrawals_root},
    transaction::RlpEcdsaEncodableTx,
};
use alloy_evm::FromRecoveredTx;
use alloy_primitives::{Address, Bytes, Signature};
use alloy_rlp::Header as RlpHeader;
use braid_evm::{Block, Ommer};
use revm::{context::TxEnv, primitives::hardfork::SpecId};
use std::{
    io::{self, ErrorKind, Read},
    num::NonZeroUsize,
    panic::resume_unwind,
    thread,
};
use thiserror::Error;

/// Longer items are rejected, as they cannot be blocks.
const MAX_BLOCK_BYTES: usize = 64 << 20;

/// With fewer transactions than this, starting threads costs more than it saves.
const TRANSACTIONS_FOR_A_THREAD: usize = 32;

type Envelope = EthereumTxEnvelope<TxEip4844>;

/// Reason why a block could not be decoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RlpError {
    /// The input returned an error, or ended within a block.
    #[error("the input cannot be read: {0}; if it ends within a block, export it again")]
    Io(#[from] io::Error),
    /// The bytes are not a block in RLP.
    #[error("no block in RLP: {0}; give blocks as `geth export` writes them")]
    Rlp(#[from] alloy_rlp::Error),
    /// A list is too long to be a block.
    #[error("no block in RLP: a list of {0} bytes; give blocks as `geth export` writes them")]
    Length(usize),
    /// No public key can be recovered from a transaction's signature.
    #[error(
        "block {number}, transaction {index}: its signature is invalid; fetch the block again from another source"
    )]
    Signature {
        /// Number of the block.
        number: u64,
        /// Index of the transaction.
        index: usize,
    },
    /// The body does not match the header.
    #[error(
        "block {number}: the header states another {field} than the body has; fetch the block again from another source"
    )]
    Body {
        /// Number of the block.
        number: u64,
        /// Name of the header's field that does not match.
        field: &'static str,
    },
}

/// Reads RLP items one by one, as bytes.
#[derive(Debug)]
pub struct RlpItems<R> {
    input: R,
}

impl<R: Read> RlpItems<R> {
    /// Creates a reader of items from `input`, which should be buffered.
    pub const fn new(input: R) -> Self {
        Self { input }
    }

    /// Reads the next item, including its RLP header; `None` at the end of the input.
    fn item(&mut self) -> Result<Option<Vec<u8>>, RlpError> {
        let mut item = vec![0];
        if read_or_end(&mut self.input, &mut item)? == 0 {
            return Ok(None);
        }
        let first = usize::from(item.first().copied().unwrap_or_default());
        // 0xc0 to 0xf7: a list of up to 55 bytes. Above: one to eight bytes with the length follow.
        let length_bytes = first.saturating_sub(0xf7);
        extend(&mut self.input, &mut item, length_bytes)?;
        let payload = match (first, length_bytes) {
            (..0xc0, _) => return Err(alloy_rlp::Error::UnexpectedString.into()),
            (_, 0) => first.saturating_sub(0xc0),
            (..) => {
                let length = item.get(1..).unwrap_or_default();
                length.iter().fold(0, |sum: usize, byte| {
                    let base = if mutant!(LengthCut) { 0 } else { 256 };
                    sum.saturating_mul(base).saturating_add(usize::from(*byte))
                })
            }
        };
        if payload > MAX_BLOCK_BYTES {
            return Err(RlpError::Length(payload));
        }
        extend(&mut self.input, &mut item, payload)?;
        RlpHeader::decode(&mut item.as_slice())?;
        Ok(Some(item))
    }
}

impl<R: Read> Iterator for RlpItems<R> {
    type Item = Result<Vec<u8>, RlpError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.item().transpose()
    }
}

fn read_or_end(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn extend(input: &mut impl Read, item: &mut Vec<u8>, count: usize) -> io::Result<()> {
    let mut taken = input.take(u64::try_from(count).unwrap_or(u64::MAX));
    if taken.read_to_end(item)? < count {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "the input ends within a block"));
    }
    Ok(())
}

/// Decodes number and hash of a block, without decoding its body.
///
/// # Errors
/// The bytes are not a list that begins with a header.
pub fn decode_head(bytes: &[u8]) -> Result<Head, RlpError> {
    let header = decode_header(bytes)?;
    Ok(Head { number: header.number, hash: header.hash_slow() })
}

/// Decodes only the header of a block.
///
/// # Errors
/// The bytes are not a block.
pub fn decode_header(bytes: &[u8]) -> Result<Header, RlpError> {
    Ok(header_of(bytes)?)
}

/// Decodes a block, recovers the senders of its transactions on `threads` threads, and compares the
/// body with the header.
///
/// # Errors
/// The bytes are not a block, a signature is invalid, or the body does not match the header.
pub fn decode_block(
    mut bytes: &[u8],
    rules: &Rules,
    threads: NonZeroUsize,
) -> Result<ChainBlock, RlpError> {
    let rlp = Bytes::copy_from_slice(bytes);
    let (block, hash) = RlpBlock::<Envelope>::decode_sealed(&mut bytes)?.into_parts();
    if !bytes.is_empty() && !mutant!(TrailingBytesTaken) {
        return Err(alloy_rlp::Error::UnexpectedLength.into());
    }
    check_body(&block)?;
    let RlpBlock { header, body } = block;
    let spec = rules.spec(&header);
    let homestead = spec.is_enabled_in(SpecId::HOMESTEAD);
    let signed: Vec<_> = body.transactions.iter().collect();
    let senders = recover_senders(&signed, homestead, threads)
        .map_err(|index| RlpError::Signature { number: header.number, index })?;
    let transactions = body.transactions.iter().zip(senders);
    let transactions = transactions
        .map(|(transaction, sender)| TxEnv::from_recovered_tx(transaction, sender))
        .collect();
    let (cfg, env) = rules.environment(&header);
    let ommer = |ommer: &Header| {
        let number = if mutant!(OmmerRenumbered) { header.number } else { ommer.number };
        Ommer { beneficiary: ommer.beneficiary, number }
    };
    let withdrawals = body.withdrawals.map(|withdrawals| withdrawals.into_inner());
    let block = Block {
        cfg,
        env,
        transactions,
        parent_hash: header.parent_hash,
        parent_beacon_block_root: header.parent_beacon_block_root,
        withdrawals: withdrawals.filter(|list| !list.is_empty() || !mutant!(EmptyWithdrawalsLost)),
        ommers: body.ommers.iter().map(ommer).collect(),
        rules: rules.chain_rules(&header),
        access_list: None,
        access_list_hint: None,
    };
    let expected = Expected::of(&header, spec.is_enabled_in(SpecId::BYZANTIUM));
    let header = alloy_rlp::encode(&header).into();
    Ok(ChainBlock { block, hash, expected, header, rlp })
}

/// Recovers the sender of `transaction` from its signature, or returns `None` if the signature is
/// invalid. `homestead` says whether EIP-2 forbids large values of `s`.
///
/// `alloy_consensus` does the same, but has a version of libsecp256k1 of its own; this function uses the
/// one of `alloy_primitives` and revm if the feature `braid-evm/secp256k1` is on.
pub fn recover_sender<E: SignableTransaction<Signature> + RlpEcdsaEncodableTx>(
    transaction: &EthereumTxEnvelope<E>,
    homestead: bool,
) -> Option<Address> {
    let signature = transaction.signature();
    if homestead && signature.s() > SECP256K1N_HALF && !mutant!(LargeSTaken) {
        return None;
    }
    signature.recover_address_from_prehash(&transaction.signature_hash()).ok()
}

/// Recovers the senders of signed transactions on `threads` threads. `homestead` says whether EIP-2
/// forbids large values of `s`.
///
/// # Errors
/// Returns the index of the first transaction whose signature is invalid.
pub fn recover_senders<E: SignableTransaction<Signature> + RlpEcdsaEncodableTx + Sync>(
    transactions: &[&EthereumTxEnvelope<E>],
    homestead: bool,
    threads: NonZeroUsize,
) -> Result<Vec<Address>, usize> {
    let all = |first: usize, share: &[&EthereumTxEnvelope<E>]| {
        let recover = |(index, it): (usize, &&_)| recover_sender(it, homestead).ok_or(index);
        (first..).zip(share).map(recover).collect::<Result<Vec<_>, _>>()
    };
    if threads.get() == 1 || transactions.len() < TRANSACTIONS_FOR_A_THREAD {
        return all(0, transactions);
    }
    let share = transactions.len().div_ceil(threads.get());
    thread::scope(|scope| {
        let shares = transactions.chunks(share).enumerate();
        let shares = shares.map(|(index, it)| scope.spawn(move || all(index * share, it)));
        let running: Vec<_> = shares.collect();
        let mut senders = Vec::with_capacity(transactions.len());
        for one in running {
            senders.extend(one.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(senders)
    })
}

fn check_body(block: &RlpBlock<Envelope>) -> Result<(), RlpError> {
    let (header, body) = (&block.header, &block.body);
    let withdrawals = body.withdrawals.as_ref();
    let same = [
        (
            "transactions root",
            header.transactions_root == calculate_transaction_root(&body.transactions),
        ),
        (
            "ommers hash",
            header.ommers_hash == calculate_ommers_root(&body.ommers) || mutant!(OmmersUncompared),
        ),
        (
            "withdrawals root",
            header.withdrawals_root == withdrawals.map(|list| calculate_withdrawals_root(list)),
        ),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((field, _)) => Err(RlpError::Body { number: header.number, field }),
        None => Ok(()),
    }
}
