//! The JSON format of state tests.

use crate::suite::{
    database::Accounts,
    exceptions::Refusal,
    network::Config,
    read::{self, Hash, Hex, Number},
};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, TxKind, U256};
use braid_blocks::keys::Key;
use revm::context::{TxEnv, either::Either};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A test: a transaction with alternatives, and the expected results in each fork.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct StateTest {
    pub(super) env: Env,
    pub(super) pre: Accounts,
    pub(super) post: BTreeMap<String, Vec<Expected>>,
    pub(super) transaction: Parts,
    #[serde(default)]
    pub(super) config: Config,
}

/// The block of the transaction.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Env {
    pub(super) current_coinbase: Address,
    #[serde(default)]
    pub(super) current_difficulty: Number,
    pub(super) current_gas_limit: Number,
    pub(super) current_number: Number,
    pub(super) current_timestamp: Number,
    #[serde(default)]
    pub(super) current_base_fee: Number,
    #[serde(default)]
    pub(super) current_random: Option<Hash>,
    #[serde(default)]
    pub(super) current_excess_blob_gas: Number,
    #[serde(default)]
    pub(super) slot_number: Number,
    #[serde(default, rename = "currentChainID")]
    pub(super) current_chain_id: Option<Number>,
}

/// Expected result of one alternative in one fork.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Expected {
    pub(super) hash: B256,
    pub(super) logs: B256,
    #[serde(default)]
    pub(super) indexes: Indexes,
    #[serde(default, deserialize_with = "read::exceptions")]
    pub(super) expect_exception: Vec<String>,
}

/// Indices of an alternative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Indexes {
    /// Index of the data and of its access list.
    pub data: usize,
    /// Index of the gas limit.
    pub gas: usize,
    /// Index of the value.
    pub value: usize,
}

