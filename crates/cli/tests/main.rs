//! Tests of the tool as a child process, and of its parts, in one program: each program links revm
//! again.

mod access_lists;
mod anvil;
mod bench;
mod commands;
#[cfg(unix)]
mod documented;
mod errors;
mod explain;
mod fetch;
#[path = "support/help.rs"]
mod help;
mod hostile;
mod invoke;
mod lint;
mod one_check;
mod oracle;
mod output;
#[cfg(unix)]
mod paths;
mod report;
mod shell;
mod state_roots;
mod support;
mod survey;
mod trace;
#[cfg(unix)]
mod tutorials;
