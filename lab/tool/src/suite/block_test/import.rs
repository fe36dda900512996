//! Imports one block: from its bytes to the state after it.

use super::{Node, model::TestBlock};
use crate::suite::{
    database::{SuiteDatabase, SuiteHashes},
    exceptions::{self, ACCESS_LIST, Refusal},
    network::{Network, Position, Rules},
};
use alloy_consensus::{
    Block, EthereumTxEnvelope, Header, Transaction, TxEip4844, TxReceipt,
    proofs::{
        calculate_ommers_root, calculate_receipt_root, calculate_transaction_root,
        calculate_withdrawals_root,
    },
    transaction::SignerRecoverable,
};
use alloy_evm::{EvmEnv, FromRecoveredTx, eth::dao_fork};
use alloy_primitives::{Address, B256, Bloom, U256, address};
use braid_blocks::{fork, sequential::ForkSpec};
use braid_evm::{AccessList, BlockOutput, ChainRules, DaoFork, Executor, Ommer, Stats};
use revm::{context::TxEnv, primitives::hardfork::SpecId};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

type Envelope = EthereumTxEnvelope<TxEip4844>;

/// Number of blocks that `BLOCKHASH` can look back.
const HASHES: usize = 256;

/// Maximum size of a block's RLP in bytes, from Osaka (EIP-7934).
const MAX_BLOCK_BYTES: usize = 8 << 20;

/// Mainnet's deposit contract, which suites use with any chain id.
const DEPOSIT_CONTRACT: Address = address!("00000000219ab540356cbb839cbe05303d7705fa");

/// A block that matches its header.
#[derive(Debug)]
pub(super) struct Imported {
    pub(super) hash: B256,
    pub(super) node: Node,
    pub(super) transactions: usize,
    pub(super) stats: Stats,
}

/// Imports blocks into a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Importer<'a> {
    network: &'a Network,
    tree: &'a HashMap<B256, Node>,
    chain_id: u64,
}

impl<'a> Importer<'a> {
    pub(super) fn new(network: &'a Network, tree: &'a HashMap<B256, Node>, chain_id: u64) -> Self {
        Self { network, tree, chain_id }
    }

    /// Executes the block on its parent's state, with its access list if it has one.
    ///
    /// # Errors
    /// The outer error is a failure that is not the block's fault, the inner one the reason why the
    /// block is rejected.
    pub(super) fn import(
        &mut self,
        block: &TestBlock,
        executor: &mut Executor,
    ) -> Result<Result<Imported, Refusal>, String> {
        let taken_in = self.take_in(&block.rlp).and_then(|taken| {
            let access_list = taken.access_list(block)?;
            Ok((braid_evm::Block { access_list, ..self.convert(&taken)? }, taken))
        });
        let (block, taken) = match taken_in {
            Ok(taken_in) => taken_in,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let hashes = SuiteHashes::Of(self.hashes(taken.block.header.parent_hash));
        let database = SuiteDatabase::of(&taken.parent.state, hashes);
        let output = match executor.block(block).database(database).execute() {
            Ok(output) => output,
            Err(error) => {
                let refusal = exceptions::of_block_error(&error.kind);
                return refusal.map(Err).ok_or_else(|| error.to_string());
            }
        };
        Ok(taken.compare(&output))
    }

    fn take_in(&self, mut rlp: &[u8]) -> Result<TakenIn<'a>, Refusal> {
        const DECODING: &[&str] = &[
            "RLP_*",
            "ADDRESS_TOO_SHORT",
            "ADDRESS_TOO_LONG",
            "TYPE_NOT_SUPPORTED",
            "TYPE_3_TX_CONTRACT_CREATION",
            "TYPE_3_TX_WITH_FULL_BLOBS",
            "TYPE_4_TX_CONTRACT_CREATION",
            "TYPE_4_INVALID_AUTHORIZATION_FORMAT",
            "INVALID_SIGNATURE_VRS",
            "NONCE_OVERFLOW",
            "GASLIMIT_OVERFLOW",
            "VALUE_OVERFLOW",
            "GASPRICE_OVERFLOW",
            "PRIORITY_OVERFLOW",
        ];
        let length = rlp.len();
        let decoded = Block::<Envelope>::decode_sealed(&mut rlp);
        let sealed = decoded.map_err(|error| Refusal::new(DECODING, format!("RLP: {error}")))?;
        if !rlp.is_empty() {
            return Err(Refusal::new(DECODING, "RLP: bytes after the block"));
        }
        let (block, hash) = sealed.into_parts();
        let unknown = || Refusal::new(&["UNKNOWN_PARENT", "UNKNOWN_PARENT_ZERO"], "unknown parent");
        let parent = self.tree.get(&block.header.parent_hash).ok_or_else(unknown)?;
        let rules = self.network.rules_at(Position {
            number: block.header.number,
            timestamp: block.header.timestamp,
            total_difficulty: parent.total_difficulty,
        });
        if rules.spec.is_enabled_in(SpecId::OSAKA) && length > MAX_BLOCK_BYTES {
            return Err(Refusal::new(&["RLP_BLOCK_LIMIT_EXCEEDED"], "the block is too long"));
        }
        let taken = TakenIn { block, hash, parent, rules };
        taken.check_shape()?;
        taken.check_body()?;
        Ok(taken)
    }

