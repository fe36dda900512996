//! Instructions that differ from revm's. An instruction that may read a balance announces the read
//! first. KECCAK256 caches the hashes of short inputs. If a run may become useless (a helper run, a
//! run on an access list, a long speculative run), jumps check for that and abort it.

use super::context::EvmContext;
use super::keccak::MAX_INPUT_BYTES;
use super::stopped::ViewStopped;
use alloy_primitives::{Address, U256};
use revm::DatabaseRef;
use revm::bytecode::opcode::{
    BALANCE, CALL, CALLCODE, CALLDATACOPY, CODECOPY, CREATE, CREATE2, DELEGATECALL, EXP,
    EXTCODECOPY, JUMP, JUMPI, KECCAK256, MCOPY, RETURNDATACOPY, SELFBALANCE, SELFDESTRUCT,
    STATICCALL,
};
use revm::context_interface::JournalTr;
use revm::context_interface::context::ContextError;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::instructions::{arithmetic, contract, control, host, memory, system};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::{InputsTr, MemoryTr};
use revm::interpreter::{
    Host, Instruction, InstructionContext, InstructionExecResult, InstructionResult,
};

type Call<'c, 'a, D> = InstructionContext<'c, EvmContext<'a, D>, EthInterpreter>;

/// Replaces the instructions that may read balances by ones that announce the read.
pub(super) fn with_announced_reads<'a, D: DatabaseRef>(
    mut instructions: EthInstructions<EthInterpreter, EvmContext<'a, D>>,
) -> EthInstructions<EthInterpreter, EvmContext<'a, D>> {
    let table = instructions.instruction_table_mut();
    for (opcode, instruction) in [
        (BALANCE, Instruction::new(balance)),
        (SELFBALANCE, Instruction::new(self_balance)),
        (CALL, Instruction::new(call::<CALL, _>)),
        (CALLCODE, Instruction::new(call::<CALLCODE, _>)),
        (CREATE, Instruction::new(create::<false, _>)),
        (CREATE2, Instruction::new(create::<true, _>)),
        (SELFDESTRUCT, Instruction::new(self_destruct)),
    ] {
        if let Some(entry) = table.get_mut(usize::from(opcode)) {
            *entry = instruction;
        }
    }
    instructions
}

/// The `n`-th word of the stack from the top. A missing word reads as zero; the instruction itself
/// will fail.
fn word<D: DatabaseRef>(context: &Call<'_, '_, D>, n: usize) -> U256 {
    let stack = context.interpreter.stack.data();
    stack.iter().nth_back(n).copied().unwrap_or_default()
}

fn address<D: DatabaseRef>(context: &Call<'_, '_, D>, n: usize) -> Address {
    Address::from_word(word(context, n).into())
}

/// Announces that the instruction reads the balance of `address`. Aborts the run if the view has
/// stopped.
fn announce_read<D: DatabaseRef>(
    context: &mut Call<'_, '_, D>,
    address: Address,
) -> InstructionExecResult {
    let view = context.host.journaled_state.db_mut();
    view.mark_balance_read(address);
    if view.inner.has_stopped() { abort_run(context) } else { Ok(()) }
}

/// Same, for the recipient of a value transfer.
fn announce_payment<D: DatabaseRef>(
    context: &mut Call<'_, '_, D>,
    to: Address,
    amount: U256,
) -> InstructionExecResult {
    let view = context.host.journaled_state.db_mut();
    view.announce_payment(to, amount);
    if view.inner.has_stopped() { abort_run(context) } else { Ok(()) }
}

fn announce_own_read<D: DatabaseRef>(context: &mut Call<'_, '_, D>) -> InstructionExecResult {
    let own = context.interpreter.input.target_address();
    announce_read(context, own)
}

/// Aborts the run.
fn abort_run<D: DatabaseRef>(context: &mut Call<'_, '_, D>) -> InstructionExecResult {
    // revm expects a failed read behind a fatal error and panics without one.
    context.host.error = Err(ContextError::Db(ViewStopped));
    Err(InstructionResult::FatalExternalError)
}

fn balance<D: DatabaseRef>(mut context: Call<'_, '_, D>) -> InstructionExecResult {
    let of = address(&context, 0);
    announce_read(&mut context, of)?;
    host::balance(context)
}

fn self_balance<D: DatabaseRef>(mut context: Call<'_, '_, D>) -> InstructionExecResult {
    announce_own_read(&mut context)?;
    host::selfbalance(context)
}

fn call<const KIND: u8, D: DatabaseRef>(mut context: Call<'_, '_, D>) -> InstructionExecResult {
    let amount = word(&context, 2);
    if !amount.is_zero() {
        let to = address(&context, 1);
        announce_own_read(&mut context)?;
        announce_payment(&mut context, to, amount)?;
    }
    contract::call::<KIND, _, _>(context)
}

fn create<const IS_CREATE2: bool, D: DatabaseRef>(
    mut context: Call<'_, '_, D>,
) -> InstructionExecResult {
    if !word(&context, 0).is_zero() {
        announce_own_read(&mut context)?;
    }
    contract::create::<IS_CREATE2, _, _>(context)
}

