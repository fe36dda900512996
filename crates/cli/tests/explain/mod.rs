//! `braid explain`: what it says of a block is what arithmetic by hand, and a second recorder, say.
//!
//! 1. `bounds`: chains, late reads and list schedules of graphs that fit on a sheet of paper.
//! 2. `by_hand`: blocks with a counter, transfers, one sender: bounds in gas, computed from the gas table.
//! 3. `opcodes`: the same chains and places on real blocks as an inspector that follows each instruction finds.
//! 4. `in_the_way`: the places that are named, with what each one costs and what would be without it, by hand.
//! 5. `decoded`: what a slot is, from the hashes and logs of a few transactions.
//! 6. `page`: the commands of docs/EXPLAIN.md print what the page says.
//! 7. `tool`: what the tool prints, in words and as JSON.
//! 8. `compare`: two blocks, or a block and what was printed of it, side by side.

mod bounds;
mod by_hand;
mod compare;
mod decoded;
mod in_the_way;
mod index;
mod opcodes;
#[cfg(unix)]
mod page;
mod tool;
mod what_if;
