//! Estimates of how much work transactions are.

use revm::context::TxEnv;

/// Work from which on a transaction begins before its turn, as gas of common instructions: a fifth
/// of a millisecond. Of real blocks on two workers with 0.5, 0.2 and 0.1 ms: 1.45, 1.51 and 1.46 in
/// the median, 1.35 without.
pub(in crate::evm) const LONG: u64 = 400_000;

/// Gas of precompiles takes longer than that of common instructions by about this: pairings,
/// signatures and proofs take 8 to 16 ns for each unit, common instructions 0.5 ns.
pub(super) const PRECOMPILE: u64 = 20;

/// How many accounts `transactions` will probably load: each brings its sender, and a plain payment
/// its receiver; contracts are often the same. So are senders, in some blocks: room that is not
/// used costs more than growing does.
pub(super) fn expected_accounts(transactions: &[TxEnv]) -> usize {
    const SAMPLE: usize = 256;
    let most = transactions.iter().map(|tx| 1 + usize::from(tx.data.is_empty())).sum();
    if transactions.len() < 4 * SAMPLE {
        return most;
    }
    let step = transactions.len() / SAMPLE;
    let mut senders: Vec<_> = transactions.iter().step_by(step).map(|tx| tx.caller).collect();
    let sampled = senders.len();
    senders.sort_unstable();
    senders.dedup();
    // Of n senders that are equally likely, s samples meet s * s / 2n times.
    match sampled - senders.len() {
        0 => most,
        met => most.min(sampled * sampled / met),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;

    #[test]
    fn as_many_accounts_are_expected_as_senders_suggest() {
        let expected = |count: u64, senders: u64| {
            let pay = |number: u64| TxEnv {
                caller: Address::left_padding_from(&(number % senders).to_be_bytes()),
                ..TxEnv::default()
            };
            expected_accounts(&(0..count).map(pay).collect::<Vec<_>>())
        };
        // Each has a receiver, too.
        assert_eq!((expected(50_000, 50_000), expected(0, 1)), (100_000, 0));
        // A few too many do no harm, as many as there are transactions would.
        assert!((20..500).contains(&expected(50_000, 20)));
        // Too few to be sampled.
        assert_eq!(expected(1_000, 20), 2_000);
    }
}
