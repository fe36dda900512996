//! The transactions: `txs`, as JSON with signatures or secret keys, or as RLP.

use super::error::Failure;
use super::fields::{self, Fields};
use super::sign::{signature_of, signed};
use alloy_consensus::{
    SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxEnvelope, TxLegacy,
    transaction::SignerRecoverable,
};
use alloy_eips::eip2718::Decodable2718;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_rlp::{Decodable, Header};
use revm::primitives::hardfork::SpecId;
use serde_json::Value;

/// A transaction with its sender, or why it is invalid.
pub(super) type Read = Result<(TxEnvelope, Address), String>;

/// The rules that parsing depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) spec: SpecId,
    pub(super) chain_id: u64,
}

impl Rules {
    /// Parses the transactions of an input: a list of objects, or RLP in a string.
    pub(super) fn read(&self, value: &Value) -> Result<Vec<Read>, Failure> {
        match value {
            Value::Null => Ok(Vec::new()),
            Value::String(text) => self.read_rlp(text),
            Value::Array(list) => {
                let read = |(index, value)| self.read_object(index, value);
                list.iter().enumerate().map(read).collect()
            }
            other => Err(fields::wrong("txs", "a list of transactions, or RLP in hex", other)),
        }
    }

    fn read_rlp(&self, text: &str) -> Result<Vec<Read>, Failure> {
        let bytes = fields::bytes(text).ok_or_else(|| Failure::json("txs: RLP is no hex"))?;
        let mut rest = bytes.as_ref();
        let list = Header::decode_bytes(&mut rest, true)
            .map_err(|error| Failure::json(format!("txs: {error}")))?;
        let mut items = list;
        let mut read = Vec::new();
        while !items.is_empty() {
            let mut after = items;
            let header = Header::decode(&mut after)
                .map_err(|error| Failure::json(format!("txs[{}]: {error}", read.len())))?;
            let end = items.len() - after.len() + header.payload_length;
            // `decode` has checked that the payload is complete.
            let (item, next) = items.split_at(end.min(items.len()));
            read.push(self.recovered(decode(item, header.list)));
            items = next;
        }
        Ok(read)
    }

    /// Parses an object. A transaction that no block could contain is rejected individually; an
    /// object that is not a transaction makes the whole input unusable.
    fn read_object(&self, index: usize, value: &Value) -> Result<Read, Failure> {
        let fields = Fields::new(format!("txs[{index}]"), value)?;
        let secret = fields.hash(&["secretKey"])?;
        let protected = fields.get(&["protected"]).and_then(|(_, value)| value.as_bool());
        let envelope = self.envelope(&fields, secret, protected.unwrap_or(true));
        Ok(self.recovered(envelope.map_err(|error| error.message)))
    }

