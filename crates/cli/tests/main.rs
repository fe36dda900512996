//! The tool from outside and its parts, in one program: each program links revm again.

mod access_lists;
mod anvil;
mod attacks;
mod bench;
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
mod commands;
#[cfg(unix)]
mod container;
mod contention;
#[cfg(unix)]
mod documented;
mod errors;
mod explain;
mod fetch;
mod hostile;
mod invoke;
mod lint;
mod metrics;
mod odd;
mod one_check;
mod oracle;
mod output;
#[cfg(unix)]
mod paths;
#[cfg(unix)]
mod private_chain;
mod prometheus;
mod report;
#[cfg(unix)]
mod rpc;
mod shards;
mod shell;
mod sim;
mod state_roots;
mod suite_ends;
mod suite_formats;
mod suite_lists;
mod suites;
mod support;
mod survey;
mod sustain;
mod t8n;
mod top;
mod trace;
#[cfg(unix)]
mod tutorials;
