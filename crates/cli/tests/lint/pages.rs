//! The commands of docs/LINT.md.

use crate::documented::executed;

#[test]
fn the_commands_of_the_page_print_what_it_says() {
    assert!(executed("LINT.md") >= 2);
}
