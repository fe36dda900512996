//! The account that receives a block's fees, and its activity.

use crate::block_file::{BlockFile, PreAccount};
use alloy_primitives::{Address, Bytes, keccak256};
use core::fmt;

/// Kind of the account that receives the fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Producer {
    /// It has a balance and takes no part.
    Apart,
    /// It exists and is empty, as many databases in memory answer.
    Empty,
    /// It does not exist.
    Absent,
    /// It delegates to a contract (EIP-7702) and takes no part.
    Delegated,
    /// It sends every n-th transaction.
    Sends(u32),
    /// It is the contract that is called.
    Called,
    /// It receives every n-th payment.
    Paid(u32),
    /// Each call reads its balance first.
    Read,
}

/// Accounts that a producer may be.
#[derive(Debug, Default)]
pub(super) struct Parties {
    pub(super) sender: Address,
    pub(super) payee: Address,
    pub(super) contract: Address,
}

impl Producer {
    /// Changes `file`, whose producer takes no part, to this producer.
    pub(super) fn apply(self, file: &mut BlockFile, parties: &Parties) {
        let beneficiary = file.block.header.inner.beneficiary;
        match self {
            Self::Apart | Self::Read => {}
            Self::Empty => {
                file.pre_state.insert(beneficiary, PreAccount::default());
            }
            Self::Absent => {
                file.pre_state.remove(&beneficiary);
            }
            Self::Delegated => {
                // A delegation designator: calls run the code of the address after it.
                let code = [&[0xef, 0x01, 0x00][..], &[0x22; 20]].concat();
                let hash = keccak256(&code);
                file.codes.insert(hash, Bytes::from(code));
                let account = file.pre_state.entry(beneficiary).or_default();
                (account.code_hash, account.nonce) = (Some(hash), 1);
            }
            Self::Sends(_) => file.block.header.inner.beneficiary = parties.sender,
            Self::Called => file.block.header.inner.beneficiary = parties.contract,
            Self::Paid(_) => file.block.header.inner.beneficiary = parties.payee,
        }
    }
}

impl fmt::Display for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apart => f.write_str("apart"),
            Self::Empty => f.write_str("empty"),
            Self::Absent => f.write_str("absent"),
            Self::Delegated => f.write_str("delegated"),
            Self::Sends(distance) => write!(f, "sends one in {distance}"),
            Self::Called => f.write_str("called"),
            Self::Paid(distance) => write!(f, "paid by one payment in {distance}"),
            Self::Read => f.write_str("read by each call"),
        }
    }
}
