//! The numbers on which it depends how a block runs. Each says its unit, what it means and what set
//! it; "by judgement" says that no measurement of its own has. Elsewhere are those of other layers:
//! what is a long call (`exec/work`), what is slow storage (`exec/activity`), how chunks and
//! batches are cut (`schedule`), the engine's window (`config`), when speculation is given up
//! (`protocol`).

/// Gas that takes about a millisecond. A whole block with less of it runs in order: other workers
/// cost more to wake than they can save. The transactions of a first batch ask for no more: if it
/// does not hold, not more was wasted. By judgement.
pub(super) const MILLISECOND_GAS: u64 = 2_000_000;

/// Gas of a mean transaction. With less of it other workers, however many, save less than it costs
/// to hand transactions over. Set between native transfers, 21,000, and token transfers, 42,000 and
/// more. The real blocks of 26,000 to 34,000: 0.3 to 1.1 on eight cores, 0.7 to 1.3 in order.
pub(super) const CHEAP: u64 = 35_000;

/// Gas of a mean transaction. With less of it two workers run in order where the second one can
/// fold what the first one leaves. Native transfers, two workers: DESIGN, "in order, followed".
pub(super) const CHEAP_WITH_BUNDLE_THREAD: u64 = 50_000;

/// Parts of five of a block's gas. One sender, or one contract, that has as much of it makes the
/// block a chain. By judgement.
pub(super) const MOST_OF_FIVE: u128 = 4;

/// Transactions of the sample for a mean, at most. By judgement: each costs a tenth of a
/// microsecond.
pub(super) const SAMPLED: usize = 1_024;

/// Payments to one account of the sample, at least, and transactions of it for each of them, at
/// most, from which on it is paid unseen. There are no more than sixteen such accounts then, so
/// that each is compared where one is loaded. By judgement.
pub(super) const PAID_OFTEN: (usize, usize) = (4, 16);

/// Workers. Up to as many one of them folds what batches of neighbours leave; beyond, all fold at
/// the end. By judgement.
pub(super) const FOLDS_MEANWHILE: usize = 4;

/// Transactions of a large block. From as many on it is tried in batches of neighbours if it begins
/// apart, and another worker folds what the caller runs in order; a shorter one has to look
/// independent as a whole, and is not worth waking the other for. By judgement; token transfers in
/// blocks of 200, 400 and 800 gain (DESIGN).
pub(super) const LARGE: usize = 1_000;

/// Transactions for each one that may be tied to an earlier one in a block that looks independent,
/// beside two in the beginning. By judgement.
pub(super) const TIED_ONE_IN: usize = 64;

/// Transactions. From as many on speculation is looked at before it goes on, and rounds of tied
/// transactions may follow it: in a shorter block either takes a tenth of the time (DESIGN,
/// "Contended transactions run as lanes").
pub(super) const GROUPS: usize = 256;

/// Batches for each worker: of a round of tied transactions, where a worker that is done takes the
/// next one, and of the shortest kind in a block that is not large. With three, and rounds twice as
/// long, 98 of 400 runs of `m_mainnet` were discarded instead of 14 (DESIGN).
pub(super) const BATCHES_EACH: usize = 2;

/// Transactions that are risked until more is known: of the shortest round, of the longest one
/// for each worker ([`WORKERS_THAT_MEET`] count at most), of the longest first batch, and of the
/// first stretch in order after speculation was given up; and that have to run before they count
/// as cheap. Rounds of 32 for each worker lost with 8
/// to 64 of them (DESIGN).
pub(super) const SHORT: usize = 64;

/// Transactions of the shortest first batch. By judgement.
pub(super) const SHORTEST_BATCH: usize = 8;

/// Transactions. Where one group has most of a round, a worker looks that far ahead for others to
/// run beside it. By judgement: to look takes a tenth of a microsecond for a transaction. Calls
/// that come to one slot 250 times in a row, two workers: 1.02 without, 1.7 with it.
pub(super) const FARTHEST_ROUND: usize = 4_096;

/// Parts of four of a round's weight. Where one batch has more of it the round is a chain, which
/// other workers would wait for: it does not run as one. By judgement.
pub(super) const CHAIN_OF_FOUR: u64 = 3;

/// Parts of four of a worker's even share of a round. Where the heaviest batch has more of them the
/// round is tight: one that looks further ahead is tried. By judgement.
pub(super) const TIGHT_OF_FOUR: u64 = 5;

