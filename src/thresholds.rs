//! Thresholds that decide how a block runs. None changes the result of a block. docs/PATHS.md has
//! the same list.
//!
//! Each constant states its unit and its source. "By judgement" means that no dedicated
//! measurement backs the value; bare factors such as 1.33 are speed-ups. To measure a value again,
//! change it and run `cargo xtask compare-builds`, which compares the builds on real blocks, and
//! `braid bench` with the workload named here, or `braid bench --virtual` for virtual time.
//!
//! Sizes of tables and caches, and the polling of waiting threads, are defined next to the code
//! that uses them.

/// Minimum gas of a block that runs in parallel: in a shorter one, waking other workers costs more
/// than it can save. This much gas takes about a millisecond. By judgement.
pub(crate) const MIN_PARALLEL_GAS: u64 = 2_000_000;

/// Cost of running a transaction on another worker, in gas of common instructions (about 6 us):
/// publishing, checking, committing, waiting for each other, colder caches. A transaction with less
/// work is too short to share. Speed-up on two workers, in wall-clock time, with 17,500, this value
/// and 7,000: `nft-game` 1.05, 1.33, 1.36; `supply-chain` 0.92, 1.07, 1.07; `lending` 1.09, 1.34,
/// 1.08; payments to one account 0.97, 0.89, 0.60.
pub(crate) const SHARING_GAS: u64 = 11_000;

/// Minimum number of executed transactions from which they are judged too short. By judgement.
pub(crate) const MIN_MEASURED_TXS: usize = 64;

/// Mean gas limit per transaction below which transactions count as too short before any has run:
/// between a native and a token transfer. Real blocks with mean gas limits of 26,000 to 34,000: 0.3
/// to 1.1 on eight cores, 0.7 to 1.3 sequentially.
pub(crate) const SHORT_TX_GAS_LIMIT: u64 = 35_000;

/// Cost of an access in a speculative run, in gas of common instructions (about 0.3 us): looking
/// the location up in the store, registering the reader, comparing. Two workers, transactions that
/// each read a thousand slots: 75 us sequentially, 200 us speculatively, 400 us next to another
/// transaction that reads the same slots.
pub(crate) const SHARED_ACCESS_GAS: u64 = 600;

/// Maximum share of a block's gas, in fifths, for one sender, one contract or one chain of
/// dependencies. By judgement.
pub(crate) const MAX_CHAIN_FIFTHS: u64 = 4;

/// Number of transactions, evenly spread over the block, from which means and shares are estimated.
/// By judgement.
pub(crate) const SAMPLE_TXS: usize = 1_000;

/// Sampled transactions per payment to an account, at most, for the account to be paid with blind
/// credits. At most this many accounts qualify, so a loaded account can be compared with each of
/// them. By judgement.
pub(crate) const FREQUENT_PAYEE_ONE_IN: usize = 16;

/// Minimum number of transactions of a large block. A large block is tried in contiguous batches if
/// its first two batches share no account; a shorter one must look independent as a whole.
/// `execute_scoped`, which remembers no earlier blocks, tries batches only in large blocks. By
/// judgement; token transfers in blocks of 200, 400 and 800 gain (DESIGN).
pub(crate) const LARGE_BLOCK_TXS: usize = 1_000;

/// A block looks independent if at most two transactions, plus one in this many, have a predicted
/// dependency. By judgement.
pub(crate) const DEPENDENT_ONE_IN: usize = 64;

/// Total gas limit of a first batch, unless [`SHORTEST_BATCH`] transactions exceed it: an aborted
/// batch wastes about a millisecond. By judgement.
pub(crate) const FIRST_BATCH_GAS: u64 = 2_000_000;

/// Minimum number of transactions of a first batch. By judgement.
pub(crate) const SHORTEST_BATCH: usize = 8;

/// Maximum number of transactions of a first batch. By judgement.
pub(crate) const LONGEST_FIRST_BATCH: usize = 64;

/// Minimum number of first batches per worker in a block that runs in contiguous batches and is not
/// large. By judgement.
pub(crate) const MIN_BATCHES_PER_WORKER: usize = 2;

/// Minimum number of transactions of a sequential block whose changes another worker folds for the
/// bundle; a shorter block is not worth waking a worker. By judgement.
pub(crate) const MIN_BUNDLE_THREAD_TXS: usize = 1_000;

/// Number of workers of a sequential segment: one runs it, one folds changes for the bundle, and
/// one takes over if the second is preempted. By judgement.
pub(crate) const SEQUENTIAL_WORKERS: usize = 3;

