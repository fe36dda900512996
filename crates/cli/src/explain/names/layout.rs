//! Storage layout of a contract, as written by `solc --storage-layout`.

use crate::explain::preimages::{SlotPath, Step as SlotStep};
use alloy_primitives::{Address, B256, U256, hex};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Maximum nesting of structures and arrays; a malformed file may define a type by itself.
const DEEPEST: usize = 16;

/// The variables of a contract.
#[derive(Clone, Debug, Deserialize)]
pub struct Layout {
    storage: Vec<Variable>,
    /// Null for a contract without variables.
    types: Option<BTreeMap<String, Type>>,
}

/// A variable, or a member of a structure.
#[derive(Clone, Debug, Deserialize)]
struct Variable {
    label: String,
    offset: u32,
    slot: U256,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Type {
    encoding: String,
    number_of_bytes: U256,
    key: Option<String>,
    value: Option<String>,
    base: Option<String>,
    #[serde(default)]
    members: Vec<Variable>,
}

/// A variable in a slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    /// The variable in Solidity's notation: `heroes[5].wins`.
    pub name: String,
    /// Same, for any key: `heroes[*].wins`.
    pub pattern: String,
    /// Offset of its first byte in the slot, from the lowest byte.
    pub offset: u32,
    /// Number of bytes in the slot.
    pub bytes: u32,
}

impl Field {
    /// Returns whether its bytes differ.
    #[must_use]
    pub fn differs(&self, before: U256, after: U256) -> bool {
        let part = |value: U256| {
            let shifted = value >> (8 * self.offset.min(31));
            if self.bytes >= 32 {
                shifted
            } else {
                shifted & ((U256::ONE << (8 * self.bytes)) - U256::ONE)
            }
        };
        part(before) != part(after)
    }
}

/// Name and pattern of the prefix.
#[derive(Clone)]
struct Path {
    name: String,
    pattern: String,
}

impl Path {
    fn then(&self, name: &str, pattern: &str) -> Self {
        Self { name: self.name.clone() + name, pattern: self.pattern.clone() + pattern }
    }
}

impl Layout {
    pub(super) fn parse(value: &Value) -> Option<Self> {
        Self::deserialize(value).ok()
    }

    fn kind(&self, name: &str) -> Option<&Type> {
        self.types.as_ref()?.get(name)
    }

    fn slots(&self, kind: &str) -> U256 {
        let bytes = self.kind(kind).map_or(U256::ONE, |kind| kind.number_of_bytes);
        bytes.div_ceil(U256::from(32)).max(U256::ONE)
    }

    /// Returns the variables in the slot at `path`; several if they share it.
    #[must_use]
    pub fn fields(&self, path: &SlotPath) -> Vec<Field> {
        let mut found = Vec::new();
        let start = Path { name: String::new(), pattern: String::new() };
        self.within(&self.storage, path.root, &path.steps, &start, DEEPEST, &mut found);
        found
    }

    /// Adds the members of `variables` in `slot`, which is relative to their start.
    fn within(
        &self,
        variables: &[Variable],
        slot: U256,
        steps: &[SlotStep],
        path: &Path,
        depth: usize,
        found: &mut Vec<Field>,
    ) {
        for variable in variables {
            let Some(slot) = slot.checked_sub(variable.slot) else { continue };
            if slot >= self.slots(&variable.kind) {
                continue;
            }
            let dot = if path.name.is_empty() { "" } else { "." };
            let label = format!("{dot}{}", variable.label);
            let path = path.then(&label, &label);
            self.value(&variable.kind, (slot, variable.offset), steps, &path, depth, found);
        }
    }

    /// Adds the variables in this slot of a value.
    fn value(
        &self,
        name: &str,
        (slot, offset): (U256, u32),
        steps: &[SlotStep],
        path: &Path,
        depth: usize,
        found: &mut Vec<Field>,
    ) {
        let (Some(kind), Some(depth)) = (self.kind(name), depth.checked_sub(1)) else { return };
        let mut leaf = |path: Path, bytes: u32| {
            let Path { name, pattern } = path;
            found.push(Field { name, pattern, offset, bytes });
        };
        match (kind.encoding.as_str(), steps) {
            ("mapping", [key, rest @ ..]) => {
                let Some(value) = &kind.value else { return };
                let key = self.key(kind.key.as_deref().unwrap_or_default(), key);
                let path = path.then(&format!("[{key}]"), "[*]");
                let (slot, rest) = member(rest);
                self.value(value, (slot, 0), rest, &path, depth, found);
            }
            ("dynamic_array", []) => leaf(path.then(".length", ".length"), 32),
            ("dynamic_array", [SlotStep::Element(index), rest @ ..]) => {
                self.element(kind, U256::from(*index), rest, path, depth, found);
            }
            ("bytes", []) => leaf(path.clone(), 32),
            ("bytes", [SlotStep::Element(_)]) => leaf(path.clone(), 32),
            ("inplace", _) if !kind.members.is_empty() => {
                self.within(&kind.members, slot, steps, path, depth, found);
            }
            ("inplace", _) if kind.base.is_some() => {
                self.element(kind, slot, steps, path, depth, found);
            }
            ("inplace", []) => {
                leaf(path.clone(), kind.number_of_bytes.saturating_to::<u32>().min(32))
            }
            _ => {}
        }
    }

    /// Adds the variables in this slot of an array's elements.
    fn element(
        &self,
        array: &Type,
        slot: U256,
        steps: &[SlotStep],
        path: &Path,
        depth: usize,
        found: &mut Vec<Field>,
    ) {
        let Some(base) = &array.base else { return };
        let bytes = self.kind(base).map_or(U256::from(32), |kind| kind.number_of_bytes);
        if bytes > U256::from(16) {
            let slots = self.slots(base);
            let (index, slot) = (slot / slots, slot % slots);
            let path = path.then(&format!("[{index}]"), "[*]");
            self.value(base, (slot, 0), steps, &path, depth, found);
        } else if steps.is_empty() {
            let each = U256::from(32) / bytes.max(U256::ONE);
            let first = slot * each;
            let last = first + each - U256::ONE;
            let Path { name, pattern } = path.then(&format!("[{first} to {last}]"), "[*]");
            found.push(Field { name, pattern, offset: 0, bytes: 32 });
        }
    }

    /// Returns a key in Solidity's notation.
    fn key(&self, kind: &str, step: &SlotStep) -> String {
        match step {
            SlotStep::Bytes(bytes) if kind.contains("string") => {
                format!("{:?}", String::from_utf8_lossy(bytes))
            }
            SlotStep::Bytes(bytes) => hex::encode_prefixed(bytes),
            SlotStep::Key(key) if kind.contains("address") || kind.contains("contract") => {
                Address::from_word(B256::from(*key)).to_string()
            }
            SlotStep::Key(key) if kind.contains("bytes") => format!("{:#x}", B256::from(*key)),
            SlotStep::Key(key) if *key < U256::from(u128::MAX) => key.to_string(),
            SlotStep::Key(key) => format!("{key:#x}"),
            SlotStep::Element(index) | SlotStep::Member(index) => index.to_string(),
        }
    }
}

/// Splits off the member of a structure at the start of `steps`; without one, the first slot.
fn member(steps: &[SlotStep]) -> (U256, &[SlotStep]) {
    match steps {
        [SlotStep::Member(slot), rest @ ..] => (U256::from(*slot), rest),
        rest => (U256::ZERO, rest),
    }
}
