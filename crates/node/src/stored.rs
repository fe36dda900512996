//! A block with its transactions and receipts.

use crate::error::RpcError;
use alloy_consensus::{
    BlockBody, EthereumReceipt, Header, ReceiptEnvelope, Sealed, Transaction as _, TxReceipt,
    transaction::{Recovered, TransactionInfo},
};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{B256, Bytes, TxKind, U256};
use alloy_rpc_types_eth::{
    Block, BlockTransactions, BlockTransactionsKind, Header as RpcHeader, Log, Transaction,
    TransactionReceipt,
};
use braid_chain::{Rules, pool::SignedTransaction};

/// A block of the chain, with transactions and receipts.
#[derive(Clone, Debug)]
pub(crate) struct StoredBlock {
    pub(crate) hash: B256,
    pub(crate) header: Header,
    pub(crate) transactions: Vec<Recovered<SignedTransaction>>,
    /// `None` if `braid-node prune` has removed them.
    receipts: Option<Vec<EthereumReceipt>>,
    /// Index of the first log of each receipt, counted over the block.
    first_logs: Vec<u64>,
    /// Length of the block in RLP.
    size: usize,
    ommers: Vec<Header>,
    withdrawals: Option<Withdrawals>,
    /// Price of blob gas in the block.
    blob_gas_price: Option<u128>,
}

/// A transaction in a JSON-RPC response.
pub(crate) type RpcTransaction = Transaction<SignedTransaction>;
/// A block in a JSON-RPC response.
pub(crate) type RpcBlock = Block<RpcTransaction>;

impl StoredBlock {
    pub(crate) fn new(
        hash: B256,
        header: Header,
        transactions: Vec<Recovered<SignedTransaction>>,
        receipts: Option<Vec<EthereumReceipt>>,
        size: usize,
    ) -> Self {
        let mut logs = 0_u64;
        let first_logs = receipts.iter().flatten().map(|receipt| {
            let first = logs;
            logs = logs.saturating_add(receipt.logs.len() as u64);
            first
        });
        let first_logs = first_logs.collect();
        // The node's own blocks have no ommers and no withdrawals.
        let withdrawals = header.withdrawals_root.map(|_| Withdrawals::default());
        let (ommers, blob_gas_price) = (Vec::new(), None);
        Self {
            hash,
            header,
            transactions,
            receipts,
            first_logs,
            size,
            ommers,
            withdrawals,
            blob_gas_price,
        }
    }

    /// Adds the parts that only blocks from elsewhere have.
    pub(crate) fn with_foreign(
        self,
        rules: &Rules,
        ommers: Vec<Header>,
        withdrawals: Option<Withdrawals>,
    ) -> Self {
        let withdrawals = withdrawals.or_else(|| self.withdrawals.clone());
        Self { ommers, withdrawals, ..self }.with_blob_price(rules)
    }

    /// Adds the price of blob gas, which receipts of blob transactions state.
    pub(crate) fn with_blob_price(self, rules: &Rules) -> Self {
        let (_, env) = rules.environment(&self.header);
        let blob_gas_price = env.blob_excess_gas_and_price.map(|blob| blob.blob_gasprice);
        Self { blob_gas_price, ..self }
    }

    pub(crate) fn ommers(&self) -> &[Header] {
        &self.ommers
    }

    /// Encodes the block in RLP.
    pub(crate) fn rlp(&self) -> Bytes {
        let transactions = self.transactions.iter().map(|it| it.inner().clone()).collect();
        let (ommers, withdrawals) = (self.ommers.clone(), self.withdrawals.clone());
        let body = BlockBody { transactions, ommers, withdrawals };
        alloy_rlp::encode(&alloy_consensus::Block { header: self.header.clone(), body }).into()
    }

    /// Returns the header for a response.
    pub(crate) fn rpc_header(&self) -> RpcHeader {
        let header = Sealed::new_unchecked(self.header.clone(), self.hash);
        RpcHeader::from_consensus(header, None, Some(U256::from(self.size)))
    }

    pub(crate) fn number(&self) -> u64 {
        self.header.number
    }

