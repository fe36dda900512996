//! A small assembler for test contracts.

use alloy_primitives::{Address, Bytes, U256};
use revm::bytecode::opcode;

/// EVM code under construction. Jump targets are absolute positions in this code, so a piece with
/// jumps is built in place ([`Code::if_nonzero`]) and cannot be pasted in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code(Vec<u8>);

impl Code {
    /// Creates empty code.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the code.
    #[must_use]
    pub fn bytes(self) -> Bytes {
        self.0.into()
    }

    /// Returns the number of bytes so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the code is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one opcode.
    #[must_use]
    pub fn op(mut self, opcode: u8) -> Self {
        self.0.push(opcode);
        self
    }

    /// Pushes a number with the shortest opcode of every fork (so never `PUSH0`).
    #[must_use]
    pub fn push(mut self, number: impl TryInto<U256>) -> Self {
        let number = number.try_into().unwrap_or_default();
        let bytes = number.to_be_bytes_trimmed_vec();
        let bytes = if bytes.is_empty() { vec![0] } else { bytes };
        self.0.push(opcode::PUSH1 + (bytes.len() - 1) as u8);
        self.0.extend(bytes);
        self
    }

    /// Pushes an address.
    #[must_use]
    pub fn address(mut self, address: Address) -> Self {
        self.0.push(opcode::PUSH20);
        self.0.extend(address.as_slice());
        self
    }

    /// Pops a value and, if it is not zero, runs the code that `then` adds.
    #[must_use]
    pub fn if_nonzero(mut self, then: impl FnOnce(Self) -> Self) -> Self {
        self = self.op(opcode::ISZERO).op(opcode::PUSH2);
        let target_at = self.0.len();
        self.0.extend([0, 0]);
        let mut code = then(self.op(opcode::JUMPI));
        let target = code.0.len() as u16;
        code.0[target_at..target_at + 2].copy_from_slice(&target.to_be_bytes());
        code.op(opcode::JUMPDEST)
    }

    /// Stores `value` in `slot`.
    #[must_use]
    pub fn sstore(self, slot: u64, value: u64) -> Self {
        self.push(value).push(slot).op(opcode::SSTORE)
    }

    /// Pops a value and stores it in `slot`.
    #[must_use]
    pub fn sstore_top(self, slot: u64) -> Self {
        self.push(slot).op(opcode::SSTORE)
    }

    /// Pushes the content of `slot`.
    #[must_use]
    pub fn sload(self, slot: u64) -> Self {
        self.push(slot).op(opcode::SLOAD)
    }

    /// Adds `amount` to `slot`.
    #[must_use]
    pub fn increment(self, slot: u64, amount: u64) -> Self {
        self.sload(slot).push(amount).op(opcode::ADD).sstore_top(slot)
    }

    /// Pushes the balance of `address`.
    #[must_use]
    pub fn balance(self, address: Address) -> Self {
        self.address(address).op(opcode::BALANCE)
    }

    /// Calls `to` with `value` wei, `gas` gas and no data; pushes whether the call succeeded.
    #[must_use]
    pub fn call(self, to: Address, value: u64, gas: u64) -> Self {
        let code = self.push(0).push(0).push(0).push(0).push(value);
        code.address(to).push(gas).op(opcode::CALL)
    }

    /// Same without value, by `DELEGATECALL` or `STATICCALL`.
    #[must_use]
    pub fn call_by(self, opcode: u8, to: Address, gas: u64) -> Self {
        self.push(0).push(0).push(0).push(0).address(to).push(gas).op(opcode)
    }

    /// Writes `data` to memory from 0 on.
    #[must_use]
    pub fn memory(mut self, data: &[u8]) -> Self {
        for (index, chunk) in data.chunks(32).enumerate() {
            let mut word = [0; 32];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0.push(opcode::PUSH32);
            self.0.extend(word);
            self = self.push(32 * index).op(opcode::MSTORE);
        }
        self
    }

    /// Creates a contract with `value` wei by running `init`; pushes its address, or 0.
    #[must_use]
    pub fn create(self, init: &[u8], value: u64) -> Self {
        self.memory(init).push(init.len()).push(0).push(value).op(opcode::CREATE)
    }

    /// Same by `CREATE2` with `salt`.
    #[must_use]
    pub fn create2(self, init: &[u8], value: u64, salt: u64) -> Self {
        let code = self.memory(init).push(salt).push(init.len()).push(0);
        code.push(value).op(opcode::CREATE2)
    }

    /// Destroys the contract and sends its balance to `heir`.
    #[must_use]
    pub fn selfdestruct(self, heir: Address) -> Self {
        self.address(heir).op(opcode::SELFDESTRUCT)
    }

    /// Pops a value and returns it as a word.
    #[must_use]
    pub fn return_top(self) -> Self {
        self.push(0).op(opcode::MSTORE).push(32).push(0).op(opcode::RETURN)
    }

    /// Pops a value and logs it, with one topic.
    #[must_use]
    pub fn log_top(self, topic: u64) -> Self {
        self.push(0).op(opcode::MSTORE).push(topic).push(32).push(0).op(opcode::LOG1)
    }

    /// Reverts without data.
    #[must_use]
    pub fn revert(self) -> Self {
        self.push(0).push(0).op(opcode::REVERT)
    }

    /// Returns init code that runs this code and then deploys `runtime`.
    #[must_use]
    pub fn deploying(self, runtime: &[u8]) -> Bytes {
        // The code added below takes 15 bytes.
        let start = self.0.len() + 15;
        let code = self.push2(runtime.len()).push2(start).push(0).op(opcode::CODECOPY);
        let mut code = code.push2(runtime.len()).push(0).op(opcode::RETURN);
        code.0.extend(runtime);
        code.bytes()
    }

    fn push2(mut self, number: usize) -> Self {
        self.0.push(opcode::PUSH2);
        self.0.extend((number as u16).to_be_bytes());
        self
    }
}

/// Returns init code that only deploys `runtime`.
#[must_use]
pub fn deploying(runtime: Code) -> Bytes {
    Code::new().deploying(&runtime.bytes())
}
