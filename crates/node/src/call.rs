//! `eth_call`: executing a transaction that is in no block.

use crate::{
    error::RpcError,
    overrides::{
        BlockChanges, CallPrecompiles, MovedPrecompiles, override_blob_fee, override_block,
        override_state,
    },
    words::{self, Fees, Step},
};
use alloy_primitives::{Bytes, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_eth::state::StateOverride;
use braid_chain::{PastState, Snapshot, StoreError};
use revm::{
    Context, DatabaseRef, ExecuteEvm, InspectEvm, Inspector, MainBuilder, MainContext,
    context::{BlockEnv, CfgEnv, Evm, TxEnv},
    context_interface::result::{EVMError, ExecutionResult, ResultAndState},
    database::CacheDB,
    handler::{EthFrame, MainnetContext, instructions::EthInstructions},
    inspector::NoOpInspector,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter,
        interpreter::EthInterpreter, interpreter_types::Jumps,
    },
};

/// State, rules and block environment of a call.
#[derive(Debug)]
pub(crate) struct Environment<S> {
    /// The state, with the overrides of the call.
    pub(crate) state: CacheDB<PastState<S>>,
    pub(crate) cfg: CfgEnv,
    pub(crate) env: BlockEnv,
    precompiles: MovedPrecompiles,
}

/// An EVM that executes calls.
pub(crate) type CallEvm<S, I> = Evm<
    MainnetContext<CacheDB<PastState<S>>>,
    I,
    EthInstructions<EthInterpreter, MainnetContext<CacheDB<PastState<S>>>>,
    CallPrecompiles,
    EthFrame<EthInterpreter>,
>;

impl<S: Snapshot> Environment<S> {
    pub(crate) fn new(state: PastState<S>, cfg: CfgEnv, env: BlockEnv) -> Self {
        Self { state: CacheDB::new(state), cfg, env, precompiles: MovedPrecompiles::default() }
    }

    /// Applies the overrides of a call.
    pub(crate) fn overridden(
        mut self,
        state: Option<StateOverride>,
        block: Option<BlockChanges>,
    ) -> Result<Self, RpcError> {
        override_block(&mut self.env, &block.unwrap_or_default())?;
        let overrides = state.unwrap_or_default();
        self.precompiles = override_state(&mut self.state, self.cfg.spec, overrides)?;
        Ok(self)
    }
}

/// Makes the transaction that a client describes.
pub(crate) fn transaction<S: Snapshot>(
    at: &Environment<S>,
    request: &TransactionRequest,
    gas_limit: u64,
) -> Result<TxEnv, RpcError> {
    let caller = request.from.unwrap_or_default();
    let nonce = match request.nonce {
        Some(nonce) => nonce,
        None => at.state.basic_ref(caller)?.map_or(0, |account| account.nonce),
    };
    if request.gas_price.is_some() && request.max_fee_per_gas.is_some() {
        let why = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
        return Err(RpcError::Override(why.to_owned()));
    }
    let blobs = request.blob_versioned_hashes.clone().unwrap_or_default();
    let input = request.input.unique_input();
    let input = input.map_err(|error| RpcError::Params(error.to_string()))?;
    let builder = TxEnv::builder()
        .caller(caller)
        .nonce(nonce)
        .kind(request.to.unwrap_or(TxKind::Create))
        .value(request.value.unwrap_or_default())
        .data(input.cloned().unwrap_or_default())
        .gas_limit(gas_limit)
        .chain_id(Some(request.chain_id.unwrap_or(at.cfg.chain_id)))
        .gas_price(request.max_fee_per_gas.or(request.gas_price).unwrap_or_default())
        .gas_priority_fee(request.max_priority_fee_per_gas.or_else(|| {
            // A maximum fee implies the transaction type with a tip.
            request.max_fee_per_gas.map(|_| 0)
        }))
        .access_list(request.access_list.clone().unwrap_or_default())
        .max_fee_per_blob_gas(
            request.max_fee_per_blob_gas.filter(|_| !blobs.is_empty()).unwrap_or_default(),
        )
        .blob_hashes(blobs)
        .authorization_list_signed(request.authorization_list.clone().unwrap_or_default());
    builder.build().map_err(|error| RpcError::Params(format!("no transaction: {error:?}")))
}

/// Executes `tx`. Without a gas price, no fees are paid, and the base fee is zero.
pub(crate) fn run<S: Snapshot>(
    at: &Environment<S>,
    tx: TxEnv,
) -> Result<ExecutionResult, RpcError> {
    let fees = Fees::new(at, &tx);
    ended(evm(at, &tx, NoOpInspector).transact(tx), fees)
}

