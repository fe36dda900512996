//! Thresholds: numbers that decide how a block runs, one meaning each, with unit and source. None
//! changes the result of a block. docs/PATHS.md has the same list.
//!
//! "By judgement" means that no dedicated measurement backs a value; bare factors such as 1.33 are
//! speed-ups. To measure a value again, change it and run `cargo xtask compare-builds`, which
//! compares the builds on real blocks, and `braid bench` with the workload that is named here, or
//! `braid bench --virtual` for virtual time.
//!
//! Sizes of tables and caches, and how often a waiting thread looks before it sleeps, are beside the
//! code that they serve.

/// Gas of a block, below which it runs sequentially: waking other workers costs more than they can
/// save. It takes about a millisecond. By judgement.
pub(crate) const LEAST_GAS: u64 = 2_000_000;

/// Cost of handing a transaction to another worker, in gas of common instructions (about 6 us):
/// publishing, checking, committing, waiting for each other, colder caches. A transaction with less
/// work is cheap: sharing it costs more than one more worker saves. Two workers, wall-clock time,
/// with 17,500, with this value and with 7,000: `nft-game` 1.05, 1.33, 1.36; `supply-chain` 0.92,
/// 1.07, 1.07; `lending` 1.09, 1.34, 1.08; payments to one account 0.97, 0.89, 0.60.
pub(crate) const SHARING: u64 = 11_000;

/// Transactions that must have run before they count as cheap. By judgement.
pub(crate) const LEAST_RUN: usize = 64;

/// Mean gas limit, per transaction, below which transactions count as cheap before any has run:
/// between a native and a token transfer. Real blocks with mean gas limits of 26,000 to 34,000: 0.3
/// to 1.1 on eight cores, 0.7 to 1.3 sequentially.
pub(crate) const CHEAP_LIMIT: u64 = 35_000;

/// Cost of sharing one access, in gas of common instructions (about 0.3 us): looking the location
/// up in the store, recording the reader, comparing. Two workers, transactions that each read a
/// thousand slots: 75 us sequentially, 200 us speculatively, 400 us next to another transaction
/// that reads the same slots.
pub(crate) const SHARED_ACCESS: u64 = 600;

/// Most of a block's gas, in fifths, for one sender, one contract or one chain of dependencies. By
/// judgement.
pub(crate) const MOST_OF_FIVE: u64 = 4;

/// Number of transactions, evenly spread over the block, from which means and shares are estimated.
/// By judgement.
pub(crate) const SAMPLE: usize = 1_000;

/// Sampled transactions per payment to an account, at most, for it to be paid with blind credits.
/// There are then at most this many such accounts, so a loaded account can be compared with each of
/// them. By judgement.
pub(crate) const OFTEN_ONE_IN: usize = 16;

/// Transactions of a large block. It is tried in contiguous batches if its first two batches share
/// no account; a shorter block must look independent as a whole. `execute_scoped`, which remembers
/// nothing, tries batches only in large blocks. By judgement; token transfers in blocks of 200, 400 and 800
/// gain (DESIGN).
pub(crate) const LARGE: usize = 1_000;

/// A block looks independent if at most two transactions, and one more in this many, have a
/// predicted dependency. By judgement.
pub(crate) const DEPENDENT_ONE_IN: usize = 64;

/// Total gas limit of a first batch, unless [`SHORTEST_BATCH`] transactions exceed it: about a
/// millisecond is wasted if the batch is aborted. By judgement.
pub(crate) const FIRST_BATCH_GAS: u64 = 2_000_000;

/// Transactions of the shortest first batch. By judgement.
pub(crate) const SHORTEST_BATCH: usize = 8;

/// Transactions of the longest first batch. By judgement.
pub(crate) const LONGEST_FIRST_BATCH: usize = 64;

/// Contiguous batches of minimum length per worker, in a block that is not large. By judgement.
pub(crate) const BATCHES_EACH: usize = 2;

/// Transactions from which another worker folds the changes of a sequential block for the bundle;
/// a shorter one is not worth waking a worker. By judgement.
pub(crate) const BUNDLE_THREAD_FROM: usize = 1_000;

/// Number of workers of a sequential segment: one runs it, one folds changes for the bundle, and one
/// takes over if that one is preempted. By judgement.
pub(crate) const SEQUENTIAL_WORKERS: usize = 3;

/// Number of workers up to which one of them also folds the changes of contiguous batches while
/// they run; more fold them at the end. By judgement.
pub(crate) const FOLDS_MEANWHILE: usize = 3;