fn self_destruct<D: DatabaseRef>(mut context: Call<'_, '_, D>) -> InstructionExecResult {
    let to = address(&context, 0);
    announce_own_read(&mut context)?;
    let own = context.interpreter.input.target_address();
    let own = context.host.journaled_state.evm_state().get(&own);
    let amount = own.map_or(U256::ZERO, |own| own.info.balance);
    announce_payment(&mut context, to, amount)?;
    host::selfdestruct(context)
}

/// Replaces KECCAK256 by one with a cache.
pub(super) fn with_keccak_cache<'a, D: DatabaseRef>(
    mut instructions: EthInstructions<EthInterpreter, EvmContext<'a, D>>,
) -> EthInstructions<EthInterpreter, EvmContext<'a, D>> {
    let table = instructions.instruction_table_mut();
    if let Some(entry) = table.get_mut(usize::from(KECCAK256)) {
        *entry = Instruction::new(keccak);
    }
    instructions
}

/// KECCAK256, cached if the input is short and within the current memory; otherwise revm's.
fn keccak<D: DatabaseRef>(context: Call<'_, '_, D>) -> InstructionExecResult {
    let interpreter = &mut *context.interpreter;
    if let [.., length, offset] = interpreter.stack.data()[..]
        && let (Ok(length), Ok(offset)) = (usize::try_from(length), usize::try_from(offset))
        && (1..=MAX_INPUT_BYTES).contains(&length)
        && offset.saturating_add(length) <= interpreter.memory.size()
        && (interpreter.gas.record_regular_cost(context.host.gas_params().keccak256_cost(length))
            || mutant!(HashUnpaid))
    {
        let hash = context.host.chain.hash(&interpreter.memory.slice_len(offset, length));
        interpreter.stack.pop()?;
        return interpreter.stack.set(0, hash.into());
    }
    system::keccak256(context)
}

/// Replaces instructions by ones that abort a useless run: jumps and, in blocks with an access list
/// (`reads_list`, from Cancun), also instructions that may take long, because code without loops
/// can run long too. A precompile call is never interrupted.
pub(super) fn with_abort_checks<'a, D: DatabaseRef>(
    mut instructions: EthInstructions<EthInterpreter, EvmContext<'a, D>>,
    reads_list: bool,
    caches_keccak: bool,
) -> EthInstructions<EthInterpreter, EvmContext<'a, D>> {
    let table = instructions.instruction_table_mut();
    let mut replace = |opcode: u8, instruction| {
        if let Some(entry) = table.get_mut(usize::from(opcode)) {
            *entry = instruction;
        }
    };
    replace(JUMP, Instruction::new(checked::jump));
    replace(JUMPI, Instruction::new(checked::jumpi));
    if reads_list {
        let hash = if caches_keccak { checked::cached_keccak } else { checked::keccak256 };
        replace(KECCAK256, Instruction::new(hash));
        replace(CALL, Instruction::new(checked::call));
        replace(CALLCODE, Instruction::new(checked::callcode));
        replace(DELEGATECALL, Instruction::new(checked::delegatecall));
        replace(STATICCALL, Instruction::new(checked::staticcall));
        replace(CODECOPY, Instruction::new(checked::codecopy));
        replace(CALLDATACOPY, Instruction::new(checked::calldatacopy));
        replace(RETURNDATACOPY, Instruction::new(checked::returndatacopy));
        replace(EXTCODECOPY, Instruction::new(checked::extcodecopy));
        replace(MCOPY, Instruction::new(checked::mcopy));
        replace(EXP, Instruction::new(checked::exp));
    }
    instructions
}

/// Aborts the run if it has become useless.
fn check_useful<D: DatabaseRef>(context: &mut Call<'_, '_, D>) -> InstructionExecResult {
    if context.host.journaled_state.db_mut().is_useless() { abort_run(context) } else { Ok(()) }
}

fn check_useful_at_jump<D: DatabaseRef>(context: &mut Call<'_, '_, D>) -> InstructionExecResult {
    let view = context.host.journaled_state.db_mut();
    if view.is_useless_at_jump() { abort_run(context) } else { Ok(()) }
}

/// revm's instructions, each preceded by a check that aborts a useless run.
mod checked {
    use super::*;

    macro_rules! instructions {
        ($check:ident: $($name:ident: $instruction:expr),* $(,)?) => {
            $(pub(super) fn $name<D: DatabaseRef>(
                mut context: Call<'_, '_, D>,
            ) -> InstructionExecResult {
                $check(&mut context)?;
                $instruction(context)
            })*
        };
    }

    instructions! { check_useful_at_jump:
        jump: control::jump,
        jumpi: control::jumpi,
    }

    instructions! { check_useful:
        cached_keccak: keccak,
        keccak256: system::keccak256,
        // Calls announce the balances that they read, as without a list.
        call: super::call::<CALL, _>,
        callcode: super::call::<CALLCODE, _>,
        delegatecall: contract::call::<DELEGATECALL, _, _>,
        staticcall: contract::call::<STATICCALL, _, _>,
        codecopy: system::codecopy,
        calldatacopy: system::calldatacopy,
        returndatacopy: system::returndatacopy,
        extcodecopy: host::extcodecopy,
        mcopy: memory::mcopy,
        exp: arithmetic::exp,
    }
}