/// Makes the EVM to execute `tx`.
pub(crate) fn evm<S: Snapshot, I>(at: &Environment<S>, tx: &TxEnv, inspector: I) -> CallEvm<S, I> {
    let (mut cfg, mut env) = (at.cfg.clone(), at.env.clone());
    // The cap applies only to transactions in a block.
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    // Wallets ask about transactions that follow others which still wait.
    cfg.disable_nonce_check = true;
    // A wallet that is a contract asks about its own calls.
    cfg.disable_eip3607 = true;
    if tx.gas_price == 0 {
        env.basefee = 0;
    }
    if tx.max_fee_per_blob_gas == 0 {
        override_blob_fee(&mut env, 0);
    }
    let precompiles = CallPrecompiles::new(cfg.spec, &at.precompiles);
    let context = Context::mainnet().with_db(at.state.clone()).with_cfg(cfg).with_block(env);
    context.build_mainnet_with_inspector(inspector).with_precompiles(precompiles)
}

/// Converts the result of a transaction that offers `fees`; fails if it could not be executed.
pub(crate) fn ended(
    ran: Result<ResultAndState, EVMError<StoreError>>,
    fees: Fees,
) -> Result<ExecutionResult, RpcError> {
    checked(ran, fees).map(|done| done.result)
}

/// Like [`ended`], with the changes of the state.
pub(crate) fn checked(
    ran: Result<ResultAndState, EVMError<StoreError>>,
    fees: Fees,
) -> Result<ResultAndState, RpcError> {
    match ran {
        Ok(done) => Ok(done),
        Err(EVMError::Transaction(invalid)) => {
            let words = words::invalid(&invalid, fees);
            Err(RpcError::Invalid(invalid, words))
        }
        Err(EVMError::Database(error)) => Err(RpcError::State(error)),
        Err(error) => Err(RpcError::Internal(error.to_string())),
    }
}

/// Returns the output of `tx`, or the reason why it failed.
pub(crate) fn output<S: Snapshot>(
    at: &Environment<S>,
    tx: &TxEnv,
    result: ExecutionResult,
) -> Result<Bytes, RpcError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(RpcError::reverted(output)),
        ExecutionResult::Halt { reason, .. } => {
            let names = words::names_instruction(&reason);
            let last = if names { last_step(at, tx) } else { None };
            Err(RpcError::Halted(words::halted(&reason, last)))
        }
    }
}

/// Returns the last instruction in the outermost frame of `tx`, by executing it again.
fn last_step<S: Snapshot>(at: &Environment<S>, tx: &TxEnv) -> Option<Step> {
    let mut evm = evm(at, tx, LastStep::default());
    evm.inspect_tx(tx.clone()).ok()?;
    evm.inspector.step
}

/// Records the last instruction of the outermost frame.
#[derive(Default)]
struct LastStep {
    depth: usize,
    step: Option<Step>,
}

impl<CTX> Inspector<CTX> for LastStep {
    fn step(&mut self, interpreter: &mut Interpreter, _: &mut CTX) {
        if self.depth == 1 {
            self.step = Some((interpreter.bytecode.opcode(), interpreter.stack.len()));
        }
    }

    fn call(&mut self, _: &mut CTX, _: &mut CallInputs) -> Option<CallOutcome> {
        self.depth = self.depth.saturating_add(1);
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, _: &mut CallOutcome) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn create(&mut self, _: &mut CTX, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.depth = self.depth.saturating_add(1);
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, _: &mut CreateOutcome) {
        self.depth = self.depth.saturating_sub(1);
    }
}

