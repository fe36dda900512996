//! Seeded bugs of the Ethereum layer, each noticed by the hand-made block that
//! docs/data/seeded_bugs.tsv names.

use super::access_lists::{ahead, around, bound, given, hinted, lives, touched};
use super::{
    admission, after_batches, balances, beneficiary, creation, delegation, journal, keccak,
    lifecycle, overflow, paid, parents, parts, payments, reads, system, turns, whole,
};
use crate::faults::cancelled;
use crate::replay;
use crate::support::chosen::is_chosen;
use crate::support::evm_rows;
use braid_evm::mutants::{Bug, seed};
use std::panic::catch_unwind;

/// Lists tests with their names.
macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => {
        [$((concat!(stringify!($module), "::", stringify!($name)), $module::$name as fn())),*]
    };
}

/// Tests of access lists.
fn of_lists() -> impl Iterator<Item = (&'static str, fn())> {
    let tests = tests![
        ahead::one_long_call_does_not_wait_for_each_read,
        around::parts_are_listed_in_order,
        around::skipped_transactions_are_not_counted,
        around::the_beneficiary_is_listed_also_if_it_gets_nothing,
        bound::a_call_that_is_most_of_its_block_runs_once,
        bound::what_a_wrong_list_makes_long_ends_once_the_list_is_known_to_be_wrong,
        given::a_malformed_list_is_refused_before_anything_runs,
        given::what_surrounds_the_transactions_is_compared,
        given::an_empty_account_may_be_gone_by_then,
        around::what_surrounds_the_transactions_has_indices_of_its_own,
        lives::gas_ends_before_the_first_frame,
        lives::precompiles_are_listed_when_they_are_called,
        given::a_change_that_does_not_happen_is_found,
        hinted::who_writes_the_same_waits,
        given::a_wrong_value_is_found_where_it_is_written,
        given::storage_that_a_self_destruct_clears_is_not_told,
        given::transactions_run_on_what_the_list_says,
        given::what_nothing_accesses_is_found_at_the_end,
        touched::what_a_call_that_fails_has_accessed_is_listed,
        touched::what_is_only_looked_at_is_listed_without_changes,
    ];
    tests.into_iter()
}

/// Tests outside this folder.
fn others() -> impl Iterator<Item = (&'static str, fn())> {
    let tests = tests![
        cancelled::a_builder_gets_the_block_that_there_is,
        cancelled::workers_end_within_a_transaction,
        replay::what_a_chain_has_of_its_own_is_kept,
    ];
    tests.into_iter()
}

fn named(name: &str) -> Option<fn()> {
    let tests = tests![
        admission::a_block_of_invalid_transactions_is_built_empty,
        admission::refunds_make_room,
        balances::a_contract_comes_back_with_another_balance,
        balances::every_way_to_look,
        balances::some_pay_and_most_only_call,
        beneficiary::it_is_paid_and_others_read_its_balance_in_between,
        beneficiary::it_sends_transactions_itself,
        beneficiary::it_spends_what_it_has_just_earned,
        creation::a_created_contract_is_called_by_others,
        creation::before_eip_161_one_fails_within_a_call_that_fails_where_the_fees_go,
        creation::one_fails_within_a_call_that_fails_where_the_fees_go,
        delegation::set_used_replaced_and_cleared_in_one_block,
        delegation::storage_of_an_account_that_could_not_have_any,
        journal::a_new_contract_is_called_and_then_read_from_elsewhere,
        journal::an_empty_account_with_storage_is_touched,
        journal::london_a_destroyed_contract_is_funded,
        keccak::gas_ends_at_a_hash,
        keccak::more_inputs_than_places,
        lifecycle::a_contract_of_the_state_before_is_destroyed_and_created_again,
        lifecycle::an_empty_account_that_is_only_touched_is_deleted,
        lifecycle::before_eip_161_a_touch_creates,
        lifecycle::old_slots_of_a_destroyed_contract_read_as_zero,
        overflow::a_reward_that_does_not_fit_is_dropped_and_a_smaller_one_still_fits,
        overflow::rewards_without_any_room_are_dropped,
        after_batches::what_comes_first_after_neighbours_reads_the_fees,
        after_batches::what_a_batch_reads_another_one_has_changed,
        after_batches::what_was_in_vain_is_not_seen_later,
        parents::what_a_block_does_not_change_stays_as_its_parent_left_it,
        parts::a_later_part_ends_first,
        parts::balances_of_parts_are_filled_in_later,
        parts::parts_without_room_are_not_committed,
        parts::what_a_part_reads_was_changed_before_it,
        parts::what_parts_have_deferred_is_seen_later,
        paid::a_contract_comes_about_between_payments,
        paid::one_gets_code_between_payments,
        paid::one_is_gone_between_payments,
        paid::payments_are_told_as_they_commit,
        paid::they_are_paid_in_every_way,
        paid::who_looks_sees_all_that_was_paid_below,
        payments::it_gets_code_and_owns_what_it_owned,
        payments::it_gets_code_between_payments,
        payments::it_is_paid_in_every_way_and_its_balance_is_not_read,
        payments::it_may_have_signed,
        payments::what_it_is_paid_does_not_fit,
        payments::who_looks_after_paying_sees_what_there_is,
        reads::one_hot_slot,
        system::what_follows_parts_finds_what_they_have_changed,
        turns::taking_turns,
        whole::very_many_slots_are_undone_by_another_worker,
        whole::workers_share_the_bundle_and_what_undoes_it,
    ];
    let mut tests = tests.into_iter().chain(of_lists()).chain(others());
    tests.find_map(|(known, test)| (known == name).then_some(test))
}

fn is_noticed_by(bug: Option<Bug>, test: fn()) -> bool {
    let _bug = seed(bug);
    catch_unwind(test).is_err()
}

#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn hand_made_blocks_notice_what_the_table_says() {
    let (mut rows, mut judged) = (0, 0);
    for (bug, killers) in evm_rows() {
        for killer in killers.iter().filter_map(|killer| killer.strip_prefix("hand-made ")) {
            rows += 1;
            if !is_chosen(&format!("{bug:?}")) {
                continue;
            }
            let test = named(killer.trim_matches('`'));
            let test = test.unwrap_or_else(|| panic!("{bug:?}: there is no {killer}"));
            assert!(is_noticed_by(Some(bug), test), "{bug:?} survived {killer}");
            assert!(!is_noticed_by(None, test), "{killer} fails without a bug");
            judged += 1;
        }
    }
    println!("{judged} of {rows}");
    assert!(rows >= 16, "only {rows} rows name a hand-made block");
}
