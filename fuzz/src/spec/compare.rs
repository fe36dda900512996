//! Compares the outputs of two transition tools.

use alloy_primitives::U256;
use serde_json::Value;
use std::collections::BTreeMap;

/// Known deviations of a tool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Oddities {
    /// Rejected transactions stay in the tries of the tool's roots, so the roots of transactions
    /// and receipts are not compared if any were rejected.
    pub rejected_stay_in_tries: bool,
}

/// Fields of the result that must be equal, or missing or null on both sides.
const FIELDS: [&str; 12] = [
    "stateRoot",
    "txRoot",
    "receiptsRoot",
    "withdrawalsRoot",
    "logsHash",
    "logsBloom",
    "gasUsed",
    "currentDifficulty",
    "currentBaseFee",
    "currentExcessBlobGas",
    "requestsHash",
    "requests",
];

/// Returns the differences between `ours` and `theirs`, objects with `alloc` and `result`, as text.
#[must_use]
pub fn differences(ours: &Value, theirs: &Value, oddities: Oddities) -> Vec<String> {
    let mut found = Vec::new();
    let (our_result, their_result) = (&ours["result"], &theirs["result"]);
    let rejected = [our_result, their_result].map(rejected);
    if rejected[0] != rejected[1] {
        found.push(format!("rejected: {:?} and {:?}", rejected[0], rejected[1]));
    }
    for field in FIELDS {
        let of_rejected = matches!(field, "txRoot" | "receiptsRoot") && !rejected[1].is_empty();
        if of_rejected && oddities.rejected_stay_in_tries {
            continue;
        }
        let [our, their] = [our_result, their_result].map(|result| plain(&result[field]));
        if our != their {
            found.push(format!("{field}: {our} and {their}"));
        }
    }
    let has_exception = |result: &Value| !result["blockException"].is_null();
    if has_exception(our_result) != has_exception(their_result) {
        let exceptions = [our_result, their_result].map(|result| &result["blockException"]);
        found.push(format!("blockException: {} and {}", exceptions[0], exceptions[1]));
    }
    found.extend(receipts(&our_result["receipts"], &their_result["receipts"]));
    found.extend(states(&state(&ours["alloc"]), &state(&theirs["alloc"])));
    found
}

fn rejected(result: &Value) -> Vec<u64> {
    let list = result["rejected"].as_array().into_iter().flatten();
    let mut indices: Vec<u64> = list.filter_map(|entry| entry["index"].as_u64()).collect();
    indices.sort_unstable();
    indices
}

/// Normalises numbers in any notation; returns other values unchanged.
fn plain(value: &Value) -> Value {
    match value.as_str() {
        Some(text) if text.len() < 66 => match text.parse::<U256>() {
            // Not every tool prints a base fee of zero.
            Ok(U256::ZERO) => Value::Null,
            Ok(number) => Value::String(number.to_string()),
            Err(_) => value.clone(),
        },
        _ => value.clone(),
    }
}

fn receipts(ours: &Value, theirs: &Value) -> Option<String> {
    let list = |value: &Value| -> Vec<Value> {
        let receipts = value.as_array().into_iter().flatten();
        receipts
            .map(|receipt| {
                let logs = receipt["logs"].as_array().into_iter().flatten().map(|log| {
                    let field = |name: &str| log[name].clone();
                    Value::Array(vec![field("address"), field("topics"), field("data")])
                });
                Value::Array(vec![
                    receipt["transactionHash"].clone(),
                    receipt["succeeded"].clone(),
                    receipt["post_state"].clone(),
                    plain(&receipt["cumulativeGasUsed"]),
                    receipt["bloom"].clone(),
                    logs.collect(),
                ])
            })
            .collect()
    };
    let (ours, theirs) = (list(ours), list(theirs));
    if ours.len() != theirs.len() {
        return Some(format!("receipts: {} and {}", ours.len(), theirs.len()));
    }
    let differing = ours.iter().zip(&theirs).position(|(our, their)| our != their)?;
    Some(format!("receipt {differing}: {} and {}", ours[differing], theirs[differing]))
}

