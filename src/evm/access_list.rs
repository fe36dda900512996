//! The access list of a block that has run, or of its committed prefix.

use super::bal::accesses::Accesses;
use super::bal::list::{ListBuilder, Receiver};
use super::bundle::block_effects::BlockEffects;
use super::exec::input::Block;
use super::exec::recipe::Recipe;
use alloy_eip7928::bal::Bal;
use alloy_primitives::Address;
use revm::state::AccountInfo;

/// What the block has accessed, if that was recorded: its calls and balance changes around the
/// transactions as they are in `effects`, and `accesses` of the executed transactions. Without an
/// `end` the block ended early.
pub(super) fn access_list(
    recipe: &Recipe,
    effects: &mut BlockEffects,
    accesses: impl Iterator<Item = Box<Accesses>>,
    has_end: bool,
) -> Option<Bal> {
    if !recipe.lists {
        return None;
    }
    let receiver = |(address, info): &(Address, Option<AccountInfo>)| Receiver {
        address: *address,
        balance: info.as_ref().map(|info| info.balance),
    };
    let receivers = [&effects.beneficiary, &effects.surcharged].map(receiver);
    let mut list = ListBuilder::new(receivers, effects.touch_creates, effects.mutant);
    let [before, mut after] = core::mem::take(&mut effects.outside);
    list.add(&before.into_accesses());
    // Memory that one leaves is there for the list.
    accesses.for_each(|accesses| list.add(&accesses));
    if has_end {
        for (address, info) in &effects.drained {
            after.drain(*address, info.as_ref());
        }
        for (address, amount, info) in &effects.increments {
            if *amount > 0 || is_accessed(&recipe.block, *address) {
                after.add_balance(*address, info.as_ref(), *amount);
            }
        }
        list.add(&after.into_accesses());
    }
    Some(list.build())
}

/// Whether the account is accessed, also if it gets nothing: that holds for all but rewards, as
/// that of an ommer which is too old.
fn is_accessed(block: &Block, address: Address) -> bool {
    let mut withdrawals = block.withdrawals.iter().flatten();
    withdrawals.any(|withdrawal| withdrawal.address == address)
        || block.rules.dao_fork.as_ref().is_some_and(|dao| dao.beneficiary == address)
}
