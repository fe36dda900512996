//! Predicts transactions that take much longer than others. They start before their turn, so that
//! no worker has to wait for one of them at the end of the block. They are recognized from earlier
//! blocks, or by a very large gas limit.

use crate::evm::exec::input::{Block, regular_gas_limit};
use crate::ids::TxIndex;
use crate::thresholds::{LONG_CALL_GAS, LONG_WORK_GAS, LONGEST_BACKOFF, MAX_KNOWN_FUNCTIONS};
use alloy_primitives::Address;
use core::hash::BuildHasher;
use core::ops::Range;
use foldhash::fast::RandomState;
use revm::context::TxEnv;

/// Long transactions of a segment, predicted and observed.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct LongRuns {
    /// Transactions that took long, with their work in units: see `Work`.
    pub(in crate::evm) long: Vec<(TxIndex, u64)>,
    /// Transactions that started before their turn, with the number of their runs.
    pub(in crate::evm) started_early: Vec<(TxIndex, u32)>,
}

/// The called contract and function selector.
type Function = (Address, [u8; 4]);

fn function(tx: &TxEnv) -> Option<Function> {
    Some((*tx.kind.to()?, *tx.data.first_chunk()?))
}

#[derive(Clone, Copy, Debug)]
struct LongCall {
    function: Function,
    /// Work of the function's last run, if it was long; otherwise zero.
    work: u64,
    /// Number of the segment up to which calls wait for their turn.
    waits_until: u64,
}

/// Memory of functions that take long, bounded in size.
#[derive(Debug, Default)]
pub(super) struct Longest {
    /// Indexed by hash; empty until a function is remembered.
    known: Vec<Option<LongCall>>,
    hasher: RandomState,
    /// Number of segments so far.
    segments: u64,
}

impl Longest {
    /// Returns the transactions in `range` that are predicted to run long, to be scheduled first.
    pub(super) fn of(&self, block: &Block, range: Range<usize>) -> Vec<TxIndex> {
        let transactions = block.transactions.get(range.clone()).unwrap_or_default();
        let indices = range.filter_map(|tx| u32::try_from(tx).ok()).map(TxIndex);
        let long = indices.zip(transactions).filter(|(_, tx)| self.starts_early(block, tx));
        long.map(|(tx, _)| tx).collect()
    }

    fn starts_early(&self, block: &Block, tx: &TxEnv) -> bool {
        let Some(function) = function(tx) else { return false };
        match self.known.get(self.index(&function)) {
            Some(Some(known)) if known.function == function => {
                known.work >= LONG_WORK_GAS && known.waits_until <= self.segments
            }
            _ => regular_gas_limit(block, tx.gas_limit) >= LONG_CALL_GAS,
        }
    }

    /// Learns from a segment: the work of long transactions below `frontier`, and the runs of
    /// transactions that started first. `is_new`: this is the first report of the segment.
    pub(super) fn learn(
        &mut self,
        block: &Block,
        frontier: usize,
        is_new: bool,
        long_runs: &LongRuns,
    ) {
        let LongRuns { long, started_early } = long_runs;
        self.segments += u64::from(is_new);
        let waits_until = self.segments + LONGEST_BACKOFF as u64;
        for (tx, runs) in started_early {
            let is_committed = tx.position() < frontier;
            let was_aborted = *runs > u32::from(is_committed);
            // The prediction by the gas limit or by the last run was wrong.
            let is_short = is_committed && long.binary_search_by_key(tx, |(tx, _)| *tx).is_err();
            if !was_aborted && !is_short {
                continue;
            }
            let Some(known) = self.entry(block, *tx) else { continue };
            known.work = if is_short { 0 } else { known.work };
            known.waits_until = if was_aborted { waits_until } else { known.waits_until };
        }
        // A function that only occasionally takes long also starts early.
        for (tx, work) in long {
            if let Some(known) = self.entry(block, *tx) {
                known.work = *work;
            }
        }
    }

    /// Entry of the function that `tx` calls, cleared if it belonged to another function.
    fn entry(&mut self, block: &Block, tx: TxIndex) -> Option<&mut LongCall> {
        let function = function(block.transactions.get(tx.position())?)?;
        if self.known.is_empty() {
            self.known = vec![None; MAX_KNOWN_FUNCTIONS];
        }
        let index = self.index(&function);
        let entry = self.known.get_mut(index)?;
        if entry.is_none_or(|known| known.function != function) {
            *entry = None;
        }
        Some(entry.get_or_insert(LongCall { function, work: 0, waits_until: 0 }))
    }

    fn index(&self, function: &Function) -> usize {
        self.hasher.hash_one(function) as usize % MAX_KNOWN_FUNCTIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Bytes, TxKind};

    fn call(contract: u16, gas_limit: u64) -> TxEnv {
        TxEnv {
            kind: TxKind::Call(Address::left_padding_from(&contract.to_be_bytes())),
            data: Bytes::from(vec![7; 36]),
            gas_limit,
            ..TxEnv::default()
        }
    }

