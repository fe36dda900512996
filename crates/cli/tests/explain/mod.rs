//! `braid explain`: its explanation of a block equals arithmetic by hand and the findings of a
//! second recorder.
//!
//! 1. `bounds`: chains, late reads and list schedules of graphs that fit on a sheet of paper.
//! 2. `by_hand`: blocks with a counter, transfers, one sender; bounds in gas, computed from the gas
//!    table.
//! 3. `opcodes`: the same chains and conflicts on real blocks as found by an inspector that follows
//!    each instruction.
//! 4. `in_the_way`: the reported conflicts, with the cost of each and the prediction without it,
//!    computed by hand.
//! 5. `decoded`: the meaning of slots, from the hashes and logs of a few transactions.
//! 6. `page`: the commands of docs/EXPLAIN.md print what the page shows.
//! 7. `tool`: the tool's output, as text and as JSON.
//! 8. `compare`: two blocks, or a block and an earlier output for it, side by side.

mod bounds;
pub(crate) mod by_hand;
mod compare;
mod decoded;
mod in_the_way;
mod index;
mod opcodes;
#[cfg(unix)]
mod page;
mod tool;
mod what_if;