/// Maximum number of workers with which one of them folds the changes of contiguous batches while
/// they run; more workers fold them at the end. By judgement.
pub(crate) const MAX_CONCURRENT_FOLD_WORKERS: usize = 3;

/// Minimum number of commits per aborted run. If speculation commits fewer per abort, it is
/// contended, and transactions wait for predicted dependencies. By judgement: most real blocks
/// abort one run in ten to twenty.
pub(crate) const CONTENDED_ONE_IN: u64 = 4;

/// Number of transactions beyond the frontier that may run if dependencies are predicted. Calls
/// that access one slot 250 times in a row, on two workers: 1.02 with 128, 1.7 with this number.
pub(crate) const PREDICTED_WINDOW: u32 = 4_096;

/// Minimum length of a trial of predicted dependencies, in transactions. Of 1,000 calls that access
/// one slot 250 times in a row, a trial of 128 sees a single chain: 1.0 in virtual time on two
/// workers, and 1.8 with this number.
pub(crate) const SHORTEST_PREDICTED_TRIAL: usize = 1_024;

/// Number of transactions of the first sequential segment after speculation has failed. By
/// judgement.
pub(crate) const FIRST_SEQUENTIAL_TXS: usize = 64;

/// Length of a speculative trial relative to the first sequential segment. By judgement; a trial of
/// 64 transactions made a real block slower (DESIGN).
pub(crate) const TRIAL_FACTOR: usize = 2;

/// Growth factor of segments: of the sequential segment after each trial that fails at once, and of
/// the speculative trial after one that pays. Also the maximum factor by which a sequential segment
/// of short transactions is extended, in transactions and in gas. A block of 20,000 dependent
/// transfers has four trials.
pub(crate) const SEGMENT_GROWTH: usize = 16;

/// Maximum back-off, in attempts: blocks for which a strategy is not tried; segments in which calls
/// of a contract run sequentially (one, three, seven and so on); segments in which calls of a
/// function are not started early. By judgement.
pub(crate) const LONGEST_BACKOFF: usize = 16;

/// Maximum number of remembered calls that form chains: a quarter of a megabyte. By judgement.
pub(crate) const MAX_KNOWN_CALLS: usize = 4_096;

/// Maximum number of functions whose work is remembered: 192 KiB. By judgement.
pub(crate) const MAX_KNOWN_FUNCTIONS: usize = 4_096;

/// Gas limit from which an unknown call starts ahead of its turn: most of a millisecond. By
/// judgement.
pub(crate) const LONG_CALL_GAS: u64 = 1_600_000;

/// Maximum number of workers for transactions that may conflict: the more run at once, the more
/// often they do. Sixteen cores, geometric mean of 35 real blocks: 1.71 on 8 workers, 1.63 on 16;
/// `nft-game`: 2.1 and 0.95, at 2.9 and 9.5 times the processor time.
pub(crate) const MAX_CONFLICTING_WORKERS: usize = 8;

/// Default number of executions of a transaction before it waits for the frontier. By judgement.
pub(crate) const SPECULATIVE_RUNS: u32 = 4;

/// Default number of transactions per worker that may be dispatched ahead of the frontier. By
/// judgement.
pub(crate) const WINDOW_PER_WORKER: u32 = 64;

/// Number of jobs in the channel and on workers, per worker: one that runs and one that waits.
pub(crate) const JOBS_PER_WORKER: u32 = 2;

/// Default gas after which a chunk ends early if it holds up the frontier: half a millisecond. By
/// judgement.
pub(crate) const PATIENCE_GAS: u64 = 1_000_000;

/// Number of store shards per worker: two workers rarely need the same one. By judgement.
pub(crate) const SHARDS_PER_WORKER: usize = 16;

/// Minimum number of aborts within [`WASTE_COMMITS`] commits from which speculation falls back, on
/// two workers.
///
/// In a chain of dependent transactions each commit aborts one execution or more, and few
/// speculative executions commit: two of 32 on two workers (`f_unipool`, virtual time). In real
/// block 5526571, which aborts as many and still gains, nine commit.
pub(crate) const WASTE_ABORTS: u32 = 30;

/// Maximum number of these commits that come from the first or second execution of their
/// transaction, on two workers: see [`WASTE_ABORTS`].
pub(crate) const WASTE_KEPT: u32 = 6;

/// Number of commits between two checks for wasted speculation, on two workers.
pub(crate) const WASTE_COMMITS: u32 = 32;

