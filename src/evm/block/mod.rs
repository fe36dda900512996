//! Block-level processing: gas accounting, receipts, system calls, requests, and the output.

pub(super) mod commit;
pub(super) mod committed;
pub(super) mod error;
pub(super) mod gas;
pub(super) mod output;
pub(super) mod receipts;
pub(super) mod replay;
pub(super) mod replay_evm;
pub(super) mod replays;
pub(super) mod requests;
pub(super) mod system;
