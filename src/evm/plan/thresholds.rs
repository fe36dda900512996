//! Thresholds of the planner: one meaning each, with its unit and its source. docs/PATHS.md has the
//! same list. "By judgement" means that no dedicated measurement backs a value; bare factors such as
//! 1.33 are speed-ups. To measure a value again, change it and run `cargo xtask compare-builds`,
//! which compares the builds on real blocks, and `braid bench` with the workload that is named here,
//! or `braid bench --virtual` for virtual time.
//!
//! Thresholds of other layers are elsewhere: what a long call is (`exec/work`), what slow storage
//! is (`exec/activity`), how chunks and batches are cut (`schedule`), the engine's window
//! (`config`), when speculation falls back to sequential (`protocol`).

/// Gas of a block, below which it runs sequentially: waking other workers costs more than they can
/// save. It takes about a millisecond. By judgement.
pub(super) const LEAST_GAS: u64 = 2_000_000;

/// Cost of handing a transaction to another worker, in gas of common instructions (about 6 us):
/// publishing, checking, committing, waiting for each other, colder caches. A transaction with less
/// work is cheap: sharing it costs more than one more worker saves. Two workers, wall-clock time,
/// with 17,500, with this value and with 7,000: `nft-game` 1.05, 1.33, 1.36; `supply-chain` 0.92,
/// 1.07, 1.07; `lending` 1.09, 1.34, 1.08; payments to one account 0.97, 0.89, 0.60.
pub(super) const SHARING: u64 = 11_000;

/// Transactions that must have run before they count as cheap. By judgement.
pub(super) const LEAST_RUN: usize = 64;

/// Mean gas limit, per transaction, below which transactions count as cheap before any has run:
/// between a native and a token transfer. Real blocks with mean gas limits of 26,000 to 34,000: 0.3
/// to 1.1 on eight cores, 0.7 to 1.3 sequentially.
pub(super) const CHEAP_LIMIT: u64 = 35_000;

/// Cost of sharing one access, in gas of common instructions (about 0.3 us): looking the location
/// up in the store, recording the reader, comparing. Two workers, transactions that each read a
/// thousand slots: 75 us sequentially, 200 us speculatively, 400 us next to another transaction
/// that reads the same slots.
pub(super) const SHARED_ACCESS: u64 = 600;

/// Most of a block's gas, in fifths, for one sender, one contract or one chain of dependencies. By
/// judgement.
pub(super) const MOST_OF_FIVE: u64 = 4;

/// Number of transactions, evenly spread over the block, from which means and shares are estimated.
/// By judgement.
pub(super) const SAMPLE: usize = 1_000;

/// Sampled transactions per payment to an account, at most, for it to be paid with blind credits.
/// There are then at most this many such accounts, so a loaded account can be compared with each of
/// them. By judgement.
pub(super) const OFTEN_ONE_IN: usize = 16;

/// Transactions of a large block. It is tried in contiguous batches if its first two batches share
/// no account; a shorter block must look independent as a whole. `execute_scoped`, which remembers
/// nothing, tries batches only in large blocks. By judgement; token transfers in blocks of 200, 400 and 800
/// gain (DESIGN).
pub(super) const LARGE: usize = 1_000;

/// A block looks independent if at most two transactions, and one more in this many, have a
/// predicted dependency. By judgement.
pub(super) const DEPENDENT_ONE_IN: usize = 64;

/// Total gas limit of a first batch, unless [`SHORTEST_BATCH`] transactions exceed it: about a
/// millisecond is wasted if the batch is aborted. By judgement.
pub(super) const FIRST_BATCH_GAS: u64 = 2_000_000;

/// Transactions of the shortest first batch. By judgement.
pub(super) const SHORTEST_BATCH: usize = 8;

/// Transactions of the longest first batch. By judgement.
pub(super) const LONGEST_FIRST_BATCH: usize = 64;

/// Contiguous batches of minimum length per worker, in a block that is not large. By judgement.
pub(super) const BATCHES_EACH: usize = 2;

/// Transactions from which another worker folds the changes of a sequential block for the bundle;
/// a shorter one is not worth waking a worker. By judgement.
pub(super) const BUNDLE_THREAD_FROM: usize = 1_000;

/// Number of workers of a sequential segment: one runs it, one folds changes for the bundle, and one
/// takes over if that one is preempted. By judgement.
pub(super) const SEQUENTIAL_WORKERS: usize = 3;

/// Number of workers up to which one of them also folds the changes of contiguous batches while
/// they run; more fold them at the end. By judgement.
pub(super) const FOLDS_MEANWHILE: usize = 3;

/// Commits per aborted run. If speculation commits fewer than this per abort, it is contended, and
/// transactions wait for predicted dependencies. By judgement: most real blocks abort one run in
/// ten to twenty.
pub(super) const CONTENDED_ONE_IN: u64 = 4;

/// Transactions beyond the frontier that may run if dependencies are predicted. Calls that access
/// one slot 250 times in a row, on two workers: 1.02 if 128 may run, 1.7 with this number.
pub(in crate::evm) const PREDICTED_WINDOW: u32 = 4_096;

/// Minimum length of a trial of predicted dependencies, in transactions. Of 1,000 calls that access
/// one slot 250 times in a row, a trial of 128 shows one chain: 1.0 in virtual time on two workers,
/// and 1.8 with this number.
pub(super) const SHORTEST_PREDICTED_TRIAL: usize = 1_024;

/// Transactions of the first sequential segment after speculation has failed: as many as are risked
/// until more is known. By judgement.
pub(super) const FIRST_SEQUENTIAL: usize = 64;

/// Transactions of a speculative trial per transaction of the first sequential segment. By
/// judgement; a trial of 64 transactions made a real block slower (DESIGN).
pub(super) const TRIAL_TIMES: usize = 2;

/// Growth of segments: of the sequential segment after each trial that fails at once, and of the
/// speculative trial after one that pays. Also how many times as many transactions may run
/// sequentially after cheap ones, if they ask for no more gas. A block of 20,000 dependent
/// transfers has four trials.
pub(super) const SEGMENT_GROWTH: usize = 16;

/// Maximum back-off, in attempts: blocks that are not tried with a strategy; segments of a
/// contract's calls that run sequentially (one, three, seven and so on); segments in which a
/// function's calls wait for their turn. By judgement.
pub(super) const LONGEST_BACKOFF: usize = 16;

/// Number of calls that are remembered because they form chains: a quarter of a megabyte. By
/// judgement.
pub(super) const KNOWN_CALLS: usize = 4_096;

/// Number of functions whose work is remembered: 192 KiB. By judgement.
pub(super) const KNOWN_FUNCTIONS: usize = 4_096;

/// Gas limit from which an unknown call starts ahead of its turn: most of a millisecond. By
/// judgement.
pub(super) const LONG_CALL_GAS: u64 = 1_600_000;

/// Maximum number of workers for transactions that may conflict: the more run at once, the more
/// often they do. Sixteen cores, geometric mean of 35 real blocks: 1.71 on 8 workers, 1.63 on 16;
/// `nft-game`: 2.1 and 0.95, at 2.9 and 9.5 times the processor time.
pub(super) const WORKERS_THAT_MEET: usize = 8;
