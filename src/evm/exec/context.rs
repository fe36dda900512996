//! Types of a worker's revm instance.

use super::keccak::KeccakCache;
use super::precompile::BlockPrecompiles;
use super::view::EvmView;
use revm::Context;
use revm::context::{BlockEnv, CfgEnv, Evm, Journal, TxEnv};
use revm::handler::EthFrame;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::interpreter::EthInterpreter;

/// revm's context over a worker's view. It borrows the transaction from the block.
pub(super) type EvmContext<'a, D> =
    Context<&'a BlockEnv, &'a TxEnv, CfgEnv, EvmView<'a, D>, Journal<EvmView<'a, D>>, KeccakCache>;

/// A worker's EVM.
pub(super) type BlockEvm<'a, D> = Evm<
    EvmContext<'a, D>,
    (),
    EthInstructions<EthInterpreter, EvmContext<'a, D>>,
    BlockPrecompiles,
    EthFrame<EthInterpreter>,
>;
