//! Requests to the consensus layer that transactions make through logs (EIP-6110).

use alloy_eips::eip6110::DEPOSIT_REQUEST_TYPE;
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Bytes, Log, b256};

/// Error message for a block whose request contract `contract` has no code.
pub(crate) fn no_code(contract: Address) -> String {
    format!("system contract {contract} does not contain code")
}

/// First topic of `DepositEvent(bytes,bytes,bytes,bytes,bytes)`.
const DEPOSIT_EVENT: B256 =
    b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");

/// Layout of the event's data according to the EIP: (offset of the length word, length) per field,
/// in bytes.
const FIELDS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];

/// Length of the event's data in bytes.
const EVENT_LENGTH: usize = 576;

/// Appends one deposit request with all deposits found in `logs`; none if there are no deposits.
///
/// # Errors
/// Returns a message if a deposit event does not have the layout of the EIP: the block is invalid.
pub fn push_deposits<'a>(
    requests: &mut Requests,
    contract: Address,
    logs: impl Iterator<Item = &'a Log>,
) -> Result<(), String> {
    let mut deposits = Vec::new();
    let is_deposit =
        |log: &&Log| log.address == contract && log.topics().first() == Some(&DEPOSIT_EVENT);
    for log in logs.filter(is_deposit) {
        let data = &log.data.data;
        if !append_deposit(data, &mut deposits) {
            return Err(format!("malformed deposit event (EIP-6110) of {} bytes", data.len()));
        }
    }
    if !deposits.is_empty() {
        requests.push_request_with_type(DEPOSIT_REQUEST_TYPE, Bytes::from(deposits));
    }
    Ok(())
}

/// Appends the fields of an event. Returns `false` if its layout differs from the EIP's.
fn append_deposit(data: &[u8], deposits: &mut Vec<u8>) -> bool {
    if data.len() != EVENT_LENGTH {
        return false;
    }
    for (index, (offset, length)) in FIELDS.into_iter().enumerate() {
        let field = data.get(offset + 32..offset + 32 + length);
        let (Some(field), true) =
            (field, word(data, 32 * index) == Some(offset) && word(data, offset) == Some(length))
        else {
            return false;
        };
        deposits.extend_from_slice(field);
    }
    true
}

/// The 32-byte number at `offset`, if it fits into 64 bits.
fn word(data: &[u8], offset: usize) -> Option<usize> {
    let word = data.get(offset..offset + 32)?;
    let (high, low) = word.split_at(24);
    let low: [u8; 8] = low.try_into().ok()?;
    high.iter().all(|byte| *byte == 0).then(|| u64::from_be_bytes(low)).map(|low| low as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::LogData;

    fn event() -> Vec<u8> {
        let mut data = vec![0; EVENT_LENGTH];
        for (index, (offset, length)) in FIELDS.into_iter().enumerate() {
            data[32 * index + 30..32 * index + 32].copy_from_slice(&(offset as u16).to_be_bytes());
            data[offset + 31] = length as u8;
            data[offset + 32..offset + 32 + length].fill(index as u8 + 1);
        }
        data
    }

    fn push(data: Vec<u8>) -> Result<Requests, String> {
        let contract = Address::repeat_byte(7);
        let data = LogData::new_unchecked(vec![DEPOSIT_EVENT], data.into());
        let log = Log { address: contract, data };
        let other = Log { address: Address::ZERO, ..log.clone() };
        let mut requests = Requests::default();
        push_deposits(&mut requests, contract, [log, other].iter()).map(|()| requests)
    }

    #[test]
    fn fields_are_joined_in_order() {
        let requests = push(event()).unwrap();
        let [request] = &requests[..] else { panic!("one request") };
        assert_eq!(request.len(), 1 + 48 + 32 + 8 + 96 + 8);
        assert_eq!((request[0], request[1], request[192]), (0, 1, 5));
    }

    #[test]
    fn any_other_layout_is_refused() {
        for at in [31, 63, 95, 127, 159, 191, 287, 351, 415, 543] {
            let mut data = event();
            data[at] ^= 1;
            assert!(push(data).is_err(), "byte {at}");
        }
        assert!(push(event()[..EVENT_LENGTH - 1].to_vec()).is_err());
    }
}
