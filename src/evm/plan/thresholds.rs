//! Thresholds of the planner. Each states its unit, its meaning and its source; "by judgement"
//! means that no dedicated measurement backs it. Bare factors such as 1.33 are speed-ups.
//! Thresholds of other layers are elsewhere: what a long call is (`exec/work`), what slow storage
//! is (`exec/activity`), how chunks and batches are cut (`schedule`), the engine's window
//! (`config`), when speculation falls back to sequential (`protocol`).

/// Gas that takes about a millisecond.
///
/// - A block with less gas runs sequentially: waking other workers costs more than they can save.
/// - The transactions of a first batch have at most this gas limit in total, which bounds the waste
///   if the batch is aborted.
/// - An unknown call starts ahead of its turn if its gas limit is most of this.
///
/// By judgement.
pub(super) const MILLISECOND_GAS: u64 = 2_000_000;

/// Cost of handing a transaction to another worker, in gas of common instructions (about 6 us):
/// publishing, checking, committing, waiting for each other, colder caches. A transaction with less
/// work is cheap: sharing it costs more than one more worker saves. Two workers, wall-clock time,
/// with 17,500, with this value and with 7,000: `nft-game` 1.05, 1.33, 1.36; `supply-chain` 0.92,
/// 1.07, 1.07; `lending` 1.09, 1.34, 1.08; payments to one account 0.97, 0.89, 0.60.
pub(super) const SHARING: u64 = 11_000;

/// Mean gas limit, per transaction, below which transactions count as cheap before any has run:
/// between a native and a token transfer. Real blocks with mean gas limits of 26,000 to 34,000: 0.3
/// to 1.1 on eight cores, 0.7 to 1.3 sequentially.
pub(super) const CHEAP_LIMIT: u64 = 35_000;

/// Cost of sharing one access, in gas of common instructions (about 0.3 us): looking the location
/// up in the store, recording the reader, comparing. Two workers, transactions that each read a
/// thousand slots: 75 us sequentially, 200 us speculatively, 400 us next to another transaction
/// that reads the same slots.
pub(super) const SHARED_ACCESS: u64 = 600;

/// Number of fifths that count as most of a total: of a block's gas, if one sender, one contract or
/// one chain of predicted dependencies has it. By judgement.
pub(super) const MOST_OF_FIVE: u64 = 4;

/// Commits per aborted run. If speculation commits fewer than this per abort, it is contended, and
/// transactions wait for predicted dependencies. By judgement: most real blocks abort one run in
/// ten to twenty.
pub(super) const CONTENDED_ONE_IN: u64 = 4;

/// Sampled transactions per payment to an account, at most, for it to be paid with blind credits.
/// There are then at most this many such accounts, so a loaded account can be compared with each of
/// them. By judgement.
pub(super) const OFTEN_ONE_IN: usize = 16;

/// Number of workers, with two uses. A sequential segment wakes this many: one folds changes for
/// the bundle, and a second one takes over if the first is preempted. With at most this many
/// workers, one of them also folds the changes of contiguous batches; with more, all fold at the
/// end. By judgement.
pub(super) const FOLDS_MEANWHILE: usize = 3;

/// Transactions of a large block. A large block is tried in contiguous batches if its first two
/// batches share no account, another worker folds the changes of sequential runs, and means are
/// taken from a sample. A shorter block must look independent as a whole to be tried in batches,
/// and is not worth waking another worker for folding. By judgement; token transfers in blocks of
/// 200, 400 and 800 gain (DESIGN).
pub(super) const LARGE: usize = 1_000;

/// Contiguous batches of minimum length per worker, in a block that is not large. By judgement.
pub(super) const BATCHES_EACH: usize = 2;

/// Transactions to risk until more is known: length of the longest first batch, and of the first
/// sequential segment after speculation has failed; and number of transactions that must have run
/// before they count as cheap.
///
/// Also a ratio, one in this many: transactions with a predicted dependency in a block that looks
/// independent, beyond the first two. By judgement.
pub(super) const SHORT: usize = 64;

/// Transactions of the shortest first batch. By judgement.
pub(super) const SHORTEST_BATCH: usize = 8;

/// Maximum number of entries: transactions beyond the frontier that may run if dependencies are
/// predicted; calls remembered for chains, a quarter of a megabyte; and functions remembered for
/// long calls, 192 KiB. By judgement. Calls that access one
/// slot 250 times in a row, on two workers: 1.02 if 128 may run, 1.7 with this number.
pub(in crate::evm) const FARTHEST: usize = 4_096;

/// Minimum length of a trial of predicted dependencies, in transactions. By judgement. Of 1,000 calls that
/// access one slot 250 times in a row, a trial of 128 shows one chain: 1.0 in virtual time on two
/// workers, and 1.8 with this number.
pub(super) const SHORTEST_PREDICTED_TRIAL: usize = 1_024;

/// Transactions of a speculative trial per transaction of the first sequential segment. By
/// judgement.
pub(super) const TRIAL_TIMES: usize = 2;

/// Maximum back-off, in attempts: blocks that are not tried with a strategy; segments of a
/// contract's calls that run sequentially (one, three, seven and so on); segments in which a
/// function's calls wait for their turn. Also the factor by which the next segment is longer: of a
/// sequential one, each time speculation has failed or transactions are cheap; of speculation that
/// pays, until it is checked again. A block of 20,000 dependent transfers has four trials.
pub(super) const LEFT_ALONE: usize = 16;

/// Maximum number of workers for transactions that may conflict: the more run at once, the more
/// often they do. Sixteen cores, geometric mean of 35 real blocks: 1.71 on 8 workers, 1.63 on 16;
/// `nft-game`: 2.1 and 0.95, at 2.9 and 9.5 times the processor time.
pub(super) const WORKERS_THAT_MEET: usize = 8;