/// Microseconds, as gas limits predict them, that a round of declared transactions takes beside
/// them: it is planned, and workers wait for each other. Calls of 3 us, predicted as 25, where one
/// in 8, 32 and 128 changes what all read, eight workers in virtual time: 0.25, 0.50 and 0.54 with
/// 40, and 0.72, 0.58 and 0.74 with 500, and 0.74, 0.54 and 0.69 with 1,000.
pub(super) const ROUND_MICROSECONDS: u64 = 500;

/// Transactions that have to commit in rounds for each one that is discarded, where more are
/// speculation discards fewer; and half as many for each one that waits until all before it are
/// committed, as one of its batch reads the fees. By judgement. Where the producer sends one in ten
/// calls of 20 us: 1.27 on two workers and 2.87 on eight in rounds, 1.61 and 4.32 now, in virtual
/// time.
pub(super) const COMMITTED_FOR_DISCARDED: usize = 24;

/// Transactions that commit in speculation for each run that is discarded, at most, where rounds of
/// tied transactions are tried. By judgement: most real blocks discard one in ten to twenty, and
/// rounds took up to twice as long on those of hundreds of transactions, as a round waits for its
/// heaviest batch.
pub(super) const CONTENDED_ONE_IN: u64 = 4;

/// Microseconds that a call takes beside its gas, and a payment in all. By judgement, near what
/// native transfers take.
pub(super) const TRANSFER_MICROSECONDS: u64 = 3;

/// Gas that a call asks for, for each microsecond that it will probably take: wallets ask for more
/// than is used, and a microsecond is some 2,000 gas. By judgement.
pub(super) const GAS_IN_A_MICROSECOND: u64 = 4_000;

/// Work of handing a transaction to another worker, as gas of common instructions, some 8 us:
/// publishing, checking, committing, waiting for each other, colder caches. Two workers, blocks of
/// transactions of 7,000 to 12,000: 0.4 to 1.2 shared out, 1.1 to 1.5 in order; of 25,000 and more:
/// 1.4 to 1.7 and 1.0 to 1.4. In none it is between 12,500 and 25,000, but for parts of `nft-game`.
pub(super) const SHARING: u64 = 16_000;

/// Work of sharing an access, as gas of common instructions, some 0.3 us: looking the place up in
/// the store, remembering the reader, comparing. Two workers, a thousand slots read by each
/// transaction: 75 us in order, 200 alone and 400 beside another one that reads the same.
pub(super) const SHARED_ACCESS: u64 = 600;

/// Microseconds that it takes to fold what a transaction has left. By judgement.
pub(super) const FOLD_MICROSECONDS: u64 = 1;

/// How many times longer the next stretch is: in order, each time speculation is given up or
/// transactions are cheap; of speculation that pays, until it is looked at again. A block of
/// 20,000 dependent transfers has four trials (DESIGN).
pub(super) const LONGER_IN_ORDER: usize = 8;

/// Transactions of a trial of speculation, for each one of the first stretch in order. By
/// judgement.
pub(super) const TRIAL_TIMES: usize = 2;

/// Calls that are remembered for a chain, a quarter of a megabyte, and functions for long calls,
/// 192 KiB. By judgement.
pub(super) const KNOWN: usize = 4_096;

/// Times in a row that are believed: stretches of one contract's calls that were given up, before
/// such calls run in order from the start; rounds without a discard, before the next one is longer.
/// By judgement.
pub(super) const IN_A_ROW: u8 = 3;

/// Times, at most, that something is left alone which has not paid: blocks that are not tried in a
/// way (one, three, seven and so on), stretches of a contract's calls that run in order, stretches
/// in which a function's calls wait for their turn. By judgement.
pub(super) const LEFT_ALONE: u32 = 32;

/// Parts of the gas that a call asks for which it takes, as long as nothing is known of it: one in
/// this many. By judgement: proofs ask for little and take long.
pub(super) const ASKED_FOR_USED: u64 = 4;

/// Parts of a stretch that may begin before their turn: one in this many. By judgement.
pub(super) const BEGIN_FIRST_ONE_IN: usize = 4;

/// Gas of the block for each change that is read of a list which is not trusted: no change is
/// cheaper, so all of a right one is read, and one of any length costs next to nothing.
pub(super) const GAS_OF_A_CHANGE: u64 = 2_000;

/// Workers that run transactions which may meet, at most: the more run at once the more often they
/// do. Sixteen cores, 35 real blocks: 1.71 on 8, 1.63 on 16 in the geometric mean; `nft-game`: 2.1
/// and 0.95, at 2.9 and 9.5 times the processor time.
pub(super) const WORKERS_THAT_MEET: usize = 8;

/// Workers that are woken where transactions run in order: one folds, and another one does if that
/// is suspended. By judgement.
pub(super) const WORKERS_IN_ORDER: usize = 3;
