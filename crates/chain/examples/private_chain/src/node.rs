//! A chain that makes its own blocks.

use super::{load::Load, rules};
use alloy_consensus::{Header, TxReceipt, proofs::calculate_receipt_root};
use alloy_primitives::{B256, Bloom};
use braid_chain::{
    Built, Chain, Head, Keep, Sealed, StateRoots, StateStore, StoreError, create, genesis, open,
};
use braid_evm::{BlockOutput, Executor};
use std::error::Error;

pub(crate) struct Node<S: StateStore> {
    pub(crate) chain: Chain<S>,
    /// Header of the first block.
    first: Header,
}

impl<S: StateStore> Node<S> {
    /// Opens the chain in `store`, or creates it.
    pub(crate) fn open(store: S, executor: Executor) -> Result<Self, Box<dyn Error>> {
        let genesis = rules::genesis();
        let first = genesis::header(&genesis);
        let head = Head { number: first.number, hash: first.hash_slow() };
        let config = genesis::encode(&genesis)?;
        match open(&store) {
            Ok(chain) => {
                // `braid-node prune` may have removed the first hash.
                let first = chain.block_hash(head.number)?;
                let is_other = first.is_some_and(|hash| hash != head.hash);
                if is_other || chain.genesis()? != config {
                    return Err("the folder holds another chain; choose another folder".into());
                }
            }
            Err(StoreError::Empty) => {
                create(&store, &config, &genesis::batch(&genesis, head), StateRoots::Computed)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Self { chain: Chain::open_with(store, executor, Keep::default())?, first })
    }

    /// Builds the next block from `transactions` generated ones. Also returns how many were left out.
    pub(crate) fn block(
        &mut self,
        seed: u64,
        transactions: u64,
    ) -> Result<(Built, u64), Box<dyn Error>> {
        let parent = self.chain.head();
        let number = parent.number + 1;
        let header = Header {
            parent_hash: parent.hash,
            number,
            timestamp: self.first.timestamp + number,
            ..self.first.clone()
        };
        let mut load = Load::new(&self.chain.state()?, seed, number, transactions)?;
        let template = rules::template(&header);
        let built = self.chain.build_with_root(template, &mut load, |built, root| {
            seal(header, &built.output, root)
        })?;
        Ok((built, load.left_out))
    }
}

/// The block's header and its hash, without the root of the transactions, which have no signatures.
fn seal(mut header: Header, output: &BlockOutput, state_root: Option<B256>) -> Sealed {
    let receipts: Vec<_> = output.receipts.iter().map(TxReceipt::with_bloom_ref).collect();
    header.state_root = state_root.unwrap_or_default();
    header.gas_used = output.gas_used;
    header.receipts_root = calculate_receipt_root(&receipts);
    header.logs_bloom = receipts.iter().fold(Bloom::ZERO, |all, one| all | one.logs_bloom);
    Sealed {
        hash: header.hash_slow(),
        header: alloy_rlp::encode(&header).into(),
        ..Sealed::default()
    }
}
