//! How much work it is to fill a block from a pool of thousands of senders.

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
/// Gas of a block, and what each transaction uses of it, whatever its limit is.
const BLOCK: u64 = 30_000_000;
const USED: u64 = 21_000;
/// More than half of a block.
const LARGE: u64 = 16_000_000;

fn address(sender: u64) -> Address {
    Address::from_word(U256::from(sender + 1).into())
}

/// A pool with a transaction of each sender, which has the gas limit and the price that `asks` tells.
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

/// Fills a block as the builder does: it asks until nothing fits, runs what it has, and asks again with the
/// gas that was not used. Returns the number of transactions and of looks for one.
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

/// Each asks for more than half of a block, so that it has room for one at a time.
#[test]
fn a_block_that_has_room_for_one_at_a_time_passes_no_sender_by() {
    let mut pool = filled(|_| (LARGE, 1));
    let (transactions, looks) = fill(&mut pool);
    assert_eq!(transactions, (BLOCK - LARGE) / USED + 1);
    assert!(looks >= 2 * transactions, "{looks}");
    assert_eq!(pool.passed_by, 0);
}

/// Half of the senders pay more and ask for more than is left, so that those of the other half are behind
/// them.
#[test]
fn a_look_passes_a_sender_by_only_for_a_transaction_that_fits() {
    let larger = SENDERS / 2;
    let mut pool = filled(|sender| match sender < larger {
        true => (LARGE, 2),
        false => (USED, 1),
    });
    let (transactions, _) = fill(&mut pool);
    // A large one, and as many small ones as there is room for beside it, in each turn.
    assert!(transactions > 1_000, "{transactions}");
    let most = usize::try_from(transactions * larger).expect("it fits");
    assert!(pool.passed_by > 0 && pool.passed_by <= most, "{} of {most}", pool.passed_by);
}