    /// Memory that the block takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        Self::memory(self.size, self.transactions.len(), self.receipts.as_deref())
    }

    /// Returns the receipts of the block.
    ///
    /// # Errors
    /// The receipts have been removed.
    pub(crate) fn receipts(&self) -> Result<&[EthereumReceipt], RpcError> {
        self.receipts.as_deref().ok_or(RpcError::OldReceipts(self.number()))
    }

    /// Estimates the memory of a block of `size` bytes: transactions and receipts have fields in
    /// addition to their encoded bytes.
    pub(crate) fn memory(
        size: usize,
        transactions: usize,
        receipts: Option<&[EthereumReceipt]>,
    ) -> usize {
        let logs = receipts.into_iter().flatten().flat_map(|receipt| &receipt.logs);
        let logs = logs.map(|log| log.data.data.len().saturating_add(256)).sum::<usize>();
        let transactions = transactions.saturating_mul(1_024);
        size.saturating_mul(2).saturating_add(logs).saturating_add(transactions)
    }

    fn info(&self, index: usize) -> TransactionInfo {
        TransactionInfo {
            hash: None,
            index: Some(index as u64),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            base_fee: self.header.base_fee_per_gas,
            block_timestamp: Some(self.header.timestamp),
        }
    }

    pub(crate) fn transaction(&self, index: usize) -> Option<RpcTransaction> {
        let transaction = self.transactions.get(index)?.clone();
        Some(Transaction::from_transaction(transaction, self.info(index)))
    }

    /// Returns the block for a response, with its transactions or with their hashes.
    pub(crate) fn block(&self, kind: BlockTransactionsKind) -> RpcBlock {
        let transactions = match kind {
            BlockTransactionsKind::Full => {
                let all = (0..self.transactions.len()).filter_map(|index| self.transaction(index));
                BlockTransactions::Full(all.collect())
            }
            BlockTransactionsKind::Hashes => {
                BlockTransactions::Hashes(self.transactions.iter().map(|it| *it.hash()).collect())
            }
        };
        let header = self.rpc_header();
        let uncles = self.ommers.iter().map(Header::hash_slow).collect();
        Block { header, uncles, transactions, withdrawals: self.withdrawals.clone() }
    }

    /// Iterates over the logs of all transactions.
    ///
    /// # Errors
    /// The receipts have been removed.
    pub(crate) fn logs(&self) -> Result<impl Iterator<Item = Log>, RpcError> {
        let receipts = self.receipts()?.iter().enumerate();
        Ok(receipts.flat_map(|(index, receipt)| self.logs_of(index, receipt)))
    }

    fn logs_of(&self, index: usize, receipt: &EthereumReceipt) -> Vec<Log> {
        let first = self.first_logs.get(index).copied().unwrap_or_default();
        let hash = self.transactions.get(index).map(|it| *it.hash());
        let logs = receipt.logs.iter().zip(first..).map(|(log, at)| Log {
            inner: log.clone(),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            block_timestamp: Some(self.header.timestamp),
            transaction_hash: hash,
            transaction_index: Some(index as u64),
            log_index: Some(at),
            removed: false,
        });
        logs.collect()
    }

    /// Returns the receipt of the transaction with this index, if there is such a transaction.
    ///
    /// # Errors
    /// The receipts have been removed.
    pub(crate) fn receipt(&self, index: usize) -> Result<Option<TransactionReceipt>, RpcError> {
        let receipts = self.receipts()?;
        let found = self.transactions.get(index).zip(receipts.get(index));
        Ok(found.map(|(transaction, receipt)| {
            let before = index.checked_sub(1).and_then(|before| receipts.get(before));
            self.receipt_of((index, transaction), receipt, before)
        }))
    }

    fn receipt_of(
        &self,
        (index, transaction): (usize, &Recovered<SignedTransaction>),
        receipt: &EthereumReceipt,
        before: Option<&EthereumReceipt>,
    ) -> TransactionReceipt {
        let before = before.map_or(0, |receipt| receipt.cumulative_gas_used);
        let envelope: ReceiptEnvelope = receipt.clone().into();
        let mut logs = self.logs_of(index, receipt).into_iter();
        let (from, to) = (transaction.signer(), transaction.to());
        let creates = transaction.kind() == TxKind::Create;
        TransactionReceipt {
            inner: envelope
                .map_logs(|inner| logs.next().unwrap_or_else(|| Log { inner, ..Log::default() })),
            transaction_hash: *transaction.hash(),
            transaction_index: Some(index as u64),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            gas_used: receipt.cumulative_gas_used().saturating_sub(before),
            effective_gas_price: transaction.effective_gas_price(self.header.base_fee_per_gas),
            blob_gas_used: transaction.blob_gas_used(),
            blob_gas_price: transaction.blob_gas_used().and(self.blob_gas_price),
            from,
            to,
            contract_address: creates.then(|| from.create(transaction.nonce())),
        }
    }
}