/// Factor of the three numbers above on more than two workers. The next transaction of a chain then
/// runs again as soon as the one before it has published, and commits: `d_erc20hot` on four real
/// cores, with two aborts per commit, reached 0.3 times sequential speed, and 1.3 times once
/// speculation was stopped. Aborts also come in bursts, so waste takes longer to recognize: block
/// 4330482 on eight workers reaches 2.3 times instead of 3.9 times with 32 commits (virtual time).
pub(crate) const WASTE_FACTOR: u32 = 2;

/// Minimum number of chunks per worker in a speculative segment, so that the last chunk is short.
pub(crate) const CHUNKS_PER_WORKER: usize = 8;

/// Maximum number of transactions per chunk. With this many simple transfers, the cost of a message
/// is small.
pub(crate) const LONGEST_CHUNK: u32 = 16;

/// Maximum gas per chunk: some fifty microseconds of contract calls. The longer concurrent chunks
/// are, the more often their transactions conflict. 1,000 calls over 40 slots without predicted
/// dependencies, in virtual time on two and eight workers: 1.37 and 3.5 with 400,000 gas (2,000,000
/// for calls of one contract), 1.86 and 5.3 with chunks of two calls. 17 real blocks on two workers
/// ran 1.004 +- 0.010 times as fast, with less processor time.
pub(crate) const CHUNK_GAS: u64 = 150_000;

/// Maximum number of transactions per contiguous batch, which bounds wasted work. By judgement.
pub(crate) const LONGEST_BATCH: usize = 4_096;

/// Minimum number of remaining contiguous batches per worker, at the length of the next one.
/// Batches get shorter towards the end, so that all workers end at about the same time.
pub(crate) const REMAINING_BATCHES_PER_WORKER: usize = 4;

/// Number of contiguous batches of minimum length per worker, which show whether batches can commit
/// at all.
pub(crate) const SHORTEST_BATCHES_PER_WORKER: usize = 2;

/// Growth factor of contiguous batches, each time every worker has had one: an aborted batch costs
/// not much more than earlier ones have gained.
pub(crate) const BATCH_GROWTH: usize = 2;

/// Maximum number of workers by which the window is multiplied, unless storage is slow. The further
/// ahead a transaction runs, the more often it conflicts, whatever the number of workers.
pub(crate) const WINDOW_WORKERS: u32 = 2;

/// Default number of workers on slow storage, per configured worker. By judgement.
pub(crate) const IO_WORKERS_PER_WORKER: u16 = 8;

/// Minimum work of a transaction that starts ahead of its turn, in gas of common instructions: 0.2
/// ms. Median speed-up of real blocks on two workers with 0.5, 0.2 and 0.1 ms: 1.45, 1.51 and 1.46;
/// 1.35 if none starts early.
pub(crate) const LONG_WORK_GAS: u64 = 400_000;

/// Time per unit of precompile gas, relative to common instructions: pairings, signatures and
/// proofs take 8 to 16 ns per unit, common instructions 0.5 ns.
pub(crate) const PRECOMPILE_WEIGHT: u64 = 20;

/// Time per unit of common instructions, relative to gas for the transaction itself and for state
/// accesses and changes, which takes 0.08 ns per unit.
pub(crate) const COMPUTE_WEIGHT: u64 = 6;

/// Number of reads after which a worker counts the workers that are inside the database. By
/// judgement.
pub(crate) const READS_PER_SAMPLE: u32 = 16;

/// Minimum number of such counts from which storage is judged slow or not. By judgement.
pub(crate) const MIN_SAMPLES: u32 = 8;

/// Share of the workers inside the database, in quarters, from which storage is slow. By judgement.
pub(crate) const SLOW_STORAGE_QUARTERS: u64 = 3;

/// Number of batches in which a sequential segment is passed to the worker that builds the bundle:
/// each may wake that worker, and the caller waits for the last one. By judgement.
pub(crate) const BUNDLE_BATCHES: usize = 16;

/// Maximum number of transactions in one of these batches. By judgement.
pub(crate) const LONGEST_BUNDLE_BATCH: usize = 4_096;

/// Minimum number of transactions per additional worker at the end of a block: with fewer, a
/// message to that worker costs more than it saves. By judgement.
pub(crate) const CLOSING_TXS_PER_WORKER: usize = 32;

/// Minimum number of transactions of a sequential block for which sleeping workers are woken at its
/// end. By judgement.
pub(crate) const MIN_CLOSING_WAKE_TXS: usize = 1_000;

/// Number of parts per worker into which the bundle is divided, so that an uneven division costs
/// little. By judgement.
pub(crate) const CLOSING_BUCKETS_PER_WORKER: usize = 4;

/// Number of transactions pulled from a pool at a time. It influences which transactions are
/// pulled, so it does not depend on the number of workers. By judgement.
pub(crate) const BUILD_ROUND: usize = 256;
