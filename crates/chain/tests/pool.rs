//! Blocks that a chain builds from a pool while other threads add transactions.
//!
//! 1. Each transaction is in one block, those of a sender in the order of their nonces, and another
//!    chain that executes the blocks has the same state.
//! 2. A transaction added while a block is being filled can enter that block.
//! 3. Senders are recovered on several threads; only the transaction with a broken signature is
//!    rejected.
//! 4. Transactions that no block could contain, or that the sender cannot pay, are rejected before
//!    their signatures are recovered: the sender's, and then those of EIP-7702 authorities.

use crate::{
    errors::{Made, all_help},
    streams::within_a_minute,
};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip4844, TxEip7702};
use alloy_eips::eip7702::Authorization;
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Signature, TxKind, U256, keccak256};
use braid_blocks::keys::Key;
use braid_chain::{
    Chain, ChainBlock, ChainConfig as Choices, Head, MemoryStore, Rules, StateRoots, create,
    digest, genesis, open,
    pool::{
        Admission, Pool, PoolConfig, PoolError, PoolHandle, PoolStatus, PoolTransaction,
        SenderAccount, SignedTransaction, recover_all,
    },
};
use braid_evm::{Block, Rejection, TransactionPool};
use revm::{
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::either::Either,
    primitives::hardfork::SpecId,
};
use std::{
    num::NonZeroUsize,
    sync::{Arc, RwLock},
    thread,
};

const CHAIN: u64 = 77;
const SENDERS: u8 = 12;
const EACH: u64 = 25;

fn key(sender: u8) -> Key {
    Key::new(keccak256([sender])).expect("a key")
}

fn address(sender: u8) -> Address {
    key(sender).address()
}

fn signed(sender: u8, nonce: u64, tip: u128) -> SignedTransaction {
    let tx = TxEip1559 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000 + tip,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(address(sender.wrapping_add(1) % SENDERS)),
        value: U256::from(1_000 + nonce),
        ..TxEip1559::default()
    };
    let signature = key(sender).sign(tx.signature_hash());
    SignedTransaction::Eip1559(tx.into_signed(signature))
}

/// Returns a transaction of sender 0 with two authorizations: one by sender 1, one by nobody.
fn delegating(gas_limit: u64) -> TxEip7702 {
    let authorization =
        Authorization { chain_id: U256::from(CHAIN), address: address(9), nonce: 0 };
    let signed = authorization.clone().into_signed(key(1).sign(authorization.signature_hash()));
    let broken = authorization.into_signed(Signature::new(U256::MAX, U256::MAX, false));
    TxEip7702 {
        chain_id: CHAIN,
        gas_limit,
        max_fee_per_gas: 10,
        authorization_list: vec![signed, broken],
        ..TxEip7702::default()
    }
}

fn first() -> Genesis {
    let config = ChainConfig {
        chain_id: CHAIN,
        terminal_total_difficulty: Some(U256::ZERO),
        shanghai_time: Some(0),
        ..ChainConfig::default()
    };
    let funded = GenesisAccount::default().with_balance(U256::from(10_u128.pow(18)));
    let alloc = (0..SENDERS).map(|sender| (address(sender), funded.clone())).collect();
    // Room for ten transfers.
    Genesis { config, gas_limit: 210_000, alloc, ..Genesis::default() }
}

fn begun() -> (MemoryStore, Chain<MemoryStore>) {
    let (store, genesis) = (MemoryStore::new(), first());
    let head = Head { number: 0, hash: genesis::header(&genesis).hash_slow() };
    let batch = genesis::batch(&genesis, head);
    create(&store, b"{}", &batch, StateRoots::Disabled).expect("created");
    let chain = Chain::open(store.clone(), Choices::default()).expect("a chain");
    (store, chain)
}

/// Returns the next block without transactions.
fn template(head: Head) -> Block {
    let genesis = first();
    let mut header = genesis::header(&genesis);
    (header.number, header.timestamp) = (head.number + 1, head.number + 1);
    let (cfg, env) = Rules::new(genesis.config).environment(&header);
    Block { cfg, env, parent_hash: head.hash, ..Block::default() }
}

fn admission() -> Admission {
    let Block { cfg, env, .. } = template(Head::default());
    Admission::new(cfg, env)
}

