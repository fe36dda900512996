//! Logs of simulated calls, with transfers of ether among them.

use alloy_primitives::{Address, B256, Log, U256, address, b256};
use revm::{
    Inspector,
    context::{ContextTr, JournalTr},
    interpreter::{CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome},
};

/// Emitter of the logs that stand for transfers (ERC-7528).
const ETHER: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// First topic of such a log: that of `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// A log, with its index in the block.
pub(super) type Indexed = (u64, Log);

/// Collects the logs of calls that have not failed. As in geth, logs of failed ones count in the
/// indices of later logs.
#[derive(Debug, Default)]
pub(super) struct Logs {
    transfers: bool,
    /// Logs of each open frame.
    frames: Vec<Vec<Indexed>>,
    done: Vec<Indexed>,
    next: u64,
}

impl Logs {
    pub(super) fn new(transfers: bool) -> Self {
        Self { transfers, ..Self::default() }
    }

    /// Takes the logs of the last transaction.
    pub(super) fn take(&mut self) -> Vec<Indexed> {
        self.frames.clear();
        std::mem::take(&mut self.done)
    }

    fn add(&mut self, log: Log) {
        let indexed = (self.next, log);
        self.next = self.next.saturating_add(1);
        self.frames.last_mut().unwrap_or(&mut self.done).push(indexed);
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if self.transfers && !value.is_zero() {
            let topics = vec![TRANSFER, from.into_word(), to.into_word()];
            let data = value.to_be_bytes::<32>().into();
            self.add(Log::new_unchecked(ETHER, topics, data));
        }
    }

    fn end(&mut self, is_ok: bool) {
        let logs = self.frames.pop().unwrap_or_default();
        if is_ok {
            self.frames.last_mut().unwrap_or(&mut self.done).extend(logs);
        }
    }
}

impl<CTX: ContextTr> Inspector<CTX> for Logs {
    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.frames.push(Vec::new());
        if matches!(inputs.scheme, CallScheme::Call | CallScheme::StaticCall) {
            let value = inputs.transfer_value().unwrap_or_default();
            self.transfer(inputs.caller, inputs.target_address, value);
        }
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, outcome: &mut CallOutcome) {
        self.end(outcome.result.is_ok());
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.frames.push(Vec::new());
        let caller = context.journal_mut().load_account(inputs.caller());
        let nonce = caller.map_or(0, |account| account.data.info.nonce);
        let created = inputs.created_address(nonce);
        self.transfer(inputs.caller(), created, inputs.value());
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.end(outcome.result.is_ok());
    }

    fn log(&mut self, _: &mut CTX, log: Log) {
        self.add(log);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }
}