/// Commits per aborted run. If speculation commits fewer than this per abort, it is contended, and
/// transactions wait for predicted dependencies. By judgement: most real blocks abort one run in
/// ten to twenty.
pub(crate) const CONTENDED_ONE_IN: u64 = 4;

/// Transactions beyond the frontier that may run if dependencies are predicted. Calls that access
/// one slot 250 times in a row, on two workers: 1.02 if 128 may run, 1.7 with this number.
pub(crate) const PREDICTED_WINDOW: u32 = 4_096;

/// Minimum length of a trial of predicted dependencies, in transactions. Of 1,000 calls that access
/// one slot 250 times in a row, a trial of 128 shows one chain: 1.0 in virtual time on two workers,
/// and 1.8 with this number.
pub(crate) const SHORTEST_PREDICTED_TRIAL: usize = 1_024;

/// Transactions of the first sequential segment after speculation has failed: as many as are risked
/// until more is known. By judgement.
pub(crate) const FIRST_SEQUENTIAL: usize = 64;

/// Transactions of a speculative trial per transaction of the first sequential segment. By
/// judgement; a trial of 64 transactions made a real block slower (DESIGN).
pub(crate) const TRIAL_TIMES: usize = 2;

/// Growth of segments: of the sequential segment after each trial that fails at once, and of the
/// speculative trial after one that pays. Also how many times as many transactions may run
/// sequentially after cheap ones, if they ask for no more gas. A block of 20,000 dependent
/// transfers has four trials.
pub(crate) const SEGMENT_GROWTH: usize = 16;

/// Maximum back-off, in attempts: blocks that are not tried with a strategy; segments of a
/// contract's calls that run sequentially (one, three, seven and so on); segments in which a
/// function's calls wait for their turn. By judgement.
pub(crate) const LONGEST_BACKOFF: usize = 16;

/// Number of calls that are remembered because they form chains: a quarter of a megabyte. By
/// judgement.
pub(crate) const KNOWN_CALLS: usize = 4_096;

/// Number of functions whose work is remembered: 192 KiB. By judgement.
pub(crate) const KNOWN_FUNCTIONS: usize = 4_096;

/// Gas limit from which an unknown call starts ahead of its turn: most of a millisecond. By
/// judgement.
pub(crate) const LONG_CALL_GAS: u64 = 1_600_000;

/// Maximum number of workers for transactions that may conflict: the more run at once, the more
/// often they do. Sixteen cores, geometric mean of 35 real blocks: 1.71 on 8 workers, 1.63 on 16;
/// `nft-game`: 2.1 and 0.95, at 2.9 and 9.5 times the processor time.
pub(crate) const WORKERS_THAT_MEET: usize = 8;

/// Default number of executions of a transaction before it waits for the frontier. By judgement.
pub(crate) const SPECULATIVE_RUNS: u32 = 4;

/// Default number of transactions per worker that may be dispatched ahead of the frontier. By
/// judgement.
pub(crate) const WINDOW: u32 = 64;

/// Jobs in the channel and on workers, per worker: one that runs and one that waits.
pub(crate) const JOBS_PER_WORKER: u32 = 2;

/// Default gas after which a chunk ends early if it holds up the frontier: half a millisecond. By
/// judgement.
pub(crate) const PATIENCE: u64 = 1_000_000;

/// Store shards per worker, so that two workers rarely need the same one. By judgement.
pub(crate) const SHARDS_PER_WORKER: usize = 16;

/// Aborts within [`WASTE_COMMITS`] commits from which speculation falls back, on two workers.
///
/// In a chain of dependent transactions each commit aborts one execution or more, and speculative
/// executions are kept only by chance: two of 32 on two workers (`f_unipool`, virtual time). Real
/// block 5526571, which aborts as many and still gains, keeps nine.
pub(crate) const WASTE_ABORTS: u32 = 30;

/// Most of these commits that come from the first or second execution of their transaction, on two
/// workers: see [`WASTE_ABORTS`].
pub(crate) const WASTE_KEPT: u32 = 6;

/// Commits between two checks for wasted speculation, on two workers.
pub(crate) const WASTE_COMMITS: u32 = 32;

