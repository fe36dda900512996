//! The numbers on which it depends how a block runs. Each says its unit, what it means and what set
//! it; "by judgement" says that no measurement of its own has. Elsewhere are those of other layers:
//! what is a long call (`exec/work`), what is slow storage (`exec/activity`), how chunks and
//! batches are cut (`schedule`), the engine's window (`config`), when speculation is given up
//! (`protocol`).

/// Gas that takes about a millisecond. A whole block that asks for less runs in order: other
/// workers cost more to wake than they can save. The transactions of a first batch ask for no more:
/// if it does not hold, not more was wasted. A call that nothing is known about begins before its
/// turn if it asks for most of it. To fold what a transaction has left takes a thousandth of it. By
/// judgement. As gas limits predict it, it is what a round of declared transactions takes beside
/// them: it is planned, and workers wait for each other. Calls of 3 us, where one in 8, 32 and 128
/// changes what all read, eight workers in virtual time: 0.25, 0.50 and 0.54 with 0.08 of it, 0.72,
/// 0.58 and 0.74 with it, 0.74, 0.54 and 0.69 with twice as much.
pub(super) const MILLISECOND_GAS: u64 = 2_000_000;

/// Work of handing a transaction to another worker, as gas of common instructions, some 6 us:
/// publishing, checking, committing, waiting for each other, colder caches. What takes less is
/// cheap: more is lost by sharing it out than one more worker saves. Two workers by the clock, with
/// 17,500, with this and with 7,000: `nft-game` 1.05, 1.33, 1.36; `supply-chain` 0.92, 1.07, 1.07;
/// `lending` 1.09, 1.34, 1.08; payments to one account 0.97, 0.89, 0.60.
pub(super) const SHARING: u64 = 11_000;

/// Mean gas limit of transactions below which they count as cheap before any has run:
/// between native and token transfers. The real blocks that ask for 26,000 to 34,000: 0.3 to 1.1 on
/// eight cores, 0.7 to 1.3 in order.
pub(super) const CHEAP_LIMIT: u64 = 35_000;

/// Work of sharing an access, as gas of common instructions, some 0.3 us: looking the place up in
/// the store, remembering the reader, comparing. Two workers, a thousand slots read by each
/// transaction: 75 us in order, 200 alone and 400 beside another one that reads the same.
pub(super) const SHARED_ACCESS: u64 = 600;

/// Parts of five that are most of it: of a block's gas, where one sender, or one contract, makes
/// the block a chain; of a round's weight, where one batch makes the round a chain, which does not
/// run as one; of the heaviest batch, where an even share of a round is less and one that looks
/// further ahead is tried. By judgement.
pub(super) const MOST_OF_FIVE: u64 = 4;

/// Transactions that commit in speculation for each run that is discarded, at most, where rounds of
/// tied transactions are tried. By judgement: most real blocks discard one in ten to twenty, and
/// rounds took up to twice as long on those of hundreds of transactions, as a round waits for its
/// heaviest batch.
pub(super) const CONTENDED_ONE_IN: u64 = 4;

/// Transactions for each one of what happens often, at most: of the sample for each payment to one
/// account, which is paid unseen then, and there are no more than sixteen such accounts, so that
/// each is compared where one is loaded; of rounds for each one that waits until all before it are
/// committed, as one of its batch reads the fees, where speculation goes on meanwhile. By
/// judgement. Where the producer sends one in ten calls of 20 us: 1.27 on two workers and 2.87 on
/// eight in rounds, 1.61 and 4.32 now, in virtual time.
pub(super) const OFTEN_ONE_IN: usize = 16;

/// Workers. As many are woken where transactions run in order: one folds, and another one does if
/// that is suspended. Up to as many one of them also folds what batches of neighbours leave;
/// beyond, all fold at the end. By judgement.
pub(super) const FOLDS_MEANWHILE: usize = 3;

/// Transactions of a large block. From as many on it is tried in batches of neighbours if it begins
/// apart, another worker folds what the caller runs in order, and means come from a sample; a
/// shorter one has to look independent as a whole, and is not worth waking the other for. By
/// judgement; token transfers in blocks of 200, 400 and 800 gain (DESIGN).
pub(super) const LARGE: usize = 1_000;

/// Batches for each worker: of a round of tied transactions, where a worker that is done takes the
/// next one, and of the shortest kind in a block that is not large. With three, and rounds twice as
/// long, 98 of 400 runs of `m_mainnet` were discarded instead of 14 (DESIGN).
pub(super) const BATCHES_EACH: usize = 2;

/// Transactions that are risked until more is known: of the shortest round, of the longest one
/// for each worker ([`WORKERS_THAT_MEET`] count at most), of the longest first batch, and of the
/// first stretch in order after speculation was given up; and that have to run before they count as
/// cheap. Rounds of 32 for each worker lost with 8 to 64 of them (DESIGN). Also transactions for
/// each one of a few: that may be tied to an earlier one in a block that looks independent, beside
/// two in the beginning; that rounds discard, where more are speculation discards fewer.
pub(super) const SHORT: usize = 64;

/// Transactions of the shortest first batch. By judgement.
pub(super) const SHORTEST_BATCH: usize = 8;

/// Places, at most: transactions that a worker looks ahead where one group has most of a round, for
/// others to run beside it; calls that are remembered for a chain, a quarter of a megabyte, and
/// functions for long calls, 192 KiB. By judgement: to look takes a tenth of a microsecond for a
/// transaction. Calls that come to one slot 250 times in a row, two workers: 1.02 without, 1.7 with
/// it.
pub(super) const FARTHEST: usize = 4_096;

/// Times that the shortest is tried: transactions of a trial of speculation, for each one of the
/// first stretch in order; rounds in a row without a discard, before the next one is longer. By
/// judgement: with one such round `rollup-batch` and `governance` lose 6 % on four workers.
pub(super) const TRIAL_TIMES: usize = 2;

/// Times, at most, that something is left alone which has not paid: blocks that are not tried in a
/// way, and stretches of a contract's calls that run in order (one, three, seven and so on);
/// stretches in which a function's calls wait for their turn. Also how many times longer the next
/// stretch is: in order, each time speculation is given up or transactions are cheap; of
/// speculation that pays, until it is looked at again. A block of 20,000 dependent transfers has
/// four trials.
pub(super) const LEFT_ALONE: usize = 16;

/// Workers that run transactions which may meet, at most: the more run at once the more often they
/// do. Sixteen cores, 35 real blocks: 1.71 on 8, 1.63 on 16 in the geometric mean; `nft-game`: 2.1
/// and 0.95, at 2.9 and 9.5 times the processor time.
pub(super) const WORKERS_THAT_MEET: usize = 8;
