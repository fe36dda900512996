//! A small block: what each transaction reads and writes, and under which limits it runs.

use crate::LOCATIONS;
use braid_evm::ids::{BatchId, Chunk, TxIndex};
use braid_evm::protocol::{Batch, Failure, Halt, Job, Limits, Plan, Policy, RunMode};

/// Where a transaction writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// Nowhere.
    Nothing,
    /// Here.
    At(usize),
    /// Where the value that it read says.
    ByValue,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It executes.
    Plain,
    /// It is invalid if it read an odd value.
    RejectsOdd,
    /// It is invalid if it read an even value; base values are even.
    RejectsEven,
    /// It panics, or the base state fails, if it read an odd value.
    FatalIfOdd,
    /// The same for an even one.
    FatalIfEven,
    /// The block has no room for it.
    NoRoom,
    /// It also reads what every commit adds to, so everything below it must be final.
    ReadsCredits,
}

/// One transaction: at most one read and one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tx {
    /// What it reads.
    pub read: Option<usize>,
    /// What it writes.
    pub write: Write,
    /// How it ends.
    pub kind: Kind,
}

impl Tx {
    /// What it comes to on `seen`: where it writes which value.
    ///
    /// # Errors
    /// Why it has no result.
    pub const fn run(self, index: usize, seen: u8) -> Result<Option<(usize, u8)>, Failure> {
        let odd = seen % 2 == 1;
        match self.kind {
            Kind::RejectsOdd if odd => return Err(Failure::Rejected),
            Kind::RejectsEven if !odd => return Err(Failure::Rejected),
            Kind::FatalIfOdd if odd => return Err(Failure::Fatal),
            Kind::FatalIfEven if !odd => return Err(Failure::Fatal),
            _ => {}
        }
        // Depends on what was read, differs by transaction, and is odd as often as even.
        let value = seen.wrapping_mul(5).wrapping_add(index as u8 + 1);
        Ok(match self.write {
            Write::Nothing => None,
            Write::At(location) => Some((location, value)),
            Write::ByValue => Some((seen as usize % LOCATIONS, value)),
        })
    }
}

/// A block with the limits under which it runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scenario {
    /// The transactions.
    pub txs: Vec<Tx>,
    /// Bounds and choices.
    pub limits: Limits,
    /// Ends of the planned chunks.
    pub chunk_ends: Vec<u32>,
    /// A hint: (transaction, lower transaction that it waits for).
    pub dependencies: Vec<(u32, u32)>,
    /// A hint: these go out before others.
    pub longest: Vec<u32>,
    /// Members of private batches, ascending. The others are published.
    pub batches: Vec<Vec<u32>>,
    /// Final already, by an earlier round: those below the second index. What those from the first one on have left is
    /// in the owner's hands alone.
    pub begun: (u32, u32),
    /// Whether a run in order ends before what the block has no room for.
    pub knows_room: bool,
    /// Whether neighbours of a private batch commit together.
    pub grouped: bool,
    /// What a list says that each transaction writes, right or wrong: private batches read what it says of those below
    /// them, and are compared with it.
    pub claims: Option<Vec<Option<(usize, u8)>>>,
    /// The seeded bug that they are not compared.
    pub trusts_claims: bool,
    /// Whether the caller may cancel at any time.
    pub may_cancel: bool,
    /// Whether a read may end as blocked because a lower transaction runs that will probably write:
    /// any read, on any such transaction.
    pub predicts: bool,
    /// Whether the frontier's job may count as stalled at any time.
    pub stalls: bool,
    /// The owner may give speculation up at any time.
    pub gives_up: bool,
}

impl Scenario {
    /// Chunks of one transaction, tight limits, validate mode.
    #[must_use]
    pub fn new(txs: Vec<Tx>) -> Self {
        let limits = Limits {
            window: 3,
            job_capacity: 2,
            max_speculative_runs: 2,
            policy: Policy::ForceSpeculative,
            skip_rejected: false,
            shared_chunks: false,
            hands_over: None,
            hands_over_rest: false,
            stride: u32::MAX,
        };
        let (chunk_ends, dependencies, longest, batches) = Default::default();
        let (grouped, may_cancel, predicts, stalls, gives_up) = Default::default();
        let begun = (0, 0);
        Self {
            txs,
            limits,
            chunk_ends,
            dependencies,
            longest,
            batches,
            begun,
            knows_room: true,
            grouped,
            claims: None,
            trusts_claims: false,
            may_cancel,
            predicts,
            stalls,
            gives_up,
        }
    }

