//! Members of a JSON object as they appear in the text.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, fmt};

/// Name of a member.
#[derive(Deserialize)]
pub(super) struct Name<'t>(#[serde(borrow)] pub(super) Cow<'t, str>);

/// All members of an object in the order of the text, including those with a repeated name.
pub(super) struct Members<'t>(pub(super) Vec<(Name<'t>, &'t RawValue)>);

impl<'t> Deserialize<'t> for Members<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(All)
    }
}

struct All;

impl<'t> Visitor<'t> for All {
    type Value = Members<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Members<'t>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// Members of an object with known names, and all other members.
pub(super) struct Known<'t> {
    pub(super) fields: Vec<(&'static str, &'t RawValue)>,
    pub(super) others: BTreeMap<String, &'t RawValue>,
}

impl<'t> Known<'t> {
    /// Looks up `names`, ignoring ASCII case, as geth does.
    ///
    /// # Errors
    /// A member occurs twice, so its value is ambiguous.
    pub(super) fn among(members: Members<'t>, names: &[&'static str]) -> Result<Self, String> {
        let mut known = Self { fields: Vec::new(), others: BTreeMap::new() };
        for (Name(name), value) in members.0 {
            let found = names.iter().find(|known| known.eq_ignore_ascii_case(&name));
            let is_there = match found {
                Some(found) => known.get(found).is_some(),
                None => known.others.contains_key(&*name),
            };
            if is_there {
                return Err(format!("{name} is there twice"));
            }
            match found {
                Some(found) => known.fields.push((*found, value)),
                None => {
                    known.others.insert(name.into_owned(), value);
                }
            }
        }
        Ok(known)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'t RawValue> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
    }

    /// Returns the object with only these members, as JSON.
    pub(super) fn json(fields: impl IntoIterator<Item = (impl AsRef<str>, String)>) -> String {
        let fields = fields.into_iter().map(|(name, value)| {
            // The name may contain characters that must be escaped in JSON.
            let name = serde_json::Value::from(name.as_ref());
            format!("{name}:{value}")
        });
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    }
}

/// Returns the value as it is passed to serde. An integer above 64 bits is quoted, as serde would
/// convert it to a floating-point number.
pub(super) fn exact(value: &RawValue) -> String {
    let text = value.get();
    let is_long = text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_err();
    if is_long { format!("\"{text}\"") } else { text.to_owned() }
}
