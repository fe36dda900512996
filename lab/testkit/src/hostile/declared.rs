//! Blocks whose transactions declare their accesses, and the checks of their results.

use super::generate::Case;
use super::spoil::Draw;
use crate::plain::{self, declared};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use braid_blocks::code::Code;
use braid_blocks::compare::braid::{ExpectedList, outputs_with_list};
use braid_blocks::memory::MemoryAccount;
use braid_blocks::sequential::{SequentialOutcome, SequentialOutput};
use braid_evm::{Block, BlockError, BlockOutput, Config};
use core::fmt::Display;
use revm::DatabaseRef;
use revm::bytecode::opcode;
use revm::context::{CfgEnv, TxEnv};
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A block whose transactions declare their accesses, with plain revm's results.
#[derive(Debug)]
pub struct Declared {
    /// The block.
    pub block: Arc<Block>,
    expected: SequentialOutput,
    left: Vec<declared::Left>,
}

impl Declared {
    /// Adds declarations to the transactions of `block`. `draw` spoils some of them; in an eighth
    /// of the blocks, no transaction declares anything.
    pub fn spoiled<D: DatabaseRef>(block: &Block, database: &D, draw: Draw<'_>) -> Self {
        let mut block = plain::bare(block);
        if draw(8) > 0 {
            block = declared::declare(&block, database);
            spoil(&mut block, draw);
        }
        Self::new(block, database)
    }

    /// Adds complete declarations to the transactions of `block`.
    pub fn honest<D: DatabaseRef>(block: &Block, database: &D) -> Self {
        Self::new(declared::declare(&plain::bare(block), database), database)
    }

    fn new<D: DatabaseRef>(mut block: Block, database: &D) -> Self {
        block.rules.declared_accesses = true;
        let (expected, left) = plain::build_declared(&block, database);
        Self { block: Arc::new(block), expected, left }
    }

    /// Returns plain revm's results.
    #[must_use]
    pub const fn expected(&self) -> &SequentialOutput {
        &self.expected
    }

    /// Returns the transactions that leave their declarations, and how.
    #[must_use]
    pub fn left(&self) -> &[declared::Left] {
        &self.left
    }

    /// Returns the number of skipped transactions.
    #[must_use]
    pub fn skipped(&self) -> usize {
        let outcomes = self.expected.outcomes.iter();
        outcomes.filter(|one| matches!(one, SequentialOutcome::Skipped(_))).count()
    }

    /// Compares the results of an executor with `config`.
    ///
    /// # Errors
    /// Returns a description of the difference.
    pub fn judge<E: Display>(
        &self,
        config: &Config,
        found: &Result<BlockOutput, BlockError<E>>,
    ) -> Result<(), String> {
        let found = found.as_ref().map_err(|error| format!("expected success, found {error}"))?;
        let list = if config.access_list { ExpectedList::Unknown } else { ExpectedList::Absent };
        let different = outputs_with_list(&self.expected, list, found);
        if !different.is_empty() {
            return Err(different.to_string());
        }
        let left: Vec<declared::Left> = found
            .undeclared
            .iter()
            .map(|(tx, how)| {
                (tx.position(), (how.location.address, how.location.slot), how.is_change)
            })
            .collect();
        if left != self.left {
            return Err(format!("{:?} have left what they declare, found {left:?}", self.left));
        }
        Ok(())
    }
}

/// Removes accesses from the declarations of `block`, or marks some as read-only.
fn spoil(block: &mut Block, draw: Draw<'_>) {
    for tx in &mut block.transactions {
        let items = &mut tx.access_list.0;
        if items.is_empty() || draw(3) > 0 {
            continue;
        }
        let at = draw(items.len());
        match draw(4) {
            0 => drop(items.remove(at)),
            1 => drop(items[at].storage_keys.pop()),
            2 => {
                items.push(AccessListItem { address: tx.caller, storage_keys: Vec::new() });
            }
            _ => tx.access_list = AccessList::default(),
        }
    }
}

