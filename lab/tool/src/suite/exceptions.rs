//! The suites' names for errors of transactions and blocks.

use braid_evm::{AccessListError, BlockErrorKind, Rejection};
use revm::context::result::InvalidTransaction as Invalid;
use std::fmt::Display;

/// Why a transaction or block was rejected, with every name that a suite may have for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Names without `TransactionException.` or `BlockException.`; a name that ends in `*` is a
    /// prefix.
    pub names: &'static [&'static str],
    /// Description of the error.
    pub why: String,
}

impl Refusal {
    /// Creates a refusal that suites call by one of `names`.
    pub fn new(names: &'static [&'static str], why: impl Display) -> Self {
        Self { names, why: why.to_string() }
    }

    /// Returns whether one of the `expected` names belongs to this refusal.
    #[must_use]
    pub fn is_one_of(&self, expected: &[String]) -> bool {
        let is_name = |name: &str| {
            self.names.iter().any(|own| match own.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => *own == name,
            })
        };
        expected.iter().any(|name| is_name(bare(name)))
    }
}

/// Returns the name without its kind.
#[must_use]
pub fn bare(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, name)| name)
}

/// Block exceptions that concern the execution of the block, as opposed to its header, its uncles
/// or its chain.
const OF_EXECUTION: [&str; 26] = [
    "BLOB_GAS_USED_ABOVE_LIMIT",
    "BLOCK_ACCESS_LIST_GAS_LIMIT_EXCEEDED",
    "GAS_USED_OVERFLOW",
    "INCORRECT_BLOB_GAS_USED",
    "INVALID_BAL_EXTRA_ACCOUNT",
    "INVALID_BAL_HASH",
    "INVALID_BAL_MISSING_ACCOUNT",
    "INVALID_BLOCK_ACCESS_LIST",
    "INVALID_DEPOSIT_EVENT_LAYOUT",
    "INVALID_GAS_USED",
    "INVALID_GAS_USED_ABOVE_LIMIT",
    "INVALID_LOG_BLOOM",
    "INVALID_RECEIPTS_ROOT",
    "INVALID_REQUESTS",
    "INVALID_STATE_ROOT",
    "INVALID_TRANSACTIONS_ROOT",
    "INVALID_WITHDRAWALS_ROOT",
    "RLP_BLOCK_LIMIT_EXCEEDED",
    "RLP_INVALID_ADDRESS",
    "RLP_INVALID_FIELD_OVERFLOW_64",
    "RLP_STRUCTURES_ENCODING",
    "RLP_WITHDRAWALS_NOT_READ",
    "SYSTEM_CONTRACT_CALL_FAILED",
    "SYSTEM_CONTRACT_EMPTY",
    "UNKNOWN_PARENT",
    "UNKNOWN_PARENT_ZERO",
];

/// Names for an access list that is not the block's. Tools detect such lists in different ways:
/// most compare only hashes.
pub const ACCESS_LIST: &[&str] = &[
    "INVALID_BLOCK_ACCESS_LIST",
    "INVALID_BAL_HASH",
    "INVALID_BAL_EXTRA_ACCOUNT",
    "INVALID_BAL_MISSING_ACCOUNT",
    "INCORRECT_BLOCK_FORMAT",
];

/// Returns whether a block with one of these errors must be rejected by its execution.
#[must_use]
pub fn are_of_execution(expected: &[String]) -> bool {
    expected.iter().any(|name| {
        let kind = name.rsplit_once('.').map_or("", |(kind, _)| kind);
        kind.ends_with("TransactionException")
            || kind.is_empty()
            || OF_EXECUTION.contains(&bare(name))
    })
}

