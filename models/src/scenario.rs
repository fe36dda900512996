//! A small block: the reads and writes of each transaction, and the limits under which it runs.

use crate::LOCATIONS;
use braid_evm::ids::{BatchId, Chunk, TxIndex};
use braid_evm::protocol::{Chunks, Failure, Halt, Job, Jobs, Limits, Plan, RunMode};

/// Location that a transaction writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// No write.
    Nothing,
    /// This location.
    At(usize),
    /// A location that depends on the value that the transaction read.
    ByValue,
}

/// Outcome of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Executes.
    Plain,
    /// Is invalid if it read an odd value.
    RejectsOdd,
    /// Is invalid if it read an even value; base values are even.
    RejectsEven,
    /// Panics, or fails to read the base state, if it read an odd value.
    FatalIfOdd,
    /// Same, for an even value.
    FatalIfEven,
    /// Has no room in the block.
    NoRoom,
    /// Also reads a value to which every commit adds, so everything below must be final.
    ReadsCredits,
}

/// A transaction with at most one read and one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tx {
    /// The location read.
    pub read: Option<usize>,
    /// The location written.
    pub write: Write,
    /// The outcome.
    pub kind: Kind,
}

impl Tx {
    /// Returns the location and value that the transaction writes if it reads `seen`.
    ///
    /// # Errors
    /// Returns the reason if it has no result.
    pub const fn run(self, index: usize, seen: u8) -> Result<Option<(usize, u8)>, Failure> {
        let odd = seen % 2 == 1;
        match self.kind {
            Kind::RejectsOdd if odd => return Err(Failure::Rejected),
            Kind::RejectsEven if !odd => return Err(Failure::Rejected),
            Kind::FatalIfOdd if odd => return Err(Failure::Fatal),
            Kind::FatalIfEven if !odd => return Err(Failure::Fatal),
            _ => {}
        }
        // The value depends on the read, differs between transactions, and may be odd or even.
        let value = seen.wrapping_mul(5).wrapping_add(index as u8 + 1);
        Ok(match self.write {
            Write::Nothing => None,
            Write::At(location) => Some((location, value)),
            Write::ByValue => Some((seen as usize % LOCATIONS, value)),
        })
    }
}

/// A block and the limits under which it runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scenario {
    /// The transactions.
    pub txs: Vec<Tx>,
    /// Limits of the protocol.
    pub limits: Limits,
    /// Ends of the planned chunks.
    pub chunk_ends: Vec<u32>,
    /// Predicted dependencies: (transaction, lower transaction that it waits for).
    pub dependencies: Vec<(u32, u32)>,
    /// Transactions to schedule before others.
    pub longest: Vec<u32>,
    /// Private batches, which cover all transactions; empty for a block in chunks.
    pub batches: Vec<Chunk>,
    /// Number of transactions that an earlier segment has committed.
    pub begun: u32,
    /// Whether a private batch commits as one group.
    pub grouped: bool,
    /// Access list: the write of each transaction, right or wrong. Private batches read the listed
    /// writes of lower transactions, and their own writes are compared with the list.
    pub list: Option<Vec<Option<(usize, u8)>>>,
    /// Seeded bug: writes are not compared with the list.
    pub trusts_list: bool,
    /// Whether the caller may cancel at any time.
    pub may_cancel: bool,
    /// Whether any read may instead wait for any running lower transaction, as if it were predicted
    /// to write the location.
    pub predicts: bool,
    /// Whether the frontier's job may be reported as stalled at any time.
    pub stalls: bool,
    /// Whether the owner may fall back to sequential execution at any time.
    pub may_be_unprofitable: bool,
}

impl Scenario {
    /// Creates a block with chunks of one transaction, tight limits, and validate mode.
    #[must_use]
    pub fn new(txs: Vec<Tx>) -> Self {
        let limits = Limits {
            window: 3,
            job_capacity: 2,
            max_speculative_runs: 2,
            skip_rejected: false,
            shared_chunks: false,
            fallback: None,
        };
        let (chunk_ends, dependencies, longest, batches) = Default::default();
        let (grouped, may_cancel, predicts, stalls, may_be_unprofitable) = Default::default();
        Self {
            txs,
            limits,
            chunk_ends,
            dependencies,
            longest,
            batches,
            begun: 0,
            grouped,
            list: None,
            trusts_list: false,
            may_cancel,
            predicts,
            stalls,
            may_be_unprofitable,
        }
    }

