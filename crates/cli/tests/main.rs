//! Tests of the tool as a child process, and of its parts, in one program: each program links revm
//! again.

mod access_lists;
mod anvil;
mod attacks;
mod bench;
mod commands;
mod contention;
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
mod odd;
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
mod sustain;
mod trace;
#[cfg(unix)]
mod tutorials;