/// The transaction with its alternatives.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parts {
    data: Vec<Hex>,
    gas_limit: Vec<Number>,
    value: Vec<Number>,
    #[serde(default)]
    nonce: Number,
    #[serde(default, deserialize_with = "read::receiver")]
    to: Option<Address>,
    #[serde(default, deserialize_with = "read::receiver")]
    sender: Option<Address>,
    #[serde(default)]
    secret_key: Option<Hash>,
    #[serde(default)]
    gas_price: Option<Number>,
    #[serde(default)]
    max_fee_per_gas: Option<Number>,
    #[serde(default)]
    max_priority_fee_per_gas: Option<Number>,
    #[serde(default)]
    max_fee_per_blob_gas: Option<Number>,
    #[serde(default)]
    blob_versioned_hashes: Option<Vec<Hash>>,
    #[serde(default)]
    access_lists: Vec<Option<Vec<Access>>>,
    #[serde(default)]
    authorization_list: Option<Vec<Delegation>>,
    #[serde(default)]
    chain_id: Option<Number>,
    #[serde(default, rename = "type")]
    tx_type: Option<Number>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Access {
    address: Address,
    #[serde(default)]
    storage_keys: Vec<Hash>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delegation {
    #[serde(default)]
    chain_id: Number,
    address: Address,
    #[serde(default)]
    nonce: Number,
    #[serde(default)]
    v: Option<Number>,
    /// Same as `v`, if both are present.
    #[serde(default)]
    y_parity: Option<Number>,
    #[serde(default)]
    r: Number,
    #[serde(default)]
    s: Number,
}

impl Parts {
    /// Returns the transaction of one alternative.
    ///
    /// # Errors
    /// Returns a refusal if the alternative is no transaction, for example because it cannot be
    /// encoded.
    pub(super) fn transaction(&self, at: Indexes, chain_id: u64) -> Result<TxEnv, Refusal> {
        let missing = || Refusal::new(&[], "the test lacks this alternative");
        let data = self.data.get(at.data).ok_or_else(missing)?;
        let gas_limit = self.gas_limit.get(at.gas).ok_or_else(missing)?;
        let value = self.value.get(at.value).ok_or_else(missing)?;
        let too_large = |names, what| Refusal::new(names, format!("{what} does not fit"));
        let Number::Fits(value) = *value else {
            return Err(too_large(&["RLP_INVALID_VALUE", "VALUE_OVERFLOW", "TR_*"], "the value"));
        };
        let gas_limit = gas_limit.to_u64().ok_or_else(|| {
            too_large(&["GASLIMIT_OVERFLOW", "RLP_INVALID_GASLIMIT", "TR_*"], "the gas limit")
        })?;
        let nonce = self.nonce.to_u64().ok_or_else(|| {
            too_large(
                &["NONCE_OVERFLOW", "NONCE_TOO_BIG", "RLP_INVALID_NONCE", "TR_*"],
                "the nonce",
            )
        })?;
        let tx_type = self.tx_type(at.data);
        // These types cannot create contracts, which revm does not check.
        if self.to.is_none() && matches!(tx_type, 3 | 4) {
            const NAMES: &[&str] =
                &["TYPE_3_TX_CONTRACT_CREATION", "TYPE_4_TX_CONTRACT_CREATION", "TR_BLOBCREATE"];
            return Err(Refusal::new(NAMES, format!("type {tx_type} without receiver")));
        }
        let capped = |number: Number| u128::try_from(number.saturating()).unwrap_or(u128::MAX);
        let typed = tx_type > 0;
        let own_id = self.chain_id.map(|id| id.to_u64().unwrap_or(u64::MAX));
        Ok(TxEnv {
            tx_type,
            caller: self.sender()?,
            gas_limit,
            gas_price: capped(self.gas_price.or(self.max_fee_per_gas).unwrap_or_default()),
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value,
            data: data.0.clone(),
            nonce,
            chain_id: if typed { own_id.or(Some(chain_id)) } else { own_id },
            access_list: self.access_list(at.data),
            gas_priority_fee: self.max_priority_fee_per_gas.map(capped),
            blob_hashes: self.blob_versioned_hashes.iter().flatten().map(|hash| hash.0).collect(),
            max_fee_per_blob_gas: self.max_fee_per_blob_gas.map_or(0, capped),
            authorization_list: self.authorizations()?,
        })
    }

    /// Returns the stated type or, without one, the type that the fields imply.
    fn tx_type(&self, data: usize) -> u8 {
        if let Some(stated) = self.tx_type.and_then(Number::to_u64) {
            return u8::try_from(stated).unwrap_or(u8::MAX);
        }
        if self.authorization_list.is_some() {
            4
        } else if self.max_fee_per_blob_gas.is_some() || self.blob_versioned_hashes.is_some() {
            3
        } else if self.max_fee_per_gas.is_some() {
            2
        } else {
            u8::from(self.access_lists.get(data).is_some_and(Option::is_some))
        }
    }

    fn sender(&self) -> Result<Address, Refusal> {
        if let Some(sender) = self.sender {
            return Ok(sender);
        }
        let unknown = || Refusal::new(&[], "the test names neither sender nor key");
        let key = self.secret_key.ok_or_else(unknown)?;
        let key = Key::new(key.0);
        key.map(|key| key.address())
            .map_err(|error| Refusal::new(&["INVALID_SIGNATURE_VRS"], error))
    }

    fn access_list(&self, data: usize) -> AccessList {
        let list = self.access_lists.get(data).and_then(Option::as_ref);
        let item = |access: &Access| AccessListItem {
            address: access.address,
            storage_keys: access.storage_keys.iter().map(|key| key.0).collect(),
        };
        AccessList(list.into_iter().flatten().map(item).collect())
    }

    fn authorizations<R>(&self) -> Result<Vec<Either<SignedAuthorization, R>>, Refusal> {
        const FORMAT: &[&str] = &["TYPE_4_INVALID_AUTHORIZATION_FORMAT"];
        const SIGNATURE: &[&str] = &["TYPE_4_INVALID_AUTHORITY_SIGNATURE*"];
        let list = self.authorization_list.iter().flatten();
        list.map(|entry| {
            let fits = |number: Number| match number {
                Number::Fits(value) => Ok(value),
                Number::TooLarge => {
                    Err(Refusal::new(FORMAT, "an authorization with a number too large"))
                }
            };
            let nonce = entry.nonce.to_u64();
            let nonce = nonce.ok_or_else(|| Refusal::new(FORMAT, "an authorization's nonce"))?;
            let parity = u8::try_from(fits(entry.y_parity.or(entry.v).unwrap_or_default())?);
            let parity =
                parity.map_err(|_| Refusal::new(SIGNATURE, "an authorization's parity"))?;
            let inner =
                Authorization { chain_id: fits(entry.chain_id)?, address: entry.address, nonce };
            let (r, s): (U256, U256) = (fits(entry.r)?, fits(entry.s)?);
            Ok(Either::Left(SignedAuthorization::new_unchecked(inner, parity, r, s)))
        })
        .collect()
    }
}
