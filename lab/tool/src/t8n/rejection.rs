//! Why a transaction was skipped, in geth's wording, which other tools match.

use braid_evm::Rejection;
use revm::context::{TxEnv, result::InvalidTransaction};

/// Describes the rejection of a skipped transaction.
pub(super) fn describe(tx: &TxEnv, rejection: &Rejection) -> String {
    match rejection {
        Rejection::Invalid(reason) => invalid(tx, reason),
        Rejection::BlockGas { .. } => "gas limit reached".to_owned(),
        Rejection::BlobGas { requested, available } => format!(
            "blob gas ({requested}) would exceed maximum allowance: the block has {available} left"
        ),
        other => other.to_string(),
    }
}

fn invalid(tx: &TxEnv, reason: &InvalidTransaction) -> String {
    let address = tx.caller;
    match reason {
        InvalidTransaction::NonceTooLow { tx, state } => {
            format!("nonce too low: address {address}, tx: {tx} state: {state}")
        }
        InvalidTransaction::NonceTooHigh { tx, state } => {
            format!("nonce too high: address {address}, tx: {tx} state: {state}")
        }
        InvalidTransaction::NonceOverflowInTransaction => {
            format!("nonce has max value: address {address}, nonce: {}", tx.nonce)
        }
        InvalidTransaction::RejectCallerWithCode => format!("sender not an eoa: address {address}"),
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => format!(
            "insufficient funds for gas * price + value: address {address} have {balance} want {fee}"
        ),
        InvalidTransaction::OverflowPaymentInTransaction => format!(
            "insufficient funds for gas * price + value: address {address} required balance \
             exceeds 256 bits"
        ),
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}")
        }
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}")
        }
        InvalidTransaction::CallerGasLimitMoreThanBlock => "gas limit reached".to_owned(),
        InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            format!("transaction exceeds maximum allowed gas limit (cap: {cap}, tx: {gas_limit})")
        }
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => {
            format!("max priority fee per gas higher than max fee per gas: address {address}")
        }
        InvalidTransaction::GasPriceLessThanBasefee => {
            format!("max fee per gas less than block base fee: address {address}")
        }
        InvalidTransaction::BlobGasPriceGreaterThanMax { .. } => {
            format!("max fee per blob gas less than block blob gas fee: address {address}")
        }
        InvalidTransaction::TooManyBlobs { max, have } => {
            format!("blob gas used {have} blobs would exceed maximum allowance of {max}")
        }
        InvalidTransaction::EmptyBlobs => "blob transaction missing blob hashes".to_owned(),
        InvalidTransaction::BlobVersionNotSupported => "blob has invalid hash version".to_owned(),
        InvalidTransaction::CreateInitCodeSizeLimit => "max initcode size exceeded".to_owned(),
        InvalidTransaction::EmptyAuthorizationList => {
            format!("EIP-7702 transaction with empty auth list (sender {address})")
        }
        InvalidTransaction::Eip2930NotSupported
        | InvalidTransaction::Eip1559NotSupported
        | InvalidTransaction::Eip4844NotSupported
        | InvalidTransaction::Eip7702NotSupported => "transaction type not supported".to_owned(),
        InvalidTransaction::InvalidChainId => "invalid chain id for signer".to_owned(),
        other => other.to_string(),
    }
}