    /// Returns the plan of the block.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let first = TxIndex(self.begun);
        if !self.batches.is_empty() {
            return Plan { first, jobs: Jobs::Batches(self.batches.clone()) };
        }
        let mut chunks = Chunks::singles(self.txs.len() as u32);
        if !self.chunk_ends.is_empty() {
            let firsts = core::iter::once(&0).chain(&self.chunk_ends);
            let chunk =
                |(first, end): (&u32, &u32)| Chunk { first: TxIndex(*first), end: TxIndex(*end) };
            chunks.ranges = firsts.zip(&self.chunk_ends).map(chunk).collect();
        }
        chunks.ranges.retain(|chunk| chunk.end > first);
        if let Some(chunk) = chunks.ranges.first_mut() {
            chunk.first = chunk.first.max(first);
        }
        let dependency = |&(tx, on): &(u32, u32)| (TxIndex(tx), TxIndex(on));
        chunks.longest = self.longest.iter().copied().map(TxIndex).collect();
        chunks.dependencies = self.dependencies.iter().map(dependency).collect();
        Plan { first, jobs: Jobs::Chunks(chunks) }
    }

    /// Returns the private batch that contains `tx`.
    #[must_use]
    pub fn batch_of(&self, tx: TxIndex) -> Option<BatchId> {
        let batch = self.batches.iter().position(|batch| batch.first <= tx && tx < batch.end)?;
        Some(BatchId(batch as u32))
    }

    /// Makes an earlier segment commit the transactions below `begun`.
    pub fn begin_later(&mut self, begun: u32) {
        self.begun = begun;
        let first = TxIndex(begun);
        self.batches.retain(|batch| batch.end > first);
        self.batches.iter_mut().for_each(|batch| batch.first = batch.first.max(first));
    }

    /// Returns the listed value of `location` below `tx`, if there is an access list.
    pub(crate) fn listed(&self, tx: usize, location: usize) -> Option<u8> {
        let below = self.list.as_ref()?.get(..tx).unwrap_or_default();
        let last = below.iter().rev().flatten().find(|(at, _)| *at == location);
        Some(last.map_or(0, |(_, value)| *value))
    }

    /// Returns whether the write of `tx` agrees with the access list, if there is one.
    pub(crate) fn matches_list(&self, tx: usize, written: Option<(usize, u8)>) -> bool {
        let is_listed = |list: &Vec<_>| list.get(tx) == Some(&written);
        self.trusts_list || self.list.as_ref().is_none_or(is_listed)
    }

    /// Returns the member of `batch` after `tx`.
    #[must_use]
    pub fn next_member(&self, batch: BatchId, tx: usize) -> Option<usize> {
        let batch = self.batches.get(batch.0 as usize)?;
        Some(tx + 1).filter(|next| *next < batch.end.position())
    }

    /// Returns whether `job` includes `tx`.
    #[must_use]
    pub fn covers(&self, job: &Job, tx: TxIndex) -> bool {
        let in_range = job.chunk.first <= tx && tx < job.chunk.end;
        in_range
            && match job.mode {
                RunMode::Private { batch } => self.batch_of(tx) == Some(batch),
                RunMode::Speculative | RunMode::Frontier => true,
            }
    }

    /// Runs the block sequentially and returns the result.
    #[must_use]
    pub fn run_sequentially(&self) -> SequentialResult {
        let mut values = [0; LOCATIONS];
        let mut sequential = SequentialResult::before(values);
        for (index, tx) in self.txs.iter().enumerate() {
            let mut seen = tx.read.map_or(0, |location| values[location]);
            if tx.kind == Kind::ReadsCredits {
                seen = seen.wrapping_add(credits(&sequential.outcomes));
            }
            let at = TxIndex(index as u32);
            let ended = if tx.kind == Kind::NoRoom {
                Err(Halt::NoRoom(at))
            } else {
                tx.run(index, seen).map_err(|failure| Halt::Failed(at, failure))
            };
            match ended {
                Ok(write) => {
                    if let Some((location, value)) = write {
                        values[location] = value;
                    }
                    sequential.outcomes.push(Some(seen));
                    sequential.written.push(write);
                }
                Err(Halt::Failed(_, Failure::Rejected) | Halt::NoRoom(_))
                    if self.limits.skip_rejected =>
                {
                    sequential.outcomes.push(None);
                    sequential.written.push(None);
                }
                Err(halt) => {
                    sequential.halt = Some(halt);
                    return sequential;
                }
            }
            sequential.states.push(values);
        }
        sequential
    }
}

/// Returns the sum of the credits of these outcomes: one per transaction that was not skipped.
pub(crate) fn credits(outcomes: &[Option<u8>]) -> u8 {
    outcomes.iter().flatten().count() as u8
}

/// Sequential result of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequentialResult {
    /// The value that each transaction read; `None` if it was skipped.
    pub outcomes: Vec<Option<u8>>,
    /// The location and value that each transaction wrote.
    pub written: Vec<Option<(usize, u8)>>,
    /// The state after each prefix.
    pub states: Vec<[u8; LOCATIONS]>,
    /// Why the block ends early.
    pub halt: Option<Halt>,
}

impl SequentialResult {
    fn before(values: [u8; LOCATIONS]) -> Self {
        Self { outcomes: Vec::new(), written: Vec::new(), states: vec![values], halt: None }
    }
}