/// Returns the refusal for a block's error; `None` if the error is not the block's fault.
#[must_use]
pub fn of_block_error<E: Display>(kind: &BlockErrorKind<E>) -> Option<Refusal> {
    const SYSTEM: &[&str] = &[
        "SYSTEM_CONTRACT_CALL_FAILED",
        "SYSTEM_CONTRACT_EMPTY",
        "INVALID_DEPOSIT_EVENT_LAYOUT",
        "INVALID_REQUESTS",
    ];
    match kind {
        BlockErrorKind::Invalid(rejection) => Some(of_rejection(rejection)),
        BlockErrorKind::SystemCall(_) => Some(Refusal::new(SYSTEM, kind)),
        BlockErrorKind::AccessList(AccessListError::TooLong(_)) => {
            Some(Refusal::new(&["BLOCK_ACCESS_LIST_GAS_LIMIT_EXCEEDED"], kind))
        }
        BlockErrorKind::AccessList(_) => Some(Refusal::new(ACCESS_LIST, kind)),
        _ => None,
    }
}

/// Returns the refusal for a transaction's rejection.
#[must_use]
pub fn of_rejection(rejection: &Rejection) -> Refusal {
    const BLOCK_GAS: &[&str] =
        &["GAS_ALLOWANCE_EXCEEDED", "GAS_USED_OVERFLOW", "TR_GasLimitReached"];
    match rejection {
        Rejection::Invalid(invalid) => Refusal::new(names(invalid), rejection),
        Rejection::BlockGas { .. } => Refusal::new(BLOCK_GAS, rejection),
        other => Refusal::new(&[], other),
    }
}

/// Returns the suites' names for revm's errors of transactions. Names that begin with `TR_` are
/// those of ethereum/tests before 2024.
fn names(invalid: &Invalid) -> &'static [&'static str] {
    match invalid {
        Invalid::PriorityFeeGreaterThanMaxFee => &[
            "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS",
            "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS_2",
            "TR_TipGtFeeCap",
        ],
        Invalid::GasPriceLessThanBasefee => {
            &["INSUFFICIENT_MAX_FEE_PER_GAS", "TR_FeeCapLessThanBlocks"]
        }
        Invalid::CallerGasLimitMoreThanBlock => &["GAS_ALLOWANCE_EXCEEDED", "TR_GasLimitReached"],
        Invalid::CallGasCostMoreThanGasLimit { .. } => &[
            "INTRINSIC_GAS_TOO_LOW",
            "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST",
            "TR_IntrinsicGas",
            "TR_NoFundsOrGas",
        ],
        Invalid::GasFloorMoreThanGasLimit { .. } => {
            &["INTRINSIC_GAS_BELOW_FLOOR_GAS_COST", "INTRINSIC_GAS_TOO_LOW"]
        }
        Invalid::RejectCallerWithCode => &["SENDER_NOT_EOA", "SenderNotEOA"],
        Invalid::LackOfFundForMaxFee { .. } => &[
            "INSUFFICIENT_ACCOUNT_FUNDS",
            "GASLIMIT_PRICE_PRODUCT_OVERFLOW",
            "TR_NoFunds",
            "TR_NoFundsX",
            "TR_NoFundsOrGas",
        ],
        Invalid::OverflowPaymentInTransaction => &[
            "GASLIMIT_PRICE_PRODUCT_OVERFLOW",
            "INSUFFICIENT_ACCOUNT_FUNDS",
            "VALUE_OVERFLOW",
            "GASPRICE_OVERFLOW",
            "PRIORITY_OVERFLOW",
            "TR_NoFunds",
            "TR_NoFundsOrGas",
        ],
        Invalid::NonceOverflowInTransaction => {
            &["NONCE_IS_MAX", "NONCE_OVERFLOW", "NONCE_TOO_BIG", "TR_NonceHasMaxValue"]
        }
        Invalid::NonceTooHigh { .. } => &["NONCE_MISMATCH_TOO_HIGH", "NONCE_TOO_BIG"],
        Invalid::NonceTooLow { .. } => &["NONCE_MISMATCH_TOO_LOW"],
        Invalid::CreateInitCodeSizeLimit => &["INITCODE_SIZE_EXCEEDED", "TR_InitCodeLimitExceeded"],
        Invalid::InvalidChainId | Invalid::MissingChainId => &["INVALID_CHAINID"],
        Invalid::TxGasLimitGreaterThanCap { .. } => &["GAS_LIMIT_EXCEEDS_MAXIMUM"],
        _ => names_by_type(invalid),
    }
}

