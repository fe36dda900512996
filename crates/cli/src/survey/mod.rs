//! What limits many blocks: a row for each block, and over all blocks and by fork the distribution
//! of the bounds, what the conflict chains wait for, and the contracts with the highest cost.

mod chain;
mod columns;
mod group;
mod row;
pub mod words;

pub use chain::{ChainStep, Role, Visit, steps};
pub use columns::csv;
pub use group::{ContractRow, Function, Group, KindRow, LimitRow, Speedups, Spread};
pub use row::{BlockRow, FailedRow, Limit, Origin, Reached, Row};

use serde::Serialize;

/// All blocks of a survey.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Survey {
    /// A row for each file, in the order of reading.
    pub blocks: Vec<Row>,
    /// Number of blocks without transactions, which are in no group.
    pub empty: usize,
    /// All blocks together, then those of each fork, the oldest first.
    pub groups: Vec<Group>,
}

/// A survey in progress.
#[derive(Clone, Debug, Default)]
pub struct Gathering {
    rows: Vec<Row>,
    /// Steps of the conflict chain of each row.
    chains: Vec<Vec<ChainStep>>,
}

impl Gathering {
    /// Adds a block, with the steps of its conflict chain.
    pub fn add(&mut self, row: BlockRow, chain: Vec<ChainStep>) {
        self.rows.push(Row::Block(Box::new(row)));
        self.chains.push(chain);
    }

    /// Adds a file without a usable block.
    pub fn add_failed(&mut self, row: FailedRow) {
        self.rows.push(Row::Failed(row));
        self.chains.push(Vec::new());
    }

    /// Returns the survey, with the `top` most expensive accounts in each group.
    #[must_use]
    pub fn finish(self, top: usize) -> Survey {
        let blocks: Vec<(&BlockRow, &[ChainStep])> = self
            .rows
            .iter()
            .zip(&self.chains)
            .filter_map(|(row, chain)| Some((row.block()?, chain.as_slice())))
            .collect();
        // A block without transactions has no speed-up, and would distort the medians.
        let (blocks, empty): (Vec<_>, Vec<_>) =
            blocks.into_iter().partition(|(row, _)| row.txs > 0);
        let empty = empty.len();
        let mut forks: Vec<(u8, &str)> =
            blocks.iter().map(|(row, _)| row.fork_in_order()).collect();
        forks.sort_unstable();
        forks.dedup();
        let of = |fork: &str| {
            let blocks: Vec<_> =
                blocks.iter().copied().filter(|(row, _)| row.fork == fork).collect();
            Group::new(Some(fork.to_owned()), &blocks, top)
        };
        let mut groups = vec![Group::new(None, &blocks, top)];
        groups.extend(forks.into_iter().map(|(_, fork)| of(fork)));
        Survey { groups, empty, blocks: self.rows }
    }
}