/// Gas limit of a call: what the client requests, but at most `limit` and the block's gas limit.
pub(crate) fn gas<S>(at: &Environment<S>, request: &TransactionRequest, limit: u64) -> u64 {
    request.gas.unwrap_or(limit).min(limit).min(at.env.gas_limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Limits, NodeConfig,
        params::environment,
        shared::SendError,
        testing::{CHAIN, Client, address, begun, begun_with, node, payment},
    };
    use alloy_eips::BlockId;
    use alloy_primitives::{B256, U256, hex};
    use braid_chain::{Chain, ChainBlock, ChainConfig, ChainError, pool::PoolError};
    use braid_evm::{Block, BlockErrorKind, ChainRules, Rejection};
    use revm::context_interface::result::InvalidTransaction;
    use serde_json::json;
    use std::time::Instant;

    /// Calls may come from an account with code; transactions of a block may not.
    #[test]
    fn an_account_with_code_asks_and_sends_nothing() {
        let sender = address(0);
        let store = begun_with(|genesis| {
            // Returns the address of its caller.
            let account = genesis.alloc.get_mut(&sender).expect("it has funds");
            account.code = Some(hex!("335f5260205ff3").into());
        });
        let mut made = node(&store, NodeConfig::default());
        let (shared, head) = (made.shared(), made.chain().head());
        let client = Client::new(&shared, Limits::default());
        let request = json!([{"from": sender, "to": sender, "value": "0x1"}]);
        let caller = B256::left_padding_from(sender.as_slice());
        assert_eq!(client.result("eth_call", request.clone()), json!(caller));
        client.result("eth_estimateGas", request.clone());
        let list = client.result("eth_createAccessList", request);
        assert!(list.get("error").is_none(), "{list}");

        let sent = shared.send(payment(0, 0, 10_000_000_000));
        let refused = matches!(sent, Err(SendError::Pool(PoolError::Contract(of))) if of == sender);
        assert!(refused, "{sent:?}");
        assert!(made.step(0).expect("works").is_none());
        // A block from elsewhere is refused, too, if the sender has code. Another sender may send
        // the same transaction.
        let (cfg, env) = shared.producer.next_environment(&shared.view().head, 1);
        drop((made, shared, client));
        let mut chain = Chain::open(store, ChainConfig::default()).expect("a chain");
        let mut execute = |caller| {
            let tx =
                TxEnv::builder().caller(caller).chain_id(Some(CHAIN)).kind(TxKind::Call(sender));
            let tx = tx.gas_limit(50_000).gas_price(10_000_000_000).value(U256::from(1));
            let block = Block {
                cfg: cfg.clone(),
                env: env.clone(),
                parent_hash: head.hash,
                parent_beacon_block_root: Some(B256::ZERO),
                transactions: vec![tx.build().expect("a transaction")],
                rules: ChainRules { system_calls: false, ..ChainRules::default() },
                ..Block::default()
            };
            chain.execute(ChainBlock { block, ..ChainBlock::default() })
        };
        let Err(ChainError::Block { kind: BlockErrorKind::Invalid(why), .. }) = execute(sender)
        else {
            panic!("a sender with code is not refused");
        };
        assert_eq!(why, Rejection::Invalid(InvalidTransaction::RejectCallerWithCode));
        execute(address(1)).expect("a sender without code");
    }

    /// Makes init code that calls the precompile at `address` with `input` for ever.
    fn calls_of(address: u8, input: &[u8]) -> Vec<u8> {
        let length = u8::try_from(input.len()).expect("short");
        let begin = [0x60, length, 0x60, 20, 0x5f, 0x39, 0x5b];
        let call = [0x5f, 0x5f, 0x60, length, 0x5f, 0x60, address, 0x5a, 0xfa, 0x50, 0x60, 6, 0x56];
        [&begin, call.as_slice(), input].concat()
    }

    /// Input of the modexp precompile: 8 bytes to the power of 81 bytes, modulo 8 bytes.
    fn power() -> Vec<u8> {
        let lengths = [8_u8, 81, 8].map(|length| [[0; 31].as_slice(), &[length]].concat());
        [lengths.concat(), vec![0xff; 8 + 81 + 8]].concat()
    }

    /// A hash, and a signature from which a public key can be recovered.
    fn signature() -> Vec<u8> {
        let recovery_id = [[0; 31].as_slice(), &[27]].concat();
        [vec![0x11; 32], recovery_id, vec![0x22; 32], vec![0x33; 32]].concat()
    }

    /// Measures how long 50 million gas can run: `cargo test --release -p braid-node --lib longest
    /// -- --ignored --nocapture`.
    #[test]
    #[ignore = "it measures"]
    fn longest_runs() {
        let (node, gas) = (node(&begun(), NodeConfig::default()), Limits::default().call_gas);
        let at = environment(&node.shared(), BlockId::latest()).expect("the last block");
        let each =
            |instruction: u8| vec![0x5f, 0x5b, 0x80, instruction, 0x50, 0x60, 1, 1, 0x60, 1, 0x56];
        let codes = [
            ("jumps", vec![0x5b, 0x5f, 0x56]),
            ("hashes of 4 KiB", vec![0x5b, 0x61, 0x10, 0, 0x5f, 0x20, 0x50, 0x5f, 0x56]),
            ("slots, each another", each(0x54)),
            ("accounts, each another", each(0x31)),
            ("recovered signatures", calls_of(1, &signature())),
            ("powers of 8 bytes", calls_of(5, &power())),
            ("additions on BN254", calls_of(6, &[0; 128])),
        ];
        for (name, code) in codes {
            let request =
                TransactionRequest { input: Bytes::from(code).into(), ..Default::default() };
            let tx = transaction(&at, &request, gas).expect("a transaction");
            let begun = Instant::now();
            let ended = run(&at, tx);
            println!("{name}: {:.2} s", begun.elapsed().as_secs_f64());
            assert!(matches!(ended, Ok(ExecutionResult::Halt { .. })), "{ended:?}");
        }
    }
}
