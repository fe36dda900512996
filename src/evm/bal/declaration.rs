//! Declared accesses of transactions, as in Solana's Sealevel.
//!
//! A transaction declares accesses in its EIP-2930 access list, which wallets already sign. That
//! list does not distinguish reads from writes, and if every entry counted as a write, all calls of
//! a contract would conflict. The order of the entries makes the distinction: see
//! [`Declaration::of`].

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, U256};
use core::fmt;
use revm::context::TxEnv;
use revm::context_interface::transaction::AuthorizationTr;

/// A unit of state that is declared as a whole: an account (balance, nonce and code), or one of its
/// storage slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeclaredLocation {
    /// The account.
    pub address: Address,
    /// The slot; `None` for the account itself.
    pub slot: Option<U256>,
}

/// The state that a transaction declares to read and write, on a chain with
/// [`ChainRules::declared_accesses`](crate::ChainRules::declared_accesses).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declaration {
    /// Declared locations, sorted and unique, with whether each may change. An account precedes its
    /// slots.
    locations: Vec<(DeclaredLocation, bool)>,
}

/// A transaction's access outside its declaration: the first in order of address and slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undeclared {
    /// The accessed location.
    pub location: DeclaredLocation,
    /// True if the location was declared read-only but changed; false if it was not declared.
    pub is_change: bool,
}

impl fmt::Display for DeclaredLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.slot {
            Some(slot) => write!(f, "slot {slot:#x} of {}", self.address),
            None => write!(f, "account {}", self.address),
        }
    }
}

impl fmt::Display for Undeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { location, is_change } = self;
        match is_change {
            true => write!(f, "it changes the {location}, which it declares as read only"),
            false => write!(f, "it accesses the {location}, which it does not declare"),
        }
    }
}

const fn account(address: Address) -> DeclaredLocation {
    DeclaredLocation { address, slot: None }
}

impl Declaration {
    /// Returns the declaration of `tx`.
    ///
    /// - The sender, the address of a contract that it creates, and the signers of its
    ///   authorizations may change. The callee is read; it may change if the transaction transfers
    ///   value.
    /// - An entry of the access list with slots declares that the account is read and that these
    ///   slots may change. An entry without slots declares that the account may change.
    /// - Everything before the sender's first entry without slots is only read.
    ///
    /// The fee is not an access. A transaction that reads or pays the beneficiary must declare the
    /// beneficiary like any other account, and so it must every precompile that it calls.
    #[must_use]
    pub fn of(tx: &TxEnv) -> Self {
        let items = &tx.access_list.0;
        let is_separator =
            |it: &AccessListItem| it.address == tx.caller && it.storage_keys.is_empty();
        let read_only = items.iter().position(is_separator).unwrap_or_default();
        let mut locations = Vec::with_capacity(2 + items.len());
        for (index, item) in items.iter().enumerate() {
            let may_change = index >= read_only;
            let slots = &item.storage_keys;
            locations.push((account(item.address), may_change && slots.is_empty()));
            locations.extend(slots.iter().map(|slot| {
                let slot = Some(U256::from_be_bytes(slot.0));
                (DeclaredLocation { address: item.address, slot }, may_change)
            }));
        }
        locations.push((account(tx.caller), true));
        match tx.kind.to() {
            Some(to) => locations.push((account(*to), !tx.value.is_zero())),
            None => locations.push((account(tx.caller.create(tx.nonce)), true)),
        }
        let signers = tx.authorization_list.iter().filter_map(AuthorizationTr::authority);
        locations.extend(signers.map(|signer| (account(signer), true)));
        Self::new(locations)
    }

    fn new(mut locations: Vec<(DeclaredLocation, bool)>) -> Self {
        locations.sort_unstable();
        // Of equal locations, the one that may change sorts last and must survive.
        locations.reverse();
        locations.dedup_by_key(|(place, _)| *place);
        locations.reverse();
        Self { locations }
    }

    /// Declared locations, sorted, with whether each may change.
    pub fn locations(&self) -> impl Iterator<Item = (DeclaredLocation, bool)> + '_ {
        self.locations.iter().copied()
    }

    /// Whether one transaction may change a location that the other declares.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        self.locations.iter().any(|(place, may_change)| {
            other.find(*place).is_some_and(|other_may| other_may || *may_change)
        })
    }

    /// Whether `place` may change; `None` if it is not declared.
    pub(super) fn find(&self, place: DeclaredLocation) -> Option<bool> {
        let found = self.locations.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        self.locations.get(found).map(|(_, may_change)| *may_change)
    }

    /// Rewrites the access list of `tx` so that it declares `all`, in addition to the locations
    /// that are declared without a list.
    pub fn declare(tx: &mut TxEnv, all: impl IntoIterator<Item = (DeclaredLocation, bool)>) {
        tx.access_list = AccessList::default();
        let rule = Self::of(tx);
        let all = Self::new(all.into_iter().collect());
        let mut reads = Vec::new();
        let mut writes = Vec::new();
        let mut locations = all.locations.into_iter().peekable();
        while let Some((place, may_change)) = locations.next() {
            // Declaring a slot declares a read of its account.
            let is_same_account =
                |(next, _): &(DeclaredLocation, bool)| next.address == place.address;
            let is_known = rule.find(place).is_some_and(|may| may || !may_change)
                || (place.slot.is_none()
                    && !may_change
                    && locations.peek().is_some_and(is_same_account));
            if !is_known {
                add(if may_change { &mut writes } else { &mut reads }, place);
            }
        }
        if !reads.is_empty() {
            reads.push(AccessListItem { address: tx.caller, storage_keys: Vec::new() });
        }
        reads.append(&mut writes);
        if !reads.is_empty() {
            tx.tx_type = tx.tx_type.max(1);
        }
        tx.access_list = AccessList(reads);
    }
}