fn hash_of(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

/// The accounts after the pool's last block, with the number of that block.
type View = RwLock<(u64, Vec<SenderAccount>)>;

/// Adds each transaction, with its sender's account in `view`.
fn feed(pool: &PoolHandle, view: &View, share: &[(u8, u64)]) {
    for (sender, nonce) in share {
        let tx = signed(*sender, *nonce, 1 + u128::from(*sender));
        let tx = PoolTransaction::recover(tx, &admission()).expect("a valid signature");
        let view = view.read().expect("no panic");
        let account = view.1[usize::from(*sender)];
        pool.add(tx, account, view.0).expect("admitted");
    }
}

fn accounts(chain: &Chain<MemoryStore>) -> Vec<SenderAccount> {
    let state = chain.state().expect("a state");
    let read = |sender| SenderAccount::read(&state, address(sender)).expect("reads");
    (0..SENDERS).map(read).collect()
}

/// Builds a block, notifies the pool, and returns the block's transactions.
fn block(chain: &mut Chain<MemoryStore>, pool: &mut Pool, view: &View) -> Vec<TxEnv> {
    let (template, number) = (template(chain.head()), chain.head().number + 1);
    let built = chain.build(template, &mut pool.fill(), |_| hash_of(number)).expect("builds");
    let mut view = view.write().expect("no panic");
    *view = (number, accounts(chain));
    let changed = (0..SENDERS).map(address).zip(view.1.iter().copied());
    pool.applied(chain.head(), 1, changed);
    built.block.transactions.clone()
}

#[test]
fn a_pool_is_fed_while_blocks_are_built() {
    within_a_minute(|| {
        let (store, mut chain) = begun();
        let (other_store, mut other) = begun();
        let mut pool = Pool::new(PoolConfig::default(), chain.head(), 1);
        let view = Arc::new(RwLock::new((0, accounts(&chain))));
        let feeders = (0..3_u8).map(|part| {
            // Nonces arrive in reverse order, so each transaction waits for its predecessors.
            let own = (0..SENDERS).filter(move |sender| sender % 3 == part);
            let share = own.flat_map(|sender| (0..EACH).rev().map(move |it| (sender, it)));
            let (handle, view) = (pool.handle(), Arc::clone(&view));
            let share: Vec<_> = share.collect();
            thread::spawn(move || feed(&handle, &view, &share))
        });
        let feeders: Vec<_> = feeders.collect();
        let mut seen: Vec<Vec<u64>> = vec![Vec::new(); usize::from(SENDERS)];
        while seen.iter().any(|nonces| nonces.len() < EACH as usize) {
            let head = chain.head();
            let transactions = block(&mut chain, &mut pool, &view);
            assert!(transactions.len() <= 10, "{}", transactions.len());
            for tx in &transactions {
                let sender = (0..SENDERS).find(|it| address(*it) == tx.caller);
                seen[usize::from(sender.expect("a sender"))].push(tx.nonce);
            }
            let again = Block { transactions, ..template(head) };
            let hash = hash_of(head.number + 1);
            other
                .execute(ChainBlock { block: again, hash, ..ChainBlock::default() })
                .expect("valid");
        }
        feeders.into_iter().for_each(|feeder| feeder.join().expect("no panic"));
        assert!(seen.iter().all(|nonces| nonces.iter().copied().eq(0..EACH)), "{seen:?}");
        assert_eq!(pool.handle().status(), PoolStatus::default());
        assert_eq!(chain.flush().expect("durable"), other.flush().expect("durable"));
        let digests = [store, other_store].map(|it| digest(&open(&it).expect("a chain")).ok());
        assert!(digests[0].is_some() && digests[0] == digests[1]);
    });
}

/// Adds one transaction when the first one is requested.
struct Late<'p, P>(Option<Arc<PoolTransaction>>, PoolHandle, &'p mut P);

impl<P: TransactionPool> TransactionPool for Late<'_, P> {
    fn next(&mut self, gas_left: u64) -> Option<TxEnv> {
        let next = self.2.next(gas_left);
        if let Some(late) = self.0.take() {
            let account =
                SenderAccount { balance: U256::from(10_u128.pow(18)), ..Default::default() };
            self.1.add(late, account, 0).expect("admitted");
        }
        next
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        self.2.skipped(tx, reason);
    }
}