    fn recovered(&self, envelope: Result<TxEnvelope, String>) -> Read {
        let envelope = envelope?;
        if let Some(id) = envelope.as_legacy().and_then(|tx| tx.tx().chain_id) {
            // EIP-155 signatures are invalid before Spurious Dragon.
            if !self.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) {
                return Err("invalid transaction v, r, s values".to_owned());
            }
            if id != self.chain_id {
                let want = self.chain_id;
                return Err(format!("invalid chain id for signer: have {id} want {want}"));
            }
        }
        // From Homestead, EIP-2 rejects signatures with `s` in the upper half.
        let sender = if self.spec.is_enabled_in(SpecId::HOMESTEAD) {
            envelope.recover_signer()
        } else {
            envelope.recover_signer_unchecked()
        };
        match sender {
            Ok(sender) => Ok((envelope, sender)),
            Err(_) => Err("invalid transaction v, r, s values".to_owned()),
        }
    }

    fn envelope(
        &self,
        fields: &Fields<'_>,
        secret: Option<B256>,
        protected: bool,
    ) -> Result<TxEnvelope, Failure> {
        let common = Common::read(fields, self.chain_id)?;
        let call = |kind: TxKind, what: &str| match kind {
            TxKind::Call(to) => Ok(to),
            TxKind::Create => Err(Failure::json(format!(
                "input string too short for common.Address, decoding into (types.{what}).To"
            ))),
        };
        match tx_type(fields)? {
            0 => self.legacy(fields, common, secret, protected),
            1 => seal(fields, secret, common.eip2930(fields)?),
            2 => seal(fields, secret, common.eip1559(fields)?),
            3 => {
                let to = call(common.to, "BlobTx")?;
                let tx = common.eip1559(fields)?;
                let tx = TxEip4844 {
                    chain_id: tx.chain_id,
                    nonce: tx.nonce,
                    gas_limit: tx.gas_limit,
                    max_fee_per_gas: tx.max_fee_per_gas,
                    max_priority_fee_per_gas: tx.max_priority_fee_per_gas,
                    to,
                    value: tx.value,
                    access_list: tx.access_list,
                    blob_versioned_hashes: blob_hashes(fields)?,
                    max_fee_per_blob_gas: price(fields, "maxFeePerBlobGas")?,
                    input: tx.input,
                };
                seal(fields, secret, tx)
            }
            4 => {
                let to = call(common.to, "SetCodeTx")?;
                let tx = common.eip1559(fields)?;
                let tx = TxEip7702 {
                    chain_id: tx.chain_id,
                    nonce: tx.nonce,
                    gas_limit: tx.gas_limit,
                    max_fee_per_gas: tx.max_fee_per_gas,
                    max_priority_fee_per_gas: tx.max_priority_fee_per_gas,
                    to,
                    value: tx.value,
                    access_list: tx.access_list,
                    authorization_list: authorizations(fields)?,
                    input: tx.input,
                };
                seal(fields, secret, tx)
            }
            _ => Err(Failure::json("transaction type not supported")),
        }
    }

    fn legacy(
        &self,
        fields: &Fields<'_>,
        common: Common,
        secret: Option<B256>,
        protected: bool,
    ) -> Result<TxEnvelope, Failure> {
        let mut tx = TxLegacy {
            chain_id: None,
            nonce: common.nonce,
            gas_price: price(fields, "gasPrice")?,
            gas_limit: common.gas_limit,
            to: common.to,
            value: common.value,
            input: common.input,
        };
        let v = fields.number(&["v"])?.unwrap_or_default();
        if let Some(secret) = secret.filter(|_| unsigned(fields)) {
            let names_chain = protected && self.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
            tx.chain_id = names_chain.then_some(self.chain_id);
            return signed(tx, secret);
        }
        // EIP-155: v is 27 or 28 or, with a chain id, 35 or 36 plus twice the id.
        let odd = v.bit(0);
        let (parity, chain_id) = match u64::try_from(v).unwrap_or(u64::MAX) {
            v @ (27 | 28) => (v == 28, None),
            v if v >= 35 => (!odd, Some((v - 35) / 2)),
            _ => return Err(Failure::json("invalid transaction v, r, s values")),
        };
        tx.chain_id = chain_id;
        Ok(tx.into_signed(signature_of(fields, parity)?).into())
    }
}

/// Fields of transactions of every type.
struct Common {
    chain_id: u64,
    nonce: u64,
    gas_limit: u64,
    to: TxKind,
    value: U256,
    input: Bytes,
}

impl Common {
    fn read(fields: &Fields<'_>, chain_id: u64) -> Result<Self, Failure> {
        let to = match fields.get(&["to"]) {
            Some((_, Value::String(text))) if text.is_empty() || text == "0x" => None,
            _ => fields.address(&["to"])?,
        };
        Ok(Self {
            chain_id: fields.small(&["chainId"])?.unwrap_or(chain_id),
            nonce: fields.small(&["nonce"])?.unwrap_or_default(),
            gas_limit: fields.small(&["gas", "gasLimit"])?.ok_or_else(|| fields.missing("gas"))?,
            to: to.map_or(TxKind::Create, TxKind::Call),
            value: fields.number(&["value"])?.unwrap_or_default(),
            input: fields.bytes(&["input", "data"])?.unwrap_or_default(),
        })
    }

    fn eip2930(self, fields: &Fields<'_>) -> Result<TxEip2930, Failure> {
        Ok(TxEip2930 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_price: price(fields, "gasPrice")?,
            gas_limit: self.gas_limit,
            to: self.to,
            value: self.value,
            access_list: access_list(fields)?,
            input: self.input,
        })
    }

    fn eip1559(self, fields: &Fields<'_>) -> Result<TxEip1559, Failure> {
        Ok(TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: price(fields, "maxFeePerGas")?,
            max_priority_fee_per_gas: price(fields, "maxPriorityFeePerGas")?,
            to: self.to,
            value: self.value,
            access_list: access_list(fields)?,
            input: self.input,
        })
    }
}