/// Appends `place`, which sorts after the existing entries, to a list.
fn add(list: &mut Vec<AccessListItem>, DeclaredLocation { address, slot }: DeclaredLocation) {
    let Some(slot) = slot.map(B256::from) else {
        return list.push(AccessListItem { address, storage_keys: Vec::new() });
    };
    match list.last_mut() {
        Some(last) if last.address == address && !last.storage_keys.is_empty() => {
            last.storage_keys.push(slot);
        }
        _ => list.push(AccessListItem { address, storage_keys: vec![slot] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::TxKind;

    const SENDER: Address = Address::repeat_byte(1);
    const CALLEE: Address = Address::repeat_byte(2);
    const OTHER: Address = Address::repeat_byte(3);

    fn call(items: &[(Address, &[u64])]) -> TxEnv {
        let item = |(address, slots): &(Address, &[u64])| AccessListItem {
            address: *address,
            storage_keys: slots.iter().map(|slot| U256::from(*slot).into()).collect(),
        };
        let access_list = AccessList(items.iter().map(item).collect());
        TxEnv { caller: SENDER, kind: TxKind::Call(CALLEE), access_list, ..TxEnv::default() }
    }

    fn slot(address: Address, slot: u64) -> DeclaredLocation {
        DeclaredLocation { address, slot: Some(U256::from(slot)) }
    }

    fn locations(tx: &TxEnv) -> Vec<(DeclaredLocation, bool)> {
        Declaration::of(tx).locations().collect()
    }

    #[test]
    fn sender_callee_and_created_contract_are_declared_by_rule() {
        assert_eq!(locations(&call(&[])), [(account(SENDER), true), (account(CALLEE), false)]);
        let paid = TxEnv { value: U256::ONE, ..call(&[]) };
        assert_eq!(locations(&paid), [(account(SENDER), true), (account(CALLEE), true)]);
        let creation = TxEnv { kind: TxKind::Create, nonce: 7, ..call(&[]) };
        let created = (account(SENDER.create(7)), true);
        assert!(locations(&creation).contains(&created) && locations(&creation).len() == 2);
    }

    #[test]
    fn the_order_of_the_list_tells_reads_from_writes() {
        let all = call(&[(CALLEE, &[5, 4]), (OTHER, &[])]);
        let expected = [
            (account(SENDER), true),
            (account(CALLEE), false),
            (slot(CALLEE, 4), true),
            (slot(CALLEE, 5), true),
            (account(OTHER), true),
        ];
        assert_eq!(locations(&all), expected);
        let some = call(&[(CALLEE, &[5, 4]), (OTHER, &[]), (SENDER, &[]), (CALLEE, &[4])]);
        let expected = [
            (account(SENDER), true),
            (account(CALLEE), false),
            (slot(CALLEE, 4), true),
            (slot(CALLEE, 5), false),
            (account(OTHER), false),
        ];
        assert_eq!(locations(&some), expected);
        // Entries of the sender with slots do not divide the list.
        let own = call(&[(OTHER, &[]), (SENDER, &[1])]);
        assert!(locations(&own).contains(&(account(OTHER), true)));
    }

    #[test]
    fn what_is_declared_is_what_was_asked_for() {
        let all = [
            (account(SENDER), true),
            (slot(SENDER, 3), false),
            (account(CALLEE), true),
            (slot(CALLEE, 4), false),
            (slot(CALLEE, 6), true),
            (account(OTHER), false),
            (slot(OTHER, 1), false),
        ];
        let mut tx = call(&[(OTHER, &[9])]);
        Declaration::declare(&mut tx, all);
        assert_eq!(locations(&tx), all);
        // The list omits locations that are declared without a list.
        Declaration::declare(&mut tx, [(account(SENDER), true), (account(CALLEE), false)]);
        assert!(tx.access_list.0.is_empty());
    }

    #[test]
    fn two_conflict_if_one_may_change_what_the_other_declares() {
        let of = |sender: u8, items: &[(Address, &[u64])]| {
            Declaration::of(&TxEnv { caller: Address::repeat_byte(sender), ..call(items) })
        };
        let writes = of(8, &[(CALLEE, &[1])]);
        let reads = |sender: u8| of(sender, &[(CALLEE, &[1]), (Address::repeat_byte(sender), &[])]);
        assert!(writes.conflicts(&reads(9)) && reads(9).conflicts(&writes));
        assert!(!reads(9).conflicts(&reads(10)) && !writes.conflicts(&of(9, &[(CALLEE, &[2])])));
        assert!(writes.conflicts(&of(9, &[(CALLEE, &[])])) && writes.conflicts(&writes));
    }
}