    /// Converts the block for the executor.
    fn convert(&self, taken: &TakenIn<'_>) -> Result<braid_evm::Block, Refusal> {
        let header = &taken.block.header;
        let dao = self.network.is_dao_block(header.number);
        let spec = ForkSpec::new(taken.rules.spec, &braid_blocks::block::ChainRules::default(), 0);
        let evm = EvmEnv::for_eth_block(header, spec, self.chain_id, taken.rules.blobs);
        let dao_fork = DaoFork {
            drained: dao_fork::DAO_HARDFORK_ACCOUNTS.to_vec(),
            beneficiary: dao_fork::DAO_HARDFORK_BENEFICIARY,
        };
        let ommer = |ommer: &Header| Ommer { beneficiary: ommer.beneficiary, number: ommer.number };
        let withdrawals = taken.block.body.withdrawals.clone();
        Ok(braid_evm::Block {
            cfg: evm.cfg_env,
            env: evm.block_env,
            transactions: taken.transactions()?,
            parent_hash: header.parent_hash,
            parent_beacon_block_root: header.parent_beacon_block_root,
            withdrawals: withdrawals.map(|withdrawals| withdrawals.into_inner()),
            ommers: taken.block.body.ommers.iter().map(ommer).collect(),
            rules: ChainRules {
                deposit_contract: Some(DEPOSIT_CONTRACT),
                dao_fork: dao.then_some(dao_fork),
                ..ChainRules::default()
            },
            access_list: None,
            access_list_hint: None,
        })
    }

    /// Returns the hashes of block `newest` and its ancestors, by number.
    fn hashes(&self, newest: B256) -> BTreeMap<u64, B256> {
        let mut hashes = BTreeMap::new();
        let mut hash = newest;
        while let Some(node) = self.tree.get(&hash).filter(|_| hashes.len() < HASHES) {
            hashes.insert(node.number, hash);
            hash = node.parent;
        }
        hashes
    }
}

/// A decoded block, with its position in the tree.
struct TakenIn<'a> {
    block: Block<Envelope>,
    hash: B256,
    parent: &'a Node,
    rules: Rules,
}