/// Factor of the three numbers above on more than two workers. The next transaction of a chain then
/// runs again as soon as the one before it has published, and is kept: `d_erc20hot` on four real
/// cores, with two aborts per commit, reached 0.3 times sequential speed, and 1.3 times once
/// speculation was stopped. Waste also comes in bursts, so it takes longer to recognize: block
/// 4330482 on eight workers reaches 2.3 times instead of 3.9 times with 32 commits (virtual time).
pub(crate) const WASTE_TIMES: u32 = 2;

/// Minimum number of chunks per worker in a speculative segment, so that the last chunk is never long.
pub(crate) const CHUNKS_PER_WORKER: usize = 8;

/// Maximum number of transactions per chunk: enough that a message costs little next to simple
/// transfers.
pub(crate) const LONGEST_CHUNK: u32 = 16;

/// Maximum gas per chunk: some fifty microseconds of contract calls. The longer concurrent chunks
/// are, the more often their transactions conflict. With 400,000 gas, and 2,000,000 for calls of
/// one contract, 1,000 calls over 40 slots without predicted dependencies reached 1.37 times
/// sequential speed on two workers and 3.5 on eight in virtual time; with chunks of two calls 1.86
/// and 5.3. 17 real blocks on two workers ran 1.004 +- 0.010 times as fast, with less processor
/// time.
pub(crate) const CHUNK_GAS: u64 = 150_000;

/// Maximum number of transactions per contiguous batch, which bounds wasted work. By judgement.
pub(crate) const LONGEST_BATCH: usize = 4_096;

/// Number of contiguous batches per worker into which the remaining transactions would be divided at
/// the length of the next one: batches get shorter, so that all workers end at about the same time.
pub(crate) const BATCHES_LEFT: usize = 4;

/// Number of contiguous batches per worker at minimum length, which show whether batches can commit
/// at all.
pub(crate) const BATCHES_AT_FIRST: usize = 2;

/// Factor by which contiguous batches grow once each worker has had one: an aborted batch costs not
/// much more than earlier ones have gained.
pub(crate) const BATCH_GROWTH: usize = 2;

/// Maximum number of workers by which the window is multiplied, unless storage is slow. The further
/// ahead a transaction runs, the more often it conflicts, whatever the number of workers.
pub(crate) const WINDOW_WORKERS: u32 = 2;

/// Number of workers per configured worker while reads are slow. By judgement.
pub(crate) const IO_WORKERS_EACH: u16 = 8;

/// Work from which a transaction is started ahead of its turn, in gas of common instructions: 0.2
/// ms. Median speed-up of real blocks on two workers with 0.5, 0.2 and 0.1 ms: 1.45, 1.51 and 1.46;
/// 1.35 without starting any ahead.
pub(crate) const LONG_WORK: u64 = 400_000;

/// Time of a unit of precompile gas relative to common instructions: pairings, signatures and
/// proofs take 8 to 16 ns per unit, common instructions 0.5 ns.
pub(crate) const PRECOMPILE_TIME: u64 = 20;

/// Time of a unit of common instructions relative to gas for the transaction itself and for state
/// accesses and changes, which takes 0.08 ns per unit.
pub(crate) const STATE_TIME: u64 = 6;

/// Reads of a worker after which it counts the workers that are inside the database. By judgement.
pub(crate) const READS_PER_LOOK: u32 = 16;

/// Minimum number of such counts from which storage is judged to be slow or not. By judgement.
pub(crate) const FEWEST_LOOKS: u32 = 8;

/// Share of the workers inside the database, in quarters, from which storage is slow. By judgement.
pub(crate) const SLOW_QUARTERS: u64 = 3;

/// Batches in which a sequential segment is handed to the worker that builds the bundle: each may
/// wake it, and the last one is waited for. By judgement.
pub(crate) const BUNDLE_BATCHES: usize = 16;

/// Maximum number of transactions in one of these batches. By judgement.
pub(crate) const LONGEST_BUNDLE_BATCH: usize = 4_096;

/// Minimum number of transactions per additional worker at the end of a block: with fewer, a message
/// to that worker costs more than it saves. By judgement.
pub(crate) const CLOSING_SHARE: usize = 32;

/// Minimum number of transactions of a sequential block for which sleeping workers are woken at its
/// end. By judgement.
pub(crate) const CLOSING_WAKES: usize = 1_000;

/// Parts per worker into which the bundle is divided, so that an uneven split costs little. By
/// judgement.
pub(crate) const CLOSING_BUCKETS: usize = 4;

/// Number of transactions pulled from a pool per round. It influences which transactions are pulled,
/// so it does not depend on the number of workers. By judgement.
pub(crate) const BUILD_ROUND: usize = 256;
