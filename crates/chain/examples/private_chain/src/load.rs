//! The load generator: the transactions of a block follow from a seed and the block's number.

use super::rules::{ACCOUNTS, CHAIN_ID, RECORDER, account};
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use braid_evm::{Rejection, TransactionPool};
use revm::{DatabaseRef, context::TxEnv};
use std::collections::{BTreeMap, VecDeque, btree_map::Entry};

/// Gas that a transfer and a call of the contract may use.
const TRANSFER_GAS: u64 = 21_000;
const CALL_GAS: u64 = 60_000;

/// The transactions that one block is built from.
pub(crate) struct Load {
    waiting: VecDeque<TxEnv>,
    /// Transactions that the chain has left out as invalid.
    pub(crate) left_out: u64,
}

impl Load {
    /// `count` transactions for the block `number`, which is built on `state`: three transfers of up
    /// to a thousandth of an ether for each call of the contract.
    ///
    /// # Errors
    /// The state cannot be read.
    pub(crate) fn new<D: DatabaseRef>(
        state: &D,
        seed: u64,
        number: u64,
        count: u64,
    ) -> Result<Self, D::Error> {
        let mut nonces = BTreeMap::new();
        let mut waiting = VecDeque::new();
        for index in 0..count {
            let mut tx = transaction([seed, number, index]);
            let next = match nonces.entry(tx.caller) {
                Entry::Occupied(nonce) => nonce.into_mut(),
                Entry::Vacant(place) => {
                    place.insert(state.basic_ref(tx.caller)?.map_or(0, |sender| sender.nonce))
                }
            };
            tx.nonce = *next;
            *next += 1;
            waiting.push_back(tx);
        }
        Ok(Self { waiting, left_out: 0 })
    }
}

fn transaction(of: [u64; 3]) -> TxEnv {
    let random = keccak256(of.map(u64::to_be_bytes).concat());
    let [sender, first, second, kind] = U256::from_be_bytes(random.0).into_limbs();
    let [sender, first] = [sender, first].map(|number| account(number % ACCOUNTS));
    let tx = TxEnv { caller: sender, chain_id: Some(CHAIN_ID), gas_price: 0, ..TxEnv::default() };
    if kind % 4 > 0 {
        let value = U256::from(second % 10_u64.pow(15));
        return TxEnv { kind: TxKind::Call(first), value, gas_limit: TRANSFER_GAS, ..tx };
    }
    let data = asked([first, account(second % ACCOUNTS)]);
    TxEnv { kind: TxKind::Call(RECORDER), data, gas_limit: CALL_GAS, ..tx }
}

/// Call data that names these accounts.
fn asked(accounts: [Address; 2]) -> Bytes {
    accounts.map(|account| account.into_word()).concat().into()
}

impl TransactionPool for Load {
    fn next(&mut self, gas_left: u64) -> Option<TxEnv> {
        self.waiting.pop_front_if(|tx| tx.gas_limit <= gas_left)
    }

    fn skipped(&mut self, _: &TxEnv, _: &Rejection) {
        self.left_out += 1;
    }
}
