//! Renders the table of docs/TESTING.md that says which check covers which path through the
//! executor. Every name in the data must exist, and no cell may be empty.

use crate::pages::is_on_page;
use crate::root;

const PAGE: &str = "docs/TESTING.md";

/// A file, and the names meant in it: test functions, model suites, checking functions.
type Place = (&'static str, &'static [&'static str]);

/// A path through the executor, and the places that cover it, by check.
struct Row {
    path: &'static str,
    cells: [&'static [Place]; CHECKS.len()],
}

const CHECKS: [&str; 6] = [
    "models",
    "loom",
    "traces",
    "simulation",
    "exact check in debug builds",
    "hand-made, random and real blocks",
];

const SUITES: &str = "models/src/suites.rs";
const PRIVATE_SUITES: &str = "models/src/private_suites.rs";
const LOOM: &str = "src/worker/loom_tests.rs";
const LOOM_BATCHES: &str = "src/worker/loom_batches.rs";
const TRACES: &str = "models/tests/trace.rs";
const BATCHES: Place =
    ("models/tests/batches.rs", &["private_batches_equal_the_reference_and_their_traces_conform"]);
const BATCHES_ON_THREADS: Place =
    ("models/tests/batches.rs", &["traces_of_batches_on_threads_conform"]);
const TOLD: Place =
    ("models/tests/listed.rs", &["listed_batches_equal_the_reference_and_their_traces_conform"]);
const ROUNDS: Place =
    ("models/tests/rounds.rs", &["blocks_in_rounds_equal_the_reference_and_their_traces_conform"]);
const SIMULATED: Place =
    ("tests/simulation.rs", &["random_blocks_under_random_schedules_equal_the_reference"]);
const WHOLE_SIMULATED: Place = (
    "tests/simulated_blocks.rs",
    &["whole_blocks_under_random_schedules_equal_sequential_execution"],
);
const LISTS_SIMULATED: Place = (
    "tests/simulated_blocks.rs",
    &["blocks_with_lists_under_random_schedules_equal_sequential_execution"],
);
const DECLARED_SIMULATED: Place = (
    "tests/simulated_blocks.rs",
    &["declared_blocks_under_random_schedules_equal_sequential_execution"],
);
const PUBLISHED_EXACT: Place = ("src/mv/check.rs", &["would_hold"]);
const PRIVATE_EXACT: Place = ("src/mv/conflicts.rs", &["allows"]);
const RANDOM: Place = ("tests/random_blocks.rs", &["random_blocks_equal_sequential_execution"]);
const REAL: Place = ("tests/real_blocks.rs", &["the_automatic_policy_equals_sequential_execution"]);

const ROWS: [Row; 7] = [
    Row {
        path: "speculation: writes are published, and other transactions read them before they commit",
        cells: [
            &[(SUITES, &["patterns", "faults", "chunks", "hints", "credits", "foresight"])],
            &[(LOOM, &["loom_block_with_a_conflict_ends_as_in_order"])],
            &[(
                TRACES,
                &["traces_of_simulated_blocks_conform", "traces_of_blocks_on_threads_conform"],
            )],
            &[SIMULATED],
            &[PUBLISHED_EXACT],
            &[RANDOM, ("tests/real_blocks.rs", &["speculation_equals_sequential_execution"])],
        ],
    },
    Row {
        path: "helping: the caller also runs the frontier, or its batch, because its worker seems \
               preempted",
        cells: [
            &[(SUITES, &["suspended", "suspended in chunks", "suspended beside batches"])],
            &[
                (LOOM, &["loom_frontier_that_two_workers_run_is_committed_once"]),
                (LOOM_BATCHES, &["loom_batch_is_run_by_two_and_reported_once"]),
            ],
            &[(TRACES, &["traces_of_simulated_blocks_conform"]), BATCHES],
            &[(
                "tests/busy_machine.rs",
                &[
                    "a_worker_that_is_suspended_within_a_run_holds_no_block_up",
                    "a_worker_that_is_suspended_within_a_private_batch_holds_no_block_up",
                ],
            )],
            &[PUBLISHED_EXACT],
            &[(
                "src/evm/exec/second_tests.rs",
                &["loops_of_a_run_beside_another_one_end_once_the_frontier_has_moved_on"],
            )],
        ],
    },
    Row {
        path: "private batches",
        cells: [
            &[(PRIVATE_SUITES, &["batches", "batches with faults", "batches in groups"])],
            &[(
                LOOM_BATCHES,
                &[
                    "loom_batches_with_a_conflict_end_as_in_order",
                    "loom_batches_that_do_not_meet_commit_what_ran_ahead",
                ],
            )],
            &[BATCHES, BATCHES_ON_THREADS],
            &[BATCHES, WHOLE_SIMULATED, DECLARED_SIMULATED],
            &[PRIVATE_EXACT],
            &[
                ("tests/equivalence/parts.rs", &["what_a_part_reads_was_changed_before_it"]),
                (
                    "tests/equivalence/after_batches.rs",
                    &["what_a_batch_reads_another_one_has_changed"],
                ),
                RANDOM,
                ("tests/random_blocks.rs", &["declared_blocks_equal_sequential_execution"]),
                REAL,
            ],
        ],
    },
    Row {
        path: "private batches whose members have no result; full blocks, cancellation",
        cells: [
            &[(PRIVATE_SUITES, &["batches, cancelled", "batches, tight", "batches with faults"])],
            &[(
                LOOM_BATCHES,
                &[
                    "loom_batch_ends_while_the_block_halts",
                    "loom_batch_ends_while_the_block_is_cancelled",
                ],
            )],
            &[BATCHES],
            &[BATCHES],
            &[PUBLISHED_EXACT, PRIVATE_EXACT],
            &[("tests/equivalence/parts.rs", &["parts_without_room_are_not_committed"])],
        ],
    },
    Row {
        path: "a segment that ends because the rest of a private batch must not commit",
        cells: [
            &[(PRIVATE_SUITES, &["batches"])],
            &[(LOOM_BATCHES, &["loom_batches_with_a_conflict_end_as_in_order"])],
            &[ROUNDS],
            &[ROUNDS, WHOLE_SIMULATED],
            &[PUBLISHED_EXACT, PRIVATE_EXACT],
            &[(
                "tests/equivalence/parts.rs",
                &[
                    "blocks_that_meet_early_and_late",
                    "a_bundle_thread_goes_on_where_parts_have_ended",
                ],
            )],
        ],
    },
    Row {
        path: "private batches that read the block's access list (`Block::access_list`)",
        cells: [
            &[(PRIVATE_SUITES, &["batches that read a list"])],
            &[(
                "src/worker/loom_list.rs",
                &[
                    "loom_listed_batches_commit_what_ran_ahead",
                    "loom_the_first_that_differs_ends_the_block",
                    "loom_listed_batch_is_run_by_two",
                ],
            )],
            &[TOLD, ("models/tests/listed.rs", &["traces_of_listed_batches_on_threads_conform"])],
            &[TOLD, LISTS_SIMULATED],
            &[PRIVATE_EXACT],
            &[
                (
                    "tests/equivalence/access_lists/given.rs",
                    &["transactions_run_on_what_the_list_says"],
                ),
                ("tests/hostile_lists.rs", &["a_wrong_list_never_changes_a_result"]),
                RANDOM,
            ],
        ],
    },
    Row {
        path: "from one segment to the next (`Plan::first`), and the fall-back from speculation \
               (`Limits::fallback`)",
        cells: [
            &[(PRIVATE_SUITES, &["rounds", "batches, tight"]), (SUITES, &["tight limits"])],
            &[(LOOM_BATCHES, &["loom_batches_with_a_conflict_end_as_in_order"])],
            &[ROUNDS],
            &[ROUNDS, WHOLE_SIMULATED],
            &[PUBLISHED_EXACT, PRIVATE_EXACT],
            &[("tests/equivalence/turns.rs", &["taking_turns"])],
        ],
    },
];

/// Returns whether `text` defines `name`: a function, or a suite of the models.
fn defines(text: &str, name: &str) -> bool {
    let function = |begin: &str| text.contains(&format!("fn {name}{begin}"));
    function("(") || function("<") || text.contains(&format!("name: \"{name}\""))
}

#[test]
fn the_page_says_which_check_sees_which_path() {
    let mut table = format!("| path | {} |\n|{}\n", CHECKS.join(" | "), "---|".repeat(7));
    for Row { path, cells } in ROWS {
        table.push_str(&format!("| {path} |"));
        for (check, cell) in CHECKS.iter().zip(cells) {
            assert!(!cell.is_empty(), "{path}: no {check}");
            let place = |(file, names): &Place| {
                let text = std::fs::read_to_string(root().join(file));
                let text = text.unwrap_or_else(|why| panic!("{file}: {why}"));
                for name in *names {
                    assert!(defines(&text, name), "{file} has no {name}");
                }
                format!("`{file}`: {}", names.join(", "))
            };
            let places: Vec<String> = cell.iter().map(place).collect();
            table.push_str(&format!(" {} |", places.join("; ")));
        }
        table.push('\n');
    }
    is_on_page(PAGE, "matrix", &table);
}

#[test]
fn a_name_that_is_gone_is_found() {
    let text = "fn one() {}\nfn two<T>() {}\nSuite { name: \"three\", scenarios }";
    for name in ["one", "two", "three"] {
        assert!(defines(text, name), "{name}");
    }
    for name in ["on", "ne", "four", "thre"] {
        assert!(!defines(text, name), "{name}");
    }
}
