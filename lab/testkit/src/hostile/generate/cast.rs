//! The accounts of a random block.

use super::Features;
use super::draw::Draw;
use super::program::{self, init_code};
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use braid_blocks::memory::MemoryAccount;
use braid_blocks::sequential::request_contracts;
use revm::bytecode::opcode;
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeMap;

/// Number of salts for `CREATE2`.
pub(super) const SALTS: u64 = 2;

/// Maximum number of senders of a block.
pub(super) const MOST_SENDERS: usize = 7;

/// The addresses of a random block, and the init codes of its contracts.
#[derive(Clone, Debug)]
pub(super) struct Cast {
    pub(super) senders: Vec<Address>,
    pub(super) contracts: Vec<Address>,
    /// Accounts that are missing, empty or unusual, or that the block creates.
    pub(super) others: Vec<Address>,
    pub(super) inits: Vec<Bytes>,
}

impl Cast {
    /// Draws the accounts; `senders` must have at least [`MOST_SENDERS`] entries.
    pub(super) fn draw(
        draw: &mut Draw<'_, '_>,
        senders: &[Address],
        spec: SpecId,
        features: Features,
    ) -> Self {
        let count = 2 + draw.below(MOST_SENDERS as u64 - 1) as usize;
        let mut cast = Self {
            senders: senders.iter().copied().take(count).collect(),
            contracts: (0..1 + draw.below(4))
                .map(|i| Address::repeat_byte(0xc0 + i as u8))
                .collect(),
            others: (0..3).map(|i| Address::repeat_byte(0xe0 + i)).collect(),
            inits: Vec::new(),
        };
        cast.others.push(Address::with_last_byte(1 + draw.below(5) as u8));
        if !features.creations {
            return cast;
        }
        for _ in 0..1 + draw.below(2) {
            let init = init_code(draw, spec, &cast, features);
            cast.inits.push(init);
        }
        let creator = draw.pick(&cast.contracts);
        cast.others.push(creator.create(1));
        cast.others.push(cast.senders[0].create(draw.below(2)));
        if spec.is_enabled_in(SpecId::PETERSBURG) {
            for init in &cast.inits {
                let salt = B256::from(U256::from(draw.below(SALTS)));
                cast.others.push(creator.create2(salt, keccak256(init)));
            }
        }
        cast
    }

    /// Draws any address of the block.
    pub(super) fn any_account(&self, draw: &mut Draw<'_, '_>) -> Address {
        let group = match draw.below(10) {
            0..=4 => &self.contracts,
            5..=7 => &self.others,
            _ => &self.senders,
        };
        draw.pick(group)
    }

    /// Draws the state before the block.
    pub(super) fn accounts(
        &self,
        draw: &mut Draw<'_, '_>,
        spec: SpecId,
        features: Features,
    ) -> BTreeMap<Address, MemoryAccount> {
        let mut accounts = BTreeMap::new();
        for sender in &self.senders {
            accounts.insert(*sender, self.sender(draw, spec, features));
        }
        for contract in &self.contracts {
            let code = program::draw(draw, spec, self, features).bytes();
            let balance = U256::from(draw.below(3) * 1_000);
            let storage = slots(draw);
            accounts.insert(*contract, MemoryAccount { balance, nonce: 1, code, storage });
        }
        for other in self.others.iter().filter(|_| features.odd_accounts) {
            let odd = MemoryAccount { balance: U256::from(draw.below(2)), ..Default::default() };
            let account = match draw.below(5) {
                0 => continue,
                1 => MemoryAccount::default(),
                2 => MemoryAccount { storage: slots(draw), ..odd },
                3 => MemoryAccount { nonce: 1, ..odd },
                _ => odd,
            };
            accounts.insert(*other, account);
        }
        // Without these contracts, the block is invalid.
        for contract in request_contracts(spec) {
            let code = Bytes::from_static(&[opcode::STOP]);
            accounts.insert(contract, MemoryAccount { nonce: 1, code, ..Default::default() });
        }
        if features.system_contracts {
            let builder = alloy_primitives::address!("0000BFF46984E3725691FA540A8C7589300D8282");
            let system = [
                eip2935::HISTORY_STORAGE_ADDRESS,
                eip4788::BEACON_ROOTS_ADDRESS,
                eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
                eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
                builder,
            ];
            for address in system {
                let code = program::draw(draw, spec, self, features).sload(0).return_top().bytes();
                let storage = slots(draw);
                let account = MemoryAccount { nonce: 1, code, storage, ..Default::default() };
                accounts.insert(address, account);
            }
        }
        accounts
    }

    fn sender(&self, draw: &mut Draw<'_, '_>, spec: SpecId, features: Features) -> MemoryAccount {
        let balance = match draw.below(8) {
            // Enough for one or two transactions.
            7 if features.invalid => U256::from(2_000_000 + draw.below(20_000_000)),
            _ => U256::from(10).pow(U256::from(21)),
        };
        let delegates = features.delegations && spec.is_enabled_in(SpecId::PRAGUE);
        let code = if delegates && draw.percent(20) {
            let target = draw.pick(&self.contracts);
            [&[0xef, 0x01, 0x00], target.as_slice()].concat().into()
        } else {
            Bytes::new()
        };
        let nonce = if code.is_empty() { draw.pick(&[0, 0, 0, 1, 5]) } else { 1 };
        let storage =
            if features.odd_accounts && draw.percent(20) { slots(draw) } else { BTreeMap::new() };
        MemoryAccount { balance, nonce, code, storage }
    }
}

/// Draws a few slots with small values.
fn slots(draw: &mut Draw<'_, '_>) -> BTreeMap<U256, U256> {
    let slot = |_| (U256::from(draw.below(4)), U256::from(1 + draw.below(4)));
    (0..3).map(slot).collect()
}