#[test]
fn what_is_added_while_a_block_is_filled_comes_into_it() {
    let (_, mut chain) = begun();
    let mut pool = Pool::new(PoolConfig::default(), chain.head(), 1);
    let recovered = |sender| PoolTransaction::recover(signed(sender, 0, 1), &admission());
    let handle = pool.handle();
    let account = accounts(&chain)[0];
    handle.add(recovered(0).expect("valid"), account, 0).expect("admitted");
    let late = recovered(1).expect("valid");
    let mut fill = pool.fill();
    let mut source = Late(Some(late), handle, &mut fill);
    let built =
        chain.build(template(Head { hash: chain.head().hash, number: 0 }), &mut source, |_| {
            hash_of(1)
        });
    let callers =
        built.expect("builds").block.transactions.iter().map(|tx| tx.caller).collect::<Vec<_>>();
    assert_eq!(callers, [address(0), address(1)]);
    let hashes: Vec<_> = fill.handed_out().iter().map(|tx| tx.hash()).collect();
    assert_eq!(hashes, [*signed(0, 0, 1).hash(), *signed(1, 0, 1).hash()]);
}

#[test]
fn senders_are_recovered_on_several_threads() {
    let mut all: Vec<_> = (0..50).map(|nonce| signed((nonce % 12) as u8, nonce, 1)).collect();
    let SignedTransaction::Eip1559(one) = all[7].clone() else { panic!("of another type") };
    let broken = Signature::new(U256::MAX, U256::MAX, false);
    all[7] = SignedTransaction::Eip1559(one.into_parts().0.into_signed(broken));
    for threads in [1, 3, 64] {
        let threads = NonZeroUsize::new(threads).expect("not zero");
        let recovered = recover_all(all.clone(), &admission(), threads);
        assert_eq!(recovered.len(), all.len());
        for (nonce, one) in recovered.iter().enumerate() {
            match one {
                Ok(tx) => {
                    assert_eq!(tx.sender(), address((nonce % 12) as u8));
                    assert_eq!(tx.nonce(), nonce as u64);
                    assert_ne!(nonce, 7);
                }
                Err(error) => assert_eq!((nonce, error), (7, &PoolError::Signature)),
            }
        }
    }
}

/// Returns the rules of a block with EIP-7702 and room for 210,000 gas.
fn prague() -> Admission {
    let mut cfg = CfgEnv::new_with_spec(SpecId::PRAGUE);
    cfg.chain_id = CHAIN;
    Admission::new(cfg, BlockEnv { gas_limit: 210_000, ..BlockEnv::default() })
}

#[test]
fn what_no_block_could_have_is_refused_before_its_sender_is_recovered() {
    let unsigned = Signature::new(U256::MAX, U256::MAX, false);
    let recover = |gas_limit| {
        let signed = SignedTransaction::Eip7702(delegating(gas_limit).into_signed(unsigned));
        PoolTransaction::recover_sender(signed, &prague()).expect_err("no key signed it")
    };
    // 21,000 plus twice 25,000.
    assert!(matches!(recover(70_999), PoolError::Invalid(_)), "{:?}", recover(70_999));
    assert!(matches!(recover(210_001), PoolError::Invalid(_)), "{:?}", recover(210_001));
    assert_eq!(recover(71_000), PoolError::Signature);
    let delegating = delegating(71_000);
    let (max_fee, signed) = (delegating.max_fee_per_gas, delegating.into_signed(unsigned));
    let recover = |least: u64| {
        let signed = SignedTransaction::Eip7702(signed.clone());
        let admission = prague().with_least_fee(least);
        PoolTransaction::recover_sender(signed, &admission).expect_err("no key signed it")
    };
    let least = u64::try_from(max_fee).expect("a small fee");
    assert_eq!(recover(least), PoolError::Signature);
    let wanted = PoolError::Underpriced { max_fee, least: max_fee + 1 };
    assert_eq!(recover(least + 1), wanted);
}

#[test]
fn authorities_are_recovered_after_the_sender_can_pay() {
    let tx = delegating(71_000);
    let signature = key(0).sign(tx.signature_hash());
    let signed = SignedTransaction::Eip7702(tx.into_signed(signature));
    let tx = PoolTransaction::recover_sender(signed.clone(), &prague()).expect("valid");
    assert_eq!(tx.sender(), address(0));
    assert!(tx.env().authorization_list.iter().all(Either::is_left), "{tx:?}");
    let pool = Pool::new(PoolConfig::default(), Head::default(), 1).handle();
    let account = |nonce, balance: u64| {
        let balance = U256::from(balance);
        SenderAccount { nonce, balance, is_contract: false }
    };
    let check = |account, at| pool.check(&tx, account, at);
    assert!(matches!(check(account(0, 709_999), 0), Err(PoolError::Funds { .. })));
    assert!(matches!(check(account(1, 710_000), 0), Err(PoolError::NonceLow { .. })));
    assert!(matches!(check(account(0, 710_000), 1), Err(PoolError::Stale { .. })));
    assert_eq!((check(account(0, 710_000), 0), pool.status().transactions), (Ok(()), 0));
    let tx = tx.clone().with_authorities();
    let found = tx.env().authorization_list.iter().map(|it| match it {
        Either::Right(recovered) => recovered.authority(),
        Either::Left(_) => panic!("not recovered"),
    });
    assert!(found.eq([Some(address(1)), None]), "{tx:?}");
    let at_once = PoolTransaction::recover(signed, &prague()).expect("valid");
    assert_eq!(at_once.env(), tx.env());
    pool.add(tx, account(0, 710_000), 0).expect("admitted");
}

