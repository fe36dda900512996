//! Signatures in the input, and signatures made with the input's keys.

use super::error::Failure;
use super::fields::Fields;
use alloy_consensus::{SignableTransaction, Signed, TxEnvelope};
use alloy_primitives::{B256, Signature};
use braid_blocks::keys::Key;

/// Parses a signature in the input.
pub(super) fn signature_of(fields: &Fields<'_>, parity: bool) -> Result<Signature, Failure> {
    let number = |name| Ok(fields.number(&[name])?.unwrap_or_default());
    Ok(Signature::new(number("r")?, number("s")?, parity))
}

/// Signs `tx` with `secret`.
pub(super) fn signed<T>(tx: T, secret: B256) -> Result<TxEnvelope, Failure>
where
    T: SignableTransaction<Signature>,
    TxEnvelope: From<Signed<T>>,
{
    let key = Key::new(secret).map_err(|error| Failure::json(format!("secretKey is {error}")))?;
    let signature = key.sign(tx.signature_hash());
    Ok(tx.into_signed(signature).into())
}