    /// A block of nine small calls and one of `contract` with this gas limit.
    fn block(contract: u16, gas_limit: u64) -> Block {
        let small = (100..109).map(|contract| call(contract, 100_000));
        Block {
            transactions: small.chain([call(contract, gas_limit)]).collect(),
            ..Block::default()
        }
    }

    const LAST: TxIndex = TxIndex(9);
    const END: TxIndex = TxIndex(10);

    fn first(longest: &Longest, block: &Block) -> Vec<TxIndex> {
        longest.of(block, 0..10)
    }

    /// Learns from a segment with these transactions that ran long and that started early.
    fn learn(
        longest: &mut Longest,
        block: &Block,
        frontier: TxIndex,
        long: &[(TxIndex, u64)],
        started_early: &[(TxIndex, u32)],
    ) {
        let long_runs = LongRuns { long: long.to_vec(), started_early: started_early.to_vec() };
        longest.learn(block, frontier.position(), true, &long_runs);
    }

    #[test]
    fn what_took_long_begins_first_later_on() {
        let mut longest = Longest::default();
        let block = block(1, 400_000);
        assert_eq!(first(&longest, &block), []);
        learn(&mut longest, &block, END, &[(LAST, LONG_WORK_GAS)], &[]);
        assert_eq!(first(&longest, &block), [LAST]);
        assert_eq!(longest.of(&block, 0..9), [], "not one of these");
        assert_eq!(longest.of(&block, 8..10), [LAST], "half of them");
        // The transaction ran once, but not for long.
        learn(&mut longest, &block, END, &[], &[(LAST, 1)]);
        assert_eq!(first(&longest, &block), []);
    }

    #[test]
    fn what_began_was_discarded_waits() {
        let mut longest = Longest::default();
        let block = block(1, 400_000);
        learn(&mut longest, &block, END, &[(LAST, LONG_WORK_GAS)], &[]);
        assert_eq!(first(&longest, &block), [LAST]);
        // The transaction ran twice; or it ran, and speculation fell back before its turn.
        for (frontier, long, runs) in [(END, &[(LAST, LONG_WORK_GAS)][..], 2), (LAST, &[], 1)] {
            learn(&mut longest, &block, frontier, long, &[(LAST, runs)]);
            for _ in 0..LONGEST_BACKOFF {
                assert_eq!(first(&longest, &block), []);
                learn(&mut longest, &block, END, &[(LAST, LONG_WORK_GAS)], &[]);
            }
            assert_eq!(first(&longest, &block), [LAST]);
        }
        // No worker has run it.
        learn(&mut longest, &block, LAST, &[], &[(LAST, 0)]);
        assert_eq!(first(&longest, &block), [LAST]);
    }

    #[test]
    fn calls_of_one_function_wait_together_and_the_longest_counts() {
        let transactions = (0..40).map(|index| call(index % 5, 400_000)).collect();
        let block = Block { transactions, ..Block::default() };
        let calls: Vec<_> = (0..8).map(|index| TxIndex(5 * index)).collect();
        let long: Vec<_> = calls.iter().map(|tx| (*tx, LONG_WORK_GAS)).collect();
        let mut longest = Longest::default();
        learn(&mut longest, &block, TxIndex(40), &long, &[]);
        assert_eq!(longest.of(&block, 0..40), calls);
        // All but one were short.
        let started_early: Vec<_> = calls.iter().map(|tx| (*tx, 1)).collect();
        learn(&mut longest, &block, TxIndex(40), &long[3..4], &started_early);
        assert_eq!(longest.of(&block, 0..40), calls);
        // One was aborted.
        learn(&mut longest, &block, TxIndex(40), &long, &[(calls[3], 2)]);
        for _ in 0..LONGEST_BACKOFF {
            assert_eq!(longest.of(&block, 0..40), []);
            learn(&mut longest, &block, TxIndex(40), &long, &[]);
        }
        assert_eq!(longest.of(&block, 0..40), calls);
    }

    #[test]
    fn who_asks_for_very_much_is_believed_once() {
        let mut longest = Longest::default();
        let block = block(1, LONG_CALL_GAS);
        assert_eq!(first(&longest, &block), [LAST]);
        learn(&mut longest, &block, END, &[], &[(LAST, 1)]);
        assert_eq!(first(&longest, &block), []);
        // A payment; a creation.
        for tx in [
            TxEnv { data: Bytes::new(), ..call(2, 9 * LONG_WORK_GAS) },
            TxEnv { kind: TxKind::Create, ..call(2, 9 * LONG_WORK_GAS) },
        ] {
            let mut block = block.clone();
            block.transactions[9] = tx;
            assert_eq!(first(&longest, &block), []);
            learn(&mut longest, &block, END, &[(LAST, LONG_WORK_GAS)], &[(LAST, 1)]);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut longest = Longest::default();
        for contract in 0..20_000 {
            learn(&mut longest, &block(contract, 400_000), END, &[(LAST, LONG_WORK_GAS)], &[]);
        }
        assert_eq!(longest.known.len(), MAX_KNOWN_FUNCTIONS);
    }
}
