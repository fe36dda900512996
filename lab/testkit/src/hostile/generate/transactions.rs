//! Random transactions, most of them valid.

use super::Features;
use super::cast::Cast;
use super::draw::Draw;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use braid_blocks::memory::MemoryAccount;
use braid_evm::Block;
use revm::context::TxEnv;
use revm::context_interface::either::Either;
use revm::context_interface::transaction::{
    AccessList, AccessListItem, Authorization, RecoveredAuthority, RecoveredAuthorization,
};
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeMap;

/// Maximum number of transactions of a block.
pub(super) const MOST: u64 = 24;

/// Draws the transactions of one block.
struct Pen<'a, 'b, 'c> {
    draw: &'c mut Draw<'a, 'b>,
    cast: &'c Cast,
    block: &'c Block,
    features: Features,
    nonces: BTreeMap<Address, u64>,
}

pub(super) fn draw(
    draw: &mut Draw<'_, '_>,
    cast: &Cast,
    accounts: &BTreeMap<Address, MemoryAccount>,
    block: &Block,
    features: Features,
) -> Vec<TxEnv> {
    let nonces = accounts.iter().map(|(address, account)| (*address, account.nonce)).collect();
    let count = 1 + draw.below(MOST);
    let mut pen = Pen { draw, cast, block, features, nonces };
    pen.draw.mark();
    let transaction = |_| {
        let tx = pen.transaction();
        pen.draw.mark();
        tx
    };
    (0..count).map(transaction).collect()
}

impl Pen<'_, '_, '_> {
    fn since(&self, fork: SpecId) -> bool {
        self.block.cfg.spec.is_enabled_in(fork)
    }

    fn nonce(&self, address: Address) -> u64 {
        self.nonces.get(&address).copied().unwrap_or_default()
    }

    fn transaction(&mut self) -> TxEnv {
        let caller = self.draw.pick(&self.cast.senders);
        let mut tx = TxEnv {
            caller,
            nonce: self.nonce(caller),
            gas_limit: self.draw.pick(&[300_000, 60_000, 120_000, 600_000, 1_000_000]),
            kind: TxKind::Call(self.cast.any_account(self.draw)),
            value: U256::from(self.draw.pick(&[0, 0, 1, 7, 100_000])),
            data: self.data(),
            chain_id: Some(1),
            ..TxEnv::default()
        };
        self.typed(&mut tx);
        if self.features.creations && tx.tx_type < 3 && self.draw.percent(12) {
            tx.kind = TxKind::Create;
            tx.data = self.draw.pick(&self.cast.inits);
        }
        if self.features.invalid && self.draw.percent(8) {
            self.spoil(&mut tx);
            return tx;
        }
        *self.nonces.entry(caller).or_default() += 1;
        if tx.tx_type == 4 {
            tx.authorization_list = self.authorizations();
        }
        tx
    }

    fn data(&mut self) -> Bytes {
        match self.draw.below(3) {
            0 => Bytes::new(),
            _ => B256::from(U256::from(self.draw.below(7))).into(),
        }
    }

    /// Chooses a type that the fork supports, and a fee.
    fn typed(&mut self, tx: &mut TxEnv) {
        let base_fee = u128::from(self.block.env.basefee);
        let tips: &[u128] = if self.features.zero_tips { &[0, 0, 1, 3] } else { &[1, 3, 9] };
        tx.gas_price = base_fee + self.draw.pick(tips);
        let known = [SpecId::BERLIN, SpecId::LONDON, SpecId::CANCUN, SpecId::PRAGUE];
        let newest = known.into_iter().filter(|fork| self.since(*fork)).count() as u64;
        tx.tx_type = match self.draw.below(2 + newest * 2) as u8 {
            tx_type if u64::from(tx_type) <= newest => tx_type,
            _ if self.features.delegations && newest == 4 => 4,
            _ => 0,
        };
        if tx.tx_type == 4 && !self.features.delegations {
            tx.tx_type = 2;
        }
        if tx.tx_type >= 1 && self.draw.percent(30) {
            let address = self.cast.any_account(self.draw);
            let storage_keys = vec![B256::with_last_byte(self.draw.below(4) as u8)];
            tx.access_list = AccessList(vec![AccessListItem { address, storage_keys }]);
        }
        if tx.tx_type >= 2 {
            tx.gas_priority_fee = Some(self.draw.pick(tips).min(tx.gas_price));
        }
        if tx.tx_type == 3 {
            let mut hash = B256::repeat_byte(self.draw.below(3) as u8);
            hash.0[0] = 1;
            tx.blob_hashes = vec![hash; 1 + self.draw.below(2) as usize];
            tx.max_fee_per_blob_gas = 1 + u128::from(self.draw.below(3));
        }
    }

    fn authorizations(
        &mut self,
    ) -> Vec<
        Either<revm::context_interface::transaction::SignedAuthorization, RecoveredAuthorization>,
    > {
        let count = 1 + self.draw.below(2);
        let authorization = |_| {
            let authority = match self.draw.percent(80) {
                true => self.draw.pick(&self.cast.senders),
                false => self.cast.any_account(self.draw),
            };
            let address = match self.draw.percent(25) {
                true => Address::ZERO,
                false => self.cast.any_account(self.draw),
            };
            let mut nonce = self.nonce(authority);
            if self.draw.percent(15) {
                nonce += 1;
            } else if self.cast.senders.contains(&authority) {
                self.nonces.insert(authority, nonce + 1);
            }
            let inner = Authorization { chain_id: U256::ONE, address, nonce };
            let authority = RecoveredAuthority::Valid(authority);
            Either::Right(RecoveredAuthorization::new_unchecked(inner, authority))
        };
        (0..count).map(authorization).collect()
    }

    /// Makes the transaction invalid.
    fn spoil(&mut self, tx: &mut TxEnv) {
        match self.draw.below(9) {
            0 | 1 => tx.nonce += 1 + self.draw.below(2),
            2 => tx.nonce = tx.nonce.saturating_sub(1),
            3 => tx.gas_limit = 20_000,
            4 => tx.gas_limit = self.block.env.gas_limit + 1,
            5 => tx.value = U256::MAX >> 1,
            6 => tx.chain_id = Some(2),
            7 => tx.caller = self.draw.pick(&self.cast.contracts),
            _ => {
                tx.tx_type = 3;
                tx.blob_hashes = vec![B256::ZERO];
            }
        }
        // A spoiled delegation has no authorizations, which is a fault of its own.
        if tx.nonce == self.nonce(tx.caller) && tx.tx_type == 4 {
            tx.authorization_list.clear();
        }
    }
}