    /// How the block is cut up.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let mut plan = Plan::singles(self.txs.len() as u32);
        if !self.chunk_ends.is_empty() {
            let firsts = core::iter::once(&0).chain(&self.chunk_ends);
            let chunk =
                |(first, end): (&u32, &u32)| Chunk { first: TxIndex(*first), end: TxIndex(*end) };
            plan.chunks = firsts.zip(&self.chunk_ends).map(chunk).collect();
        }
        let (carried, first) = self.begun;
        plan.first = TxIndex(first);
        plan.carried = (carried < first).then_some(TxIndex(carried));
        let is_left = |tx: TxIndex| self.batch_of(tx).is_none() && tx.0 >= first;
        plan.chunks.retain(|chunk| chunk.indices().all(is_left));
        let members = |batch: &Vec<u32>| batch.iter().copied().map(TxIndex).collect();
        plan.private = self.batches.iter().map(|batch| Batch::Members(members(batch))).collect();
        let dependency = |&(tx, on): &(u32, u32)| (TxIndex(tx), TxIndex(on));
        plan.longest = self.longest.iter().copied().map(TxIndex).collect();
        plan.dependencies = self.dependencies.iter().map(dependency).collect();
        plan
    }

    /// The private batch that holds `tx`.
    #[must_use]
    pub fn batch_of(&self, tx: TxIndex) -> Option<BatchId> {
        let batch = self.batches.iter().position(|members| members.contains(&tx.0))?;
        Some(BatchId(batch as u32))
    }

    /// Whether there are published transactions beside private batches.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        let members = self.batches.iter().map(Vec::len).sum::<usize>();
        0 < members && members + (self.begun.1 as usize) < self.txs.len()
    }

    /// What the list says of `location` below `tx`, if there is a list.
    pub(crate) fn told(&self, tx: usize, location: usize) -> Option<u8> {
        let below = self.claims.as_ref()?.get(..tx).unwrap_or_default();
        let last = below.iter().rev().flatten().find(|(at, _)| *at == location);
        Some(last.map_or(0, |(_, value)| *value))
    }

    /// Whether the list, if there is one, says that `tx` writes this.
    pub(crate) fn is_claimed(&self, tx: usize, written: Option<(usize, u8)>) -> bool {
        let is_said = |claims: &Vec<_>| claims.get(tx) == Some(&written);
        self.trusts_claims || self.claims.as_ref().is_none_or(is_said)
    }

    /// The member of `batch` after `tx`.
    #[must_use]
    pub fn next_member(&self, batch: BatchId, tx: usize) -> Option<usize> {
        let members = self.batches.get(batch.0 as usize)?;
        members.iter().map(|member| *member as usize).find(|member| *member > tx)
    }

    /// Whether `job` is to run `tx`.
    #[must_use]
    pub fn covers(&self, job: &Job, tx: TxIndex) -> bool {
        let in_range = job.chunk.first <= tx && tx < job.chunk.end;
        in_range
            && match job.mode {
                RunMode::Private { batch, .. } | RunMode::InOrder { batch, .. } => {
                    self.batch_of(tx) == Some(batch)
                }
                RunMode::Speculative | RunMode::Frontier => true,
            }
    }

    /// What the block comes to if it runs in order.
    #[must_use]
    pub fn serial(&self) -> Serial {
        let mut values = [0; LOCATIONS];
        let mut serial = Serial::before(values);
        for (index, tx) in self.txs.iter().enumerate() {
            let mut seen = tx.read.map_or(0, |location| values[location]);
            if tx.kind == Kind::ReadsCredits {
                seen = seen.wrapping_add(credits(&serial.outcomes));
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
                    serial.outcomes.push(Some(seen));
                    serial.written.push(write);
                }
                Err(Halt::Failed(_, Failure::Rejected) | Halt::NoRoom(_))
                    if self.limits.skip_rejected =>
                {
                    serial.outcomes.push(None);
                    serial.written.push(None);
                }
                Err(halt) => {
                    serial.halt = Some(halt);
                    return serial;
                }
            }
            serial.states.push(values);
        }
        serial
    }
}

/// What the commits of these outcomes have added: one for each that was not skipped.
pub(crate) fn credits(outcomes: &[Option<u8>]) -> u8 {
    outcomes.iter().flatten().count() as u8
}

/// What a block comes to if it runs in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serial {
    /// For each transaction what it read, or nothing if it is skipped.
    pub outcomes: Vec<Option<u8>>,
    /// For each transaction where it wrote, and what.
    pub written: Vec<Option<(usize, u8)>>,
    /// The state after each prefix.
    pub states: Vec<[u8; LOCATIONS]>,
    /// Why it ends early.
    pub halt: Option<Halt>,
}

impl Serial {
    fn before(values: [u8; LOCATIONS]) -> Self {
        Self { outcomes: Vec::new(), written: Vec::new(), states: vec![values], halt: None }
    }
}
