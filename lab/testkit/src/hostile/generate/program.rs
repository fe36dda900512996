//! Random contracts.

use super::Features;
use super::cast::{Cast, SALTS};
use super::draw::Draw;
use alloy_primitives::Bytes;
use braid_blocks::code::Code;
use revm::bytecode::opcode as op;
use revm::primitives::hardfork::SpecId;

/// Bound of the values written to slots, small so that branches are taken.
const VALUES: u64 = 7;
/// Number of slots of a contract.
const SLOTS: u64 = 4;

/// Draws the code of one contract.
struct Program<'a, 'b, 'c> {
    draw: &'c mut Draw<'a, 'b>,
    spec: SpecId,
    cast: &'c Cast,
    features: Features,
}

/// Draws the code of a contract.
pub(super) fn draw(draw: &mut Draw<'_, '_>, spec: SpecId, cast: &Cast, features: Features) -> Code {
    Program { draw, spec, cast, features }.statements(Code::new(), 2)
}

/// Draws code that creates a contract, or fails to.
pub(super) fn init_code(
    draw: &mut Draw<'_, '_>,
    spec: SpecId,
    cast: &Cast,
    features: Features,
) -> Bytes {
    let mut program = Program { draw, spec, cast, features };
    let constructor = program.statements(Code::new(), 1);
    match program.draw.below(6) {
        0 => constructor.selfdestruct(program.cast.any_account(program.draw)).bytes(),
        1 => constructor.op(op::STOP).bytes(),
        _ => {
            let runtime = program.statements(Code::new(), 2).bytes();
            constructor.deploying(&runtime)
        }
    }
}

impl Program<'_, '_, '_> {
    fn since(&self, fork: SpecId) -> bool {
        self.spec.is_enabled_in(fork)
    }

    fn statements(&mut self, mut code: Code, depth: u32) -> Code {
        for _ in 0..1 + self.draw.below(4) {
            code = self.statement(code, depth);
        }
        code
    }

    fn statement(&mut self, code: Code, depth: u32) -> Code {
        match self.draw.below(16) {
            0..=3 => {
                let code = self.value(code, 2);
                let code = self.value(code, 1);
                small(code, SLOTS).op(op::SSTORE)
            }
            4 | 5 => code.increment(self.draw.below(SLOTS), 1),
            6..=8 if depth > 0 => {
                let code = self.value(code, 2);
                code.if_nonzero(|code| self.statements(code, depth - 1))
            }
            9..=11 => self.call(code),
            12 if self.features.creations => self.create(code),
            13 if self.features.destructions => code.selfdestruct(self.cast.any_account(self.draw)),
            14 => self.value(code, 1).log_top(self.draw.below(3)),
            15 => self.rare(code),
            _ => self.value(code, 2).sstore_top(self.draw.below(SLOTS)),
        }
    }

    /// Adds rare operations: ends, and transient storage.
    fn rare(&mut self, code: Code) -> Code {
        match self.draw.below(6) {
            0 => code.op(op::STOP),
            1 if self.since(SpecId::BYZANTIUM) => code.revert(),
            2 => code.op(op::INVALID),
            3 => self.value(code, 1).return_top(),
            _ if self.since(SpecId::CANCUN) => {
                let code = self.value(code, 1).push(self.draw.below(2)).op(op::TSTORE);
                code.push(self.draw.below(2)).op(op::TLOAD).sstore_top(self.draw.below(SLOTS))
            }
            _ => code.increment(0, 2),
        }
    }

    fn call(&mut self, code: Code) -> Code {
        let to = self.cast.any_account(self.draw);
        let gas = self.draw.pick(&[50_000, 5_000, 200_000]);
        let kinds: &[u8] = match self.spec {
            _ if self.since(SpecId::BYZANTIUM) => {
                &[op::CALL, op::CALL, op::CALL, op::DELEGATECALL, op::STATICCALL, op::CALLCODE]
            }
            _ if self.since(SpecId::HOMESTEAD) => &[op::CALL, op::CALL, op::DELEGATECALL],
            _ => &[op::CALL, op::CALL, op::CALLCODE],
        };
        let code = match self.draw.pick(kinds) {
            op::CALL => code.call(to, self.draw.pick(&[0, 0, 1, 500]), gas),
            op::CALLCODE => {
                let code = code.push(0).push(0).push(0).push(0).push(self.draw.below(2));
                code.address(to).push(gas).op(op::CALLCODE)
            }
            kind => code.call_by(kind, to, gas),
        };
        self.keep_or_drop(code)
    }

    fn create(&mut self, code: Code) -> Code {
        // While the init codes themselves are drawn, there are none yet.
        let init = match &self.cast.inits[..] {
            [] => Bytes::from_static(&[0x00]),
            inits => self.draw.pick(inits),
        };
        let value = self.draw.pick(&[0, 0, 3]);
        let code = if self.since(SpecId::PETERSBURG) && self.draw.percent(70) {
            code.create2(&init, value, self.draw.below(SALTS))
        } else {
            code.create(&init, value)
        };
        self.keep_or_drop(code)
    }

    fn keep_or_drop(&mut self, code: Code) -> Code {
        if self.draw.percent(50) {
            code.sstore_top(self.draw.below(SLOTS))
        } else {
            code.op(op::POP)
        }
    }

    /// Pushes one word: a number, or a value that the contract can read.
    fn value(&mut self, code: Code, depth: u32) -> Code {
        match self.draw.below(16) {
            0 | 1 => code.push(self.draw.below(VALUES)),
            2..=5 => code.sload(self.draw.below(SLOTS)),
            6 => small(code.balance(self.cast.any_account(self.draw)), VALUES),
            7 => small(code.op(op::COINBASE).op(op::BALANCE), VALUES),
            8 => small(code.push(0).op(op::CALLDATALOAD), VALUES),
            9 => small(code.address(self.cast.any_account(self.draw)).op(op::EXTCODESIZE), VALUES),
            10 if self.since(SpecId::PETERSBURG) => {
                small(code.address(self.cast.any_account(self.draw)).op(op::EXTCODEHASH), VALUES)
            }
            11 => self.environment(code),
            12..=14 if depth > 0 => {
                let code = self.value(code, depth - 1);
                let code = self.value(code, depth - 1);
                let operation = self.draw.pick(&[op::ADD, op::XOR, op::EQ, op::LT, op::SUB]);
                small(code.op(operation), VALUES)
            }
            _ => code.op(op::CALLVALUE),
        }
    }

    fn environment(&mut self, code: Code) -> Code {
        let word = match self.draw.below(8) {
            0 => op::CALLER,
            1 => op::ORIGIN,
            2 => op::GASPRICE,
            3 => op::CALLDATASIZE,
            4 if self.since(SpecId::ISTANBUL) => op::SELFBALANCE,
            5 if self.since(SpecId::LONDON) => op::BASEFEE,
            6 => {
                let code = code.push(1).op(op::NUMBER).op(op::SUB).op(op::BLOCKHASH);
                return small(code, VALUES);
            }
            7 => {
                let code = code.op(op::ADDRESS).push(0).op(op::MSTORE);
                return small(code.push(64).push(0).op(op::KECCAK256), VALUES);
            }
            _ => op::ADDRESS,
        };
        small(code.op(word), VALUES)
    }
}

/// Reduces the top of the stack modulo `end`.
fn small(code: Code, end: u64) -> Code {
    code.push(end).op(op::SWAP1).op(op::MOD)
}
