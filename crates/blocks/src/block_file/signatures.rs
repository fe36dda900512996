//! Compares the senders in a file with those recovered from the signatures.

use super::{BlockFile, FieldError};
use alloy_consensus::transaction::SignerRecoverable;

impl BlockFile {
    /// Recovers the sender of every transaction from its signature and compares it with `from`.
    ///
    /// # Errors
    /// Returns the first transaction whose signature is invalid or belongs to another sender.
    pub fn check_signatures(&self) -> Result<(), FieldError> {
        for (index, transaction) in self.transactions()?.iter().enumerate() {
            let path = format!("block.transactions[{index}]");
            let named = transaction.inner.signer();
            let error = match transaction.inner.inner().recover_signer() {
                Ok(signer) if signer == named => continue,
                Ok(signer) => FieldError::new(
                    format!("{path}.from"),
                    format!("the sender that the signature gives, {signer:?}"),
                    format!("{named:?}"),
                ),
                Err(_) => FieldError::new(
                    format!("{path}.r"),
                    "a valid signature",
                    "one that belongs to no key",
                ),
            };
            return Err(error.in_transaction(index));
        }
        Ok(())
    }
}