/// Generates a block of calls that stay within their declarations once they have them
/// ([`Declared::honest`]) and leave the beneficiary alone: each reads some slots and changes one,
/// and a few pay. Some slots are read much more often than they change.
#[must_use]
pub fn honest(draw: Draw<'_>) -> Case {
    let forks = [SpecId::CANCUN, SpecId::BERLIN, SpecId::PRAGUE, SpecId::OSAKA];
    let spec = forks[draw(forks.len())];
    let (count, contracts) = (2 + draw(120), 1 + draw(3));
    let (slots, shared) = (1 + draw(40), draw(4));
    let changes_shared = 2 + draw(60);
    let pays = draw(2) > 0;
    let mut nonces = BTreeMap::<Address, u64>::new();
    let mut transactions = Vec::new();
    for number in 0..count {
        // Sometimes an earlier sender sends again.
        let sender = if draw(8) == 0 { draw(count) } else { number };
        let caller = Address::left_padding_from(&(0x10_000 + sender as u64).to_be_bytes());
        let nonce = nonces.entry(caller).or_default();
        let mut tx = TxEnv {
            caller,
            nonce: *nonce,
            gas_limit: 150_000,
            gas_price: 1,
            chain_id: Some(1),
            ..TxEnv::default()
        };
        *nonce += 1;
        if pays && draw(6) == 0 {
            (tx.kind, tx.value) = (TxKind::Call(payee(draw(3))), U256::from(1 + draw(3)));
        } else {
            tx.kind = TxKind::Call(contract(draw(contracts)));
            let changed =
                if draw(changes_shared) == 0 { draw(shared + 1) } else { 8 + draw(slots) };
            let mut words = vec![U256::from(changed)];
            words.extend((0..shared).filter(|_| draw(3) > 0).map(U256::from));
            if draw(8) == 0 {
                words.push(U256::from(8 + draw(slots)));
            }
            let words = words.into_iter().map(B256::from);
            tx.data = words.flat_map(|word| word.0).collect::<Vec<u8>>().into();
        }
        transactions.push(tx);
    }
    let rich = MemoryAccount { balance: U256::from(1) << 90, ..MemoryAccount::default() };
    let mut accounts: BTreeMap<_, _> = nonces.into_keys().map(|at| (at, rich.clone())).collect();
    // The recipients of fees must exist.
    accounts.extend((0..3).map(payee).chain([Address::ZERO]).map(|at| (at, rich.clone())));
    let adder = MemoryAccount { code: adder(), nonce: 1, ..MemoryAccount::default() };
    accounts.extend((0..contracts).map(|number| (contract(number), adder.clone())));
    let mut block = Block { transactions, ..Block::default() };
    block.cfg = CfgEnv::new_with_spec(spec);
    block.env.gas_limit = 1 << 40;
    Case { block, accounts }
}

const fn contract(number: usize) -> Address {
    Address::repeat_byte(0xc0 + number as u8)
}

const fn payee(number: usize) -> Address {
    Address::repeat_byte(0xe0 + number as u8)
}

/// Adds one, plus the slots that the further arguments name, to the slot that the first argument
/// names.
fn adder() -> Bytes {
    // The sum, and the position of the next argument.
    let mut code = Code::new().push(0).push(32);
    let next = code.len() as u64;
    code = code.op(opcode::JUMPDEST).op(opcode::DUP1).op(opcode::CALLDATASIZE).op(opcode::GT);
    code = code.if_nonzero(|code| {
        let code = code.op(opcode::DUP1).op(opcode::CALLDATALOAD).op(opcode::SLOAD);
        let code = code.op(opcode::SWAP1).op(opcode::SWAP2).op(opcode::ADD).op(opcode::SWAP1);
        code.push(32).op(opcode::ADD).push(next).op(opcode::JUMP)
    });
    let argument = |code: Code| code.push(0).op(opcode::CALLDATALOAD);
    code = argument(code.op(opcode::POP)).op(opcode::SLOAD).op(opcode::ADD);
    code = argument(code.push(1).op(opcode::ADD)).op(opcode::SSTORE);
    code.op(opcode::STOP).bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spoil::draws;

    #[test]
    fn honest_blocks_keep_to_what_they_declare() {
        let (mut all, mut reads) = (0, 0);
        for seed in 0..20 {
            let case = honest(&mut draws(seed));
            let declared = Declared::honest(&case.block, &case.database());
            assert!(declared.left().is_empty() && declared.skipped() == 0, "seed {seed}");
            let receipts = &declared.expected().receipts;
            assert!(receipts.iter().all(|receipt| receipt.success), "seed {seed}");
            all += receipts.len();
            let items = declared.block.transactions.iter().map(|tx| tx.access_list.0.len());
            reads += items.filter(|items| *items > 1).count();
        }
        // Many transactions declare reads.
        assert!(all > 500 && reads > all / 4, "{all} transactions, {reads} with reads");
    }
}