type Account = (U256, U256, String, BTreeMap<U256, U256>);

fn state(alloc: &Value) -> BTreeMap<String, Account> {
    let number = |value: &Value| value.as_str().map_or(U256::ZERO, parse);
    let entries = alloc.as_object().into_iter().flatten();
    entries
        .map(|(address, account)| {
            let slots = account["storage"].as_object().into_iter().flatten();
            let slots = slots.map(|(slot, value)| (parse(slot), number(value)));
            let slots = slots.filter(|(_, value)| !value.is_zero()).collect();
            let code = account["code"].as_str().unwrap_or("0x").to_lowercase();
            let account = (number(&account["balance"]), number(&account["nonce"]), code, slots);
            (address.to_lowercase(), account)
        })
        .collect()
}

fn parse(text: &str) -> U256 {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn states(ours: &BTreeMap<String, Account>, theirs: &BTreeMap<String, Account>) -> Option<String> {
    let all = ours.keys().chain(theirs.keys());
    let mut differing = all.filter(|address| ours.get(*address) != theirs.get(*address));
    let address = differing.next()?;
    Some(format!("account {address}: {:?} and {:?}", ours.get(address), theirs.get(address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn printed() -> Value {
        json!({
            "alloc": {"0xAA": {"balance": "0x10", "nonce": "0x1", "storage": {"0x1": "0x2"}}},
            "result": {
                "stateRoot": "0x01", "txRoot": "0x02", "receiptsRoot": "0x03",
                "withdrawalsRoot": "0x04", "logsHash": "0x05", "logsBloom": "0x06",
                "gasUsed": "0x5208", "currentDifficulty": "0x20000", "currentBaseFee": "0x7",
                "currentExcessBlobGas": "0x8", "requestsHash": "0x09", "requests": ["0x00aa"],
                "rejected": [{"index": 1, "error": "no"}],
                "receipts": [{
                    "transactionHash": "0x0a", "succeeded": true, "cumulativeGasUsed": "0x5208",
                    "bloom": "0x00", "logs": [{"address": "0x1", "topics": [], "data": "0x"}]
                }],
            },
        })
    }

    /// Every part is compared, so every change is noticed.
    #[test]
    fn every_change_is_noticed() {
        let none = Oddities::default();
        assert_eq!(differences(&printed(), &printed(), none), Vec::<String>::new());
        let mut places: Vec<String> =
            FIELDS.iter().map(|field| format!("/result/{field}")).collect();
        let others = [
            "/alloc/0xAA/balance",
            "/alloc/0xAA/nonce",
            "/alloc/0xAA/storage/0x1",
            "/result/rejected/0/index",
            "/result/receipts/0/transactionHash",
            "/result/receipts/0/succeeded",
            "/result/receipts/0/cumulativeGasUsed",
            "/result/receipts/0/bloom",
            "/result/receipts/0/logs/0/data",
        ];
        places.extend(others.map(str::to_owned));
        for place in places {
            let mut other = printed();
            let spot = other.pointer_mut(&place).unwrap_or_else(|| panic!("{place}"));
            *spot = if spot.is_u64() { json!(7) } else { json!("0x77") };
            assert!(!differences(&printed(), &other, none).is_empty(), "{place}");
        }
        let mut other = printed();
        other["result"]["blockException"] = json!("no");
        assert!(!differences(&printed(), &other, none).is_empty());
        other = printed();
        other["alloc"]["0xbb"] = json!({});
        assert!(!differences(&printed(), &other, none).is_empty(), "an empty account");
    }

    #[test]
    fn an_oddity_covers_its_fields_only() {
        let oddities = Oddities { rejected_stay_in_tries: true };
        let mut other = printed();
        other["result"]["txRoot"] = json!("0x77");
        assert!(differences(&printed(), &other, oddities).is_empty());
        other["result"]["stateRoot"] = json!("0x77");
        assert!(!differences(&printed(), &other, oddities).is_empty());
    }
}
