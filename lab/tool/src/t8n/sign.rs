//! Signatures in the input, and signatures made with the input's keys.

use super::error::Failure;
use super::fields::Fields;
use alloy_consensus::{SignableTransaction, Signed, TxEnvelope};
use alloy_primitives::{B256, Signature, U256};
use secp256k1::{Message, SECP256K1, SecretKey};

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
    let signature = sign(tx.signature_hash(), secret)
        .ok_or_else(|| Failure::json("secretKey is no key of secp256k1"))?;
    Ok(tx.into_signed(signature).into())
}

/// Signs `hash` with `secret`; `None` if that is not a valid key.
#[must_use]
pub fn sign(hash: B256, secret: B256) -> Option<Signature> {
    let secret = SecretKey::from_byte_array(secret.0).ok()?;
    let signed = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash.0), &secret);
    let (recovery, bytes) = signed.serialize_compact();
    let (r, s) = bytes.split_at(32);
    let parity = i32::from(recovery) & 1 == 1;
    Some(Signature::new(U256::from_be_slice(r), U256::from_be_slice(s), parity))
}
