//! Compares bundles in a sorted form.

use super::Differences;
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::{
    database::{
        AccountRevert, BundleAccount, BundleState, RevertToSlot, states::reverts::AccountInfoRevert,
    },
    state::{AccountInfo, Bytecode},
};
use std::collections::BTreeMap;

pub(super) fn compare(out: &mut Differences, expected: &BundleState, found: &BundleState) {
    out.maps("account", &accounts(expected), &accounts(found), account);
    out.maps("contract", &contracts(expected), &contracts(found), |out, place, expected, found| {
        out.field(place, "code", expected, found);
    });
    reverts(out, expected, found);
    out.field("the bundle", "state size", &expected.state_size, &found.state_size);
    out.field("the bundle", "reverts size", &expected.reverts_size, &found.reverts_size);
}

fn accounts(bundle: &BundleState) -> BTreeMap<Address, &BundleAccount> {
    bundle.state.iter().map(|(address, account)| (*address, account)).collect()
}

fn contracts(bundle: &BundleState) -> BTreeMap<B256, (bool, Bytes)> {
    let entry =
        |(hash, code): (&B256, &Bytecode)| (*hash, (code.is_eip7702(), code.original_bytes()));
    bundle.contracts.iter().map(entry).collect()
}

fn account(out: &mut Differences, place: &str, expected: &&BundleAccount, found: &&BundleAccount) {
    out.field(place, "status", &expected.status, &found.status);
    info(out, place, "information", expected.info.as_ref(), found.info.as_ref());
    let originals = (expected.original_info.as_ref(), found.original_info.as_ref());
    info(out, place, "original information", originals.0, originals.1);
    let slots = |account: &BundleAccount| -> BTreeMap<U256, (U256, U256)> {
        let slots = account.storage.iter();
        slots
            .map(|(key, slot)| (*key, (slot.previous_or_original_value, slot.present_value)))
            .collect()
    };
    let slot_place = format!("{place}: slot");
    out.maps(&slot_place, &slots(expected), &slots(found), |out, place, expected, found| {
        out.field(place, "original value", &expected.0, &found.0);
        out.field(place, "present value", &expected.1, &found.1);
    });
}

fn info(
    out: &mut Differences,
    place: &str,
    what: &str,
    expected: Option<&AccountInfo>,
    found: Option<&AccountInfo>,
) {
    match (expected, found) {
        (Some(expected), Some(found)) => {
            let of = |part: &str| format!("{what}: {part}");
            out.field(place, &of("balance"), &expected.balance, &found.balance);
            out.field(place, &of("nonce"), &expected.nonce, &found.nonce);
            out.field(place, &of("code hash"), &expected.code_hash, &found.code_hash);
            if let (Some(expected), Some(found)) = (&expected.code, &found.code) {
                let bytes = (expected.original_bytes(), found.original_bytes());
                out.field(place, &of("code"), &bytes.0, &bytes.1);
            }
        }
        (None, None) => {}
        (Some(_), None) => out.add(|| format!("{place}: {what}: expected some, found none")),
        (None, Some(_)) => out.add(|| format!("{place}: {what}: expected none, found some")),
    }
}

fn reverts(out: &mut Differences, expected: &BundleState, found: &BundleState) {
    let lengths = (expected.reverts.len(), found.reverts.len());
    out.field("the bundle", "number of blocks with reverts", &lengths.0, &lengths.1);
    for (block, pair) in expected.reverts.iter().zip(found.reverts.iter()).enumerate() {
        let lengths = (pair.0.len(), pair.1.len());
        out.field(&format!("reverts {block}"), "number of entries", &lengths.0, &lengths.1);
        let place = format!("reverts {block}: account");
        out.maps(&place, &by_account(pair.0), &by_account(pair.1), revert);
    }
}

/// Returns the reverts of a block by account; a duplicate shows up as a different number of
/// entries.
fn by_account(reverts: &[(Address, AccountRevert)]) -> BTreeMap<Address, &AccountRevert> {
    reverts.iter().map(|(address, revert)| (*address, revert)).collect()
}

fn revert(out: &mut Differences, place: &str, expected: &&AccountRevert, found: &&AccountRevert) {
    match (&expected.account, &found.account) {
        (AccountInfoRevert::RevertTo(expected), AccountInfoRevert::RevertTo(found)) => {
            info(out, place, "information before the block", Some(expected), Some(found));
        }
        (expected, found) => out.field(place, "kind of revert", expected, found),
    }
    let statuses = (expected.previous_status, found.previous_status);
    out.field(place, "previous status", &statuses.0, &statuses.1);
    out.field(place, "wiped storage", &expected.wipe_storage, &found.wipe_storage);
    let slots = |revert: &AccountRevert| -> BTreeMap<U256, RevertToSlot> {
        revert.storage.iter().map(|(key, slot)| (*key, *slot)).collect()
    };
    let slot_place = format!("{place}: slot");
    out.maps(&slot_place, &slots(expected), &slots(found), |out, place, expected, found| {
        out.field(place, "value before the block", expected, found);
    });
}