impl TakenIn<'_> {
    /// Checks that the header has the fields of its fork.
    fn check_shape(&self) -> Result<(), Refusal> {
        const SHAPE: &[&str] = &[
            "INCORRECT_BLOCK_FORMAT",
            "RLP_*",
            "IMPORT_IMPOSSIBLE_*",
            "INVALID_BASEFEE_PER_GAS",
            "INCORRECT_EXCESS_BLOB_GAS",
            "INCORRECT_BLOB_GAS_USED",
            "INVALID_WITHDRAWALS_ROOT",
            "INVALID_REQUESTS",
            "TYPE_NOT_SUPPORTED",
        ];
        let header = &self.block.header;
        let fields = [
            (SpecId::LONDON, "base fee", header.base_fee_per_gas.is_some()),
            (SpecId::SHANGHAI, "withdrawals root", header.withdrawals_root.is_some()),
            (SpecId::SHANGHAI, "withdrawals", self.block.body.withdrawals.is_some()),
            (SpecId::CANCUN, "blob gas used", header.blob_gas_used.is_some()),
            (SpecId::CANCUN, "excess blob gas", header.excess_blob_gas.is_some()),
            (SpecId::CANCUN, "beacon root", header.parent_beacon_block_root.is_some()),
            (SpecId::PRAGUE, "requests hash", header.requests_hash.is_some()),
            (SpecId::AMSTERDAM, "access list hash", header.block_access_list_hash.is_some()),
        ];
        for (since, field, present) in fields {
            if self.rules.spec.is_enabled_in(since) != present {
                let name = fork::name(self.rules.spec);
                let why = format!("{field} does not go with the fork {name}");
                return Err(Refusal::new(SHAPE, why));
            }
        }
        Ok(())
    }

    /// Returns the block's access list, after checking it against the header.
    fn access_list(&self, block: &TestBlock) -> Result<Option<Arc<AccessList>>, Refusal> {
        const NAMES: &[&str] = &["INVALID_BAL_HASH", "INVALID_BLOCK_ACCESS_LIST", "RLP_*"];
        let list = block.access_list();
        let list = list.map_err(|error| Refusal::new(NAMES, format!("access list: {error}")))?;
        if let (Some(list), Some(stated)) = (&list, self.block.header.block_access_list_hash) {
            same(NAMES, "access list hash", stated, list.compute_hash())?;
        }
        Ok(list)
    }

    /// Checks the body against the header.
    fn check_body(&self) -> Result<(), Refusal> {
        let (header, body) = (&self.block.header, &self.block.body);
        let found = calculate_ommers_root(&body.ommers);
        same(&["INVALID_UNCLES_HASH", "RLP_*"], "uncles hash", header.ommers_hash, found)?;
        let Some(blobs) = self.rules.blobs else { return Ok(()) };
        let used = self.blob_gas_used();
        if used > blobs.max_blob_gas_per_block() {
            const TOO_MANY: &[&str] = &[
                "BLOB_GAS_USED_ABOVE_LIMIT",
                "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED",
                "TYPE_3_TX_BLOB_COUNT_EXCEEDED",
                "INCORRECT_BLOB_GAS_USED",
            ];
            return Err(Refusal::new(TOO_MANY, format!("{used} blob gas in one block")));
        }
        Ok(())
    }

    /// Returns the blob gas of all transactions.
    fn blob_gas_used(&self) -> u64 {
        let transactions = self.block.body.transactions.iter();
        transactions.filter_map(Transaction::blob_gas_used).fold(0, u64::saturating_add)
    }

    /// Returns the transactions with their senders.
    fn transactions(&self) -> Result<Vec<TxEnv>, Refusal> {
        const SIGNATURE: &[&str] = &[
            "INVALID_SIGNATURE_VRS",
            "EC_RECOVERY_FAIL",
            "RLP_INVALID_SIGNATURE_*",
            "INVALID_CHAINID",
            "TYPE_NOT_SUPPORTED",
        ];
        let low_s = self.rules.spec.is_enabled_in(SpecId::HOMESTEAD);
        let protected = self.rules.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        let recovered = |transaction: &Envelope| {
            if transaction.is_legacy() && transaction.chain_id().is_some() && !protected {
                return Err(Refusal::new(SIGNATURE, "a chain id before EIP-155"));
            }
            let sender = if low_s {
                transaction.recover_signer()
            } else {
                transaction.recover_signer_unchecked()
            };
            let sender = sender.map_err(|error| Refusal::new(SIGNATURE, error))?;
            Ok(TxEnv::from_recovered_tx(transaction, sender))
        };
        self.block.body.transactions.iter().map(recovered).collect()
    }

    /// Checks the roots of the body. Suites create invalid blocks by adding transactions to valid
    /// ones without changing the roots, so this is checked after the execution.
    fn check_roots(&self) -> Result<(), Refusal> {
        let (header, body) = (&self.block.header, &self.block.body);
        let found = calculate_transaction_root(&body.transactions);
        same(&["INVALID_TRANSACTIONS_ROOT"], "transactions root", header.transactions_root, found)?;
        let withdrawals = body.withdrawals.as_ref();
        let root = withdrawals.map(|withdrawals| calculate_withdrawals_root(withdrawals));
        if header.withdrawals_root != root {
            return Err(Refusal::new(&["INVALID_WITHDRAWALS_ROOT"], "withdrawals root"));
        }
        if let Some(stated) = header.blob_gas_used {
            const NAMES: &[&str] = &["INCORRECT_BLOB_GAS_USED", "BLOB_GAS_USED_ABOVE_LIMIT"];
            same(NAMES, "blob gas used", stated, self.blob_gas_used())?;
        }
        Ok(())
    }

    /// Compares the results of the execution with the header.
    fn compare(&self, output: &BlockOutput) -> Result<Imported, Refusal> {
        const GAS: &[&str] =
            &["INVALID_GAS_USED", "GAS_USED_OVERFLOW", "INVALID_GAS_USED_ABOVE_LIMIT"];
        self.check_roots()?;
        let header = &self.block.header;
        same(GAS, "gas used", header.gas_used, output.gas_used)?;
        let receipts: Vec<_> = output.receipts.iter().map(TxReceipt::with_bloom_ref).collect();
        // Before Byzantium, receipts contain the state root after each transaction.
        if self.rules.spec.is_enabled_in(SpecId::BYZANTIUM) {
            let found = calculate_receipt_root(&receipts);
            same(&["INVALID_RECEIPTS_ROOT"], "receipts root", header.receipts_root, found)?;
        }
        let bloom = receipts.iter().fold(Bloom::ZERO, |all, receipt| all | receipt.logs_bloom);
        same(&["INVALID_LOG_BLOOM"], "logs bloom", header.logs_bloom, bloom)?;
        if let Some(stated) = header.requests_hash {
            let found = output.requests.requests_hash();
            same(&["INVALID_REQUESTS"], "requests hash", stated, found)?;
        }
        if let (Some(stated), Some(list)) = (header.block_access_list_hash, &output.access_list) {
            same(ACCESS_LIST, "access list hash", stated, list.compute_hash())?;
        }
        let mut state = self.parent.state.clone();
        state.apply(&output.bundle);
        same(&["INVALID_STATE_ROOT"], "state root", header.state_root, state.root())?;
        let total = self.parent.total_difficulty.saturating_add(U256::from(header.difficulty));
        let node = Node {
            parent: header.parent_hash,
            number: header.number,
            total_difficulty: total,
            state,
        };
        let transactions = self.block.body.transactions.len();
        Ok(Imported { hash: self.hash, node, transactions, stats: output.stats })
    }
}

fn same<T: PartialEq + std::fmt::Display>(
    names: &'static [&'static str],
    what: &str,
    stated: T,
    found: T,
) -> Result<(), Refusal> {
    if stated == found {
        return Ok(());
    }
    Err(Refusal::new(names, format!("{what}: {stated} stated, {found} found")))
}
