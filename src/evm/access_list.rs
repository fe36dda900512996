//! Builds the access list of a block, or of its committed prefix, and checks the block's own list.

use super::bal::accesses::Accesses;
use super::bal::list::{ListBuilder, Receiver};
use super::bal::mismatch::AccessListMismatch;
use super::bundle::block_effects::BlockEffects;
use super::exec::block_context::BlockContext;
use super::exec::input::Block;
use super::fees::receivers::Receivers;
use alloy_eip7928::BlockAccessIndex;
use alloy_eip7928::bal::Bal;
use alloy_primitives::Address;
use alloy_primitives::map::AddressSet;
use revm::state::AccountInfo;

/// Returns the accesses after the transactions, by system calls and balance changes.
pub(super) fn accesses_after(block_context: &BlockContext, effects: &mut BlockEffects) -> Accesses {
    let [_, after] = &mut effects.step_accesses;
    for (address, info) in &effects.drained {
        after.drain(*address, info.as_ref());
    }
    let accessed = accessed_at_end(&block_context.block);
    for (address, amount, info) in &effects.increments {
        if *amount > 0 || accessed.contains(address) {
            after.add_balance(*address, info.as_ref(), *amount);
        }
    }
    after.accesses()
}

/// Compares the steps after the transactions with the block's own access list, and checks that
/// every listed item was accessed. `marks`: the marks of the transactions, whose accesses have been
/// compared before.
pub(super) fn compare_end(
    block_context: &BlockContext,
    effects: &BlockEffects,
    marks: Vec<u32>,
    after: &Accesses,
) -> Result<(), Box<AccessListMismatch>> {
    let is_compared = block_context.extensions.compares_block_steps();
    let Some(list) = block_context.access_list.as_ref().filter(|_| is_compared) else {
        return Ok(());
    };
    let [before, _] = &effects.step_accesses;
    let before = list.compare(BlockAccessIndex::PRE_EXECUTION, &before.accesses())?;
    let transactions = block_context.block.transactions.len() as u64;
    let after = list.compare(BlockAccessIndex::from_tx_index(transactions), after);
    let passes = mutant!(EndUncompared);
    let after = after.or_else(|wrong| if passes { Ok(Vec::new()) } else { Err(wrong) })?;
    list.compare_all(before.into_iter().chain(marks).chain(after))
}

/// Builds the block's access list, if the caller has requested one. `accesses`: accesses of the
/// executed transactions; `after`: accesses after them, `None` if the block ended early.
pub(super) fn access_list(
    block_context: &BlockContext,
    effects: &BlockEffects,
    accesses: impl Iterator<Item = Box<Accesses>>,
    after: Option<&Accesses>,
) -> Option<Bal> {
    if !block_context.builds_list {
        return None;
    }
    let receiver = |(address, info): &(Address, Option<AccountInfo>)| Receiver {
        address: *address,
        balance: info.as_ref().map(|info| info.balance),
    };
    let Receivers { beneficiary, surcharged, touch_creates, .. } = &effects.receivers;
    let receivers = [beneficiary, surcharged].map(receiver);
    // Most transactions access an account that no other transaction accesses: the sender.
    let room = accesses.size_hint().0;
    let mut list = ListBuilder::new(receivers, *touch_creates, room);
    let [before, _] = &effects.step_accesses;
    list.add(&before.accesses());
    // Each element is freed once it is added, so that the list can reuse its memory.
    accesses.for_each(|accesses| list.add(&accesses));
    if let Some(after) = after {
        list.add(after);
    }
    Some(list.build())
}

/// Returns the accounts that the end of the block accesses even if their amount is zero: all but
/// recipients of rewards. The reward of an ommer that is too old is zero.
fn accessed_at_end(block: &Block) -> AddressSet {
    let withdrawals = block.withdrawals.iter().flatten().map(|withdrawal| withdrawal.address);
    withdrawals.chain(block.rules.dao_fork.as_ref().map(|dao| dao.beneficiary)).collect()
}