/// Returns the names of errors that concern one type of transaction.
fn names_by_type(invalid: &Invalid) -> &'static [&'static str] {
    match invalid {
        Invalid::AccessListNotSupported
        | Invalid::Eip2930NotSupported
        | Invalid::Eip1559NotSupported
        | Invalid::Eip7873NotSupported => &[
            "TYPE_NOT_SUPPORTED",
            "TYPE_1_TX_PRE_FORK",
            "TYPE_2_TX_PRE_FORK",
            "TR_TypeNotSupported",
        ],
        Invalid::MaxFeePerBlobGasNotSupported
        | Invalid::BlobVersionedHashesNotSupported
        | Invalid::Eip4844NotSupported => &[
            "TYPE_3_TX_PRE_FORK",
            "TYPE_3_TX_ZERO_BLOBS_PRE_FORK",
            "TYPE_NOT_SUPPORTED",
            "TR_TypeNotSupported",
        ],
        Invalid::BlobGasPriceGreaterThanMax { .. } => {
            &["INSUFFICIENT_MAX_FEE_PER_BLOB_GAS", "TR_FeeCapLessThanBlocks"]
        }
        Invalid::EmptyBlobs => &["TYPE_3_TX_ZERO_BLOBS", "TR_EMPTYBLOB"],
        Invalid::BlobCreateTransaction => &["TYPE_3_TX_CONTRACT_CREATION", "TR_BLOBCREATE"],
        Invalid::TooManyBlobs { .. } => &[
            "TYPE_3_TX_BLOB_COUNT_EXCEEDED",
            "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED",
            "BLOB_GAS_USED_ABOVE_LIMIT",
            "TR_BLOBLIST_OVERSIZE",
        ],
        Invalid::BlobVersionNotSupported => {
            &["TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH", "TR_BLOBVERSION_INVALID"]
        }
        Invalid::Eip7702NotSupported | Invalid::AuthorizationListNotSupported => {
            &["TYPE_4_TX_PRE_FORK", "TYPE_NOT_SUPPORTED", "TR_TypeNotSupported"]
        }
        Invalid::EmptyAuthorizationList => &["TYPE_4_EMPTY_AUTHORIZATION_LIST"],
        Invalid::AuthorizationListInvalidFields => {
            &["TYPE_4_INVALID_AUTHORIZATION_FORMAT", "TYPE_4_INVALID_AUTHORITY_SIGNATURE*"]
        }
        Invalid::Eip7873MissingTarget => &["INITCODE_TX_CONTRACT_CREATION"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_refusal_has_the_names_of_its_reason_and_no_others() {
        let nonce = of_rejection(&Rejection::Invalid(Invalid::NonceTooLow { tx: 1, state: 2 }));
        assert!(nonce.is_one_of(&expected(&["TransactionException.NONCE_MISMATCH_TOO_LOW"])));
        assert!(nonce.is_one_of(&expected(&["TransactionException.A", "NONCE_MISMATCH_TOO_LOW"])));
        assert!(!nonce.is_one_of(&expected(&["TransactionException.NONCE_MISMATCH_TOO_HIGH"])));
        assert!(!nonce.is_one_of(&[]));
        let decoding = Refusal::new(&["RLP_*"], "");
        assert!(decoding.is_one_of(&expected(&["BlockException.RLP_STRUCTURES_ENCODING"])));
        assert!(!decoding.is_one_of(&expected(&["BlockException.INVALID_RLP"])));
    }

    #[test]
    fn headers_and_uncles_are_not_of_execution() {
        assert!(are_of_execution(&expected(&["TransactionException.ANYTHING"])));
        assert!(are_of_execution(&expected(&["BlockException.INVALID_STATE_ROOT"])));
        assert!(are_of_execution(&expected(&["TR_IntrinsicGas"])));
        assert!(!are_of_execution(&expected(&["BlockException.EXTRA_DATA_TOO_BIG"])));
        assert!(!are_of_execution(&expected(&[
            "BlockException.INVALID_GASLIMIT",
            "BlockException.X"
        ])));
        let mixed = ["BlockException.INVALID_GASLIMIT", "TransactionException.NONCE_IS_MAX"];
        assert!(are_of_execution(&expected(&mixed)));
    }
}
