//! Tests of `braid-node` as a child process, and of its parts, in one program: each program links
//! revm again.

mod chain;
#[cfg(unix)]
mod chain_faults;
#[cfg(unix)]
mod chain_folder;
mod chain_genesis;
#[cfg(target_os = "linux")]
mod chain_interrupt;
mod chain_state;
mod chain_words;
#[cfg(unix)]
mod container;
mod errors;
#[path = "../../cli/tests/support/help.rs"]
mod help;
mod metrics;
mod output;
#[cfg(unix)]
mod private_chain;
mod prometheus;
#[cfg(unix)]
mod rpc;
mod shell;
#[path = "../../cli/tests/support/mod.rs"]
mod support;
mod top;