/// Returns `tx` as a pool transaction, signed by sender 0.
fn admitted(tx: TxEip1559) -> Result<Arc<PoolTransaction>, PoolError> {
    let signature = key(0).sign(tx.signature_hash());
    let signed = SignedTransaction::Eip1559(tx.into_signed(signature));
    PoolTransaction::recover(signed, &admission())
}

/// Returns a payment of sender 0 with this nonce and this tip.
fn payment(nonce: u64, tip: u128) -> TxEip1559 {
    let SignedTransaction::Eip1559(signed) = signed(0, nonce, tip) else { panic!("of that type") };
    signed.into_parts().0
}

#[test]
fn every_reason_for_which_a_transaction_is_refused() {
    let unsigned = Signature::new(U256::MAX, U256::MAX, false);
    let blobs = SignedTransaction::Eip4844(TxEip4844::default().into_signed(unsigned));
    let broken = SignedTransaction::Eip1559(payment(0, 1).into_signed(unsigned));
    let recover = |signed| PoolTransaction::recover(signed, &admission()).expect_err("refused");
    let long = TxEip1559 { input: vec![0; 200_000].into(), ..payment(0, 1) };
    let light = TxEip1559 { gas_limit: 1, ..payment(0, 1) };

    let mut config = PoolConfig::default();
    (config.max_per_sender, config.max_transactions) = (3, 2);
    let pool = Pool::new(config, Head::default(), 1).handle();
    let rich = SenderAccount { nonce: 1, balance: U256::MAX, is_contract: false };
    let add = |tx, account, at| pool.add(admitted(tx).expect("valid"), account, at);
    add(payment(1, 100), rich, 0).expect("the first");
    add(payment(2, 100), rich, 0).expect("the second");
    let refused = |tx, account, at| add(tx, account, at).expect_err("refused");
    let other = PoolTransaction::recover(signed(1, 1, 1), &admission()).expect("valid");
    let another = |account| pool.add(Arc::clone(&other), account, 0).expect_err("refused");
    let mut config = PoolConfig::default();
    config.max_per_sender = 1;
    let full = Pool::new(config, Head::default(), 1).handle();
    full.add(admitted(payment(1, 1)).expect("valid"), rich, 0).expect("the only one");
    let second = full.add(admitted(payment(2, 1)).expect("valid"), rich, 0);
    let least = admission().with_least_fee(u64::MAX);
    let cheap = PoolTransaction::recover(signed(1, 1, 1), &least).expect_err("refused");
    let made: Vec<(PoolError, &'static [&'static str])> = vec![
        (second.expect_err("refused"), &["too many pending", "1 of this sender"]),
        (cheap, &["underpriced", "18446744073709551615", "pay that"]),
        (recover(broken), &["invalid signature"]),
        (recover(blobs), &["sidecar"]),
        (PoolError::Sidecar("its proofs are wrong"), &["its proofs are wrong"]),
        (PoolError::BlobReplacement { fee: 20 }, &["20 per blob gas"]),
        (admitted(long).expect_err("refused"), &["200", "131072 at most"]),
        (admitted(light).expect_err("refused"), &["invalid transaction", "gas"]),
        (another(SenderAccount { is_contract: true, ..rich }), &["has code"]),
        (
            another(SenderAccount { balance: U256::ONE, ..rich }),
            &["insufficient funds", "balance 1,"],
        ),
        (another(rich), &["the pool is full"]),
        (refused(payment(1, 100), rich, 0), &["already known"]),
        (refused(payment(0, 100), rich, 0), &["has 0", "next one is 1"]),
        (refused(payment(4, 100), rich, 0), &["has 4", "next one is 1", "3 are"]),
        (refused(payment(1, 101), rich, 0), &["a tip of 110 at least"]),
        (refused(payment(3, 100), rich, 9), &["after block 9", "after block 0", "read it again"]),
    ];
    let made = made.into_iter().map(|(error, names)| (error.into(), names));
    all_help(include_str!("../src/pool/error.rs"), "PoolError", made.collect::<Vec<Made>>());
}