/// Returns the stated type, or the oldest type that has the given fields.
fn tx_type(fields: &Fields<'_>) -> Result<u64, Failure> {
    if let Some(given) = fields.small(&["type"])? {
        return Ok(given);
    }
    let has = |name| fields.get(&[name]).is_some();
    let newest =
        [("authorizationList", 4), ("maxFeePerBlobGas", 3), ("maxFeePerGas", 2), ("accessList", 1)];
    Ok(newest.into_iter().find(|(name, _)| has(name)).map_or(0, |(_, tx_type)| tx_type))
}

fn price(fields: &Fields<'_>, name: &str) -> Result<u128, Failure> {
    let price = fields.number(&[name])?.ok_or_else(|| fields.missing(name))?;
    price.try_into().map_err(|_| Failure::json(format!("{name} is above 2^128 - 1 wei")))
}

fn access_list(fields: &Fields<'_>) -> Result<AccessList, Failure> {
    let Some((path, list)) = fields.list(&["accessList"])? else {
        return Ok(AccessList::default());
    };
    let item = |(index, value)| {
        let fields = Fields::new(format!("{path}[{index}]"), value)?;
        let (keys_at, keys) = fields.list(&["storageKeys"])?.unwrap_or_default();
        let key = |key| fields::word(key).ok_or_else(|| fields::wrong(&keys_at, "words", key));
        Ok(AccessListItem {
            address: fields.address(&["address"])?.ok_or_else(|| fields.missing("address"))?,
            storage_keys: keys.iter().map(key).collect::<Result<_, Failure>>()?,
        })
    };
    list.iter().enumerate().map(item).collect::<Result<_, Failure>>().map(AccessList)
}

fn blob_hashes(fields: &Fields<'_>) -> Result<Vec<B256>, Failure> {
    let (path, list) = fields.list(&["blobVersionedHashes"])?.unwrap_or_default();
    let hash = |value| fields::word(value).ok_or_else(|| fields::wrong(&path, "hashes", value));
    list.iter().map(hash).collect()
}

fn authorizations(fields: &Fields<'_>) -> Result<Vec<SignedAuthorization>, Failure> {
    let (path, list) = fields.list(&["authorizationList"])?.unwrap_or_default();
    let authorization = |(index, value)| {
        let fields = Fields::new(format!("{path}[{index}]"), value)?;
        let inner = Authorization {
            chain_id: fields.number(&["chainId"])?.unwrap_or_default(),
            address: fields.address(&["address"])?.ok_or_else(|| fields.missing("address"))?,
            nonce: fields.small(&["nonce"])?.unwrap_or_default(),
        };
        let parity = fields.small(&["yParity", "v"])?.unwrap_or_default();
        let parity = u8::try_from(parity).map_err(|_| Failure::json("authorization: v"))?;
        let number = |name| Ok(fields.number(&[name])?.unwrap_or_default());
        Ok(SignedAuthorization::new_unchecked(inner, parity, number("r")?, number("s")?))
    };
    list.iter().enumerate().map(authorization).collect()
}

/// Returns whether the object has no signature.
fn unsigned(fields: &Fields<'_>) -> bool {
    let none = |name| fields.number(&[name]).is_ok_and(|it| it.unwrap_or_default().is_zero());
    ["v", "r", "s"].into_iter().all(none)
}

/// Returns the transaction with its signature or, without one, signed with `secret`.
fn seal<T>(fields: &Fields<'_>, secret: Option<B256>, tx: T) -> Result<TxEnvelope, Failure>
where
    T: SignableTransaction<alloy_primitives::Signature>,
    TxEnvelope: From<Signed<T>>,
{
    if let Some(secret) = secret.filter(|_| unsigned(fields)) {
        return signed(tx, secret);
    }
    let parity = fields.number(&["yParity", "y_parity", "v"])?.unwrap_or_default();
    if parity > U256::ONE {
        return Err(Failure::json("invalid transaction v, r, s values"));
    }
    Ok(tx.into_signed(signature_of(fields, parity == U256::ONE)?).into())
}

/// Decodes one item of a block's body: a list is a legacy transaction, a string a typed one.
fn decode(item: &[u8], legacy: bool) -> Result<TxEnvelope, String> {
    let mut bytes = item;
    let envelope = if legacy {
        TxEnvelope::decode_2718(&mut bytes).map_err(|error| error.to_string())?
    } else {
        let typed = Bytes::decode(&mut bytes).map_err(|error| error.to_string())?;
        TxEnvelope::decode_2718_exact(&typed).map_err(|error| error.to_string())?
    };
    if envelope.as_eip4844().is_some_and(|tx| tx.tx().as_with_sidecar().is_some()) {
        return Err("unexpected blob sidecar in transaction".to_owned());
    }
    Ok(envelope)
}
