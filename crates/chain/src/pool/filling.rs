//! Work of filling a block from a pool with thousands of senders.

use super::{
    account::SenderAccount,
    config::PoolConfig,
    queues::Queues,
    transaction::{Admission, PoolTransaction, SignedTransaction},
};
use alloy_consensus::{Signed, TxLegacy};
use alloy_primitives::{Address, Signature, TxKind, U256};
use revm::{
    context::{BlockEnv, CfgEnv},
    primitives::hardfork::SpecId,
};

const SENDERS: u64 = 4_096;
/// Gas limit of a block, and gas that each transaction uses, whatever its limit.
const BLOCK: u64 = 30_000_000;
const USED: u64 = 21_000;
/// Gas limit above half of a block's.
const LARGE: u64 = 16_000_000;

fn address(sender: u64) -> Address {
    Address::from_word(U256::from(sender + 1).into())
}

/// Makes a pool with one transaction per sender, whose gas limit and price `asks` returns.
fn filled(asks: impl Fn(u64) -> (u64, u128)) -> Queues {
    let mut pool = Queues::new(PoolConfig::default(), 1, 0);
    let admission = Admission::new(CfgEnv::new_with_spec(SpecId::PRAGUE), BlockEnv::default());
    let account = SenderAccount { balance: U256::MAX, ..SenderAccount::default() };
    for sender in 0..SENDERS {
        let (gas_limit, gas_price) = asks(sender);
        let to = TxKind::Call(Address::ZERO);
        let tx = TxLegacy { chain_id: Some(1), gas_limit, gas_price, to, ..TxLegacy::default() };
        let signed = Signed::new_unhashed(
            TxLegacy { value: U256::from(sender), ..tx },
            Signature::test_signature(),
        );
        let signed = SignedTransaction::Legacy(signed);
        let tx = PoolTransaction::new(signed, address(sender), &admission).expect("valid");
        pool.add(tx, account, 1).expect("room");
    }
    pool
}

/// Fills a block like the builder: takes transactions until none fits, runs them, and continues
/// with the gas that they did not use. Returns the number of transactions and of searches for one.
fn fill(pool: &mut Queues) -> (u64, u64) {
    pool.begin();
    let (mut transactions, mut looks) = (0, 0);
    loop {
        let mut left = BLOCK.saturating_sub(transactions * USED);
        let before = transactions;
        while left >= USED {
            looks += 1;
            let Some(tx) = pool.next(left) else { break };
            left -= tx.env().gas_limit;
            transactions += 1;
        }
        if transactions == before {
            return (transactions, looks);
        }
    }
}

/// Each gas limit exceeds half of a block's, so that only one transaction fits at a time.
#[test]
fn a_block_that_has_room_for_one_at_a_time_passes_no_sender_by() {
    let mut pool = filled(|_| (LARGE, 1));
    let (transactions, looks) = fill(&mut pool);
    assert_eq!(transactions, (BLOCK - LARGE) / USED + 1);
    assert!(looks >= 2 * transactions, "{looks}");
    assert_eq!(pool.passed_by, 0);
}

/// Half of the senders pay more, and have gas limits that exceed the remaining gas. In the order of
/// tips, they precede the other half.
#[test]
fn a_look_passes_a_sender_by_only_for_a_transaction_that_fits() {
    let larger = SENDERS / 2;
    let mut pool = filled(|sender| match sender < larger {
        true => (LARGE, 2),
        false => (USED, 1),
    });
    let (transactions, _) = fill(&mut pool);
    // Each turn takes one large transaction, and as many small ones as fit beside it.
    assert!(transactions > 1_000, "{transactions}");
    let most = usize::try_from(transactions * larger).expect("it fits");
    assert!(pool.passed_by > 0 && pool.passed_by <= most, "{} of {most}", pool.passed_by);
}
