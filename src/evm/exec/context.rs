//! The types of revm's EVM in a worker.

use super::keccak::KeccakCache;
use super::precompile::BlockPrecompiles;
use super::view::EvmView;
use revm::Context;
use revm::context::{BlockEnv, CfgEnv, Evm, Journal, TxEnv};
use revm::handler::EthFrame;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::interpreter::EthInterpreter;

/// revm's context over a worker's view. The transaction is borrowed from the block.
pub(super) type BlockContext<'a, D, X> = Context<
    &'a BlockEnv,
    &'a TxEnv,
    CfgEnv,
    EvmView<'a, D, X>,
    Journal<EvmView<'a, D, X>>,
    KeccakCache,
>;

/// A worker's EVM.
pub(super) type BlockEvm<'a, D, X> = Evm<
    BlockContext<'a, D, X>,
    (),
    EthInstructions<EthInterpreter, BlockContext<'a, D, X>>,
    BlockPrecompiles,
    EthFrame<EthInterpreter>,
>;
