//! The form of a response, as JSON-RPC 2.0 says.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Code of an error of the node itself. A panic in a method becomes one.
const INTERNAL: i64 = -32_603;

/// What must answer a call.
#[derive(Debug, PartialEq)]
enum Due<'t> {
    /// A response with this id.
    Answer(&'t str),
    /// An error, with the id null.
    Error,
    /// An error with any id: the call is no object.
    Any,
    /// Nothing, as for a notification.
    Nothing,
    /// Any response, or nothing: the call has repeated or unknown members, or lacks one, so the
    /// specification leaves open whether it is a notification.
    Open,
}

/// Checks the response to `body`.
pub(super) fn check(body: &[u8], status: u16, answer: &str) -> Result<(), String> {
    if status == 204 {
        let is_right = answer.is_empty() && may_be_silent(body);
        return if is_right { Ok(()) } else { Err("no response".to_owned()) };
    }
    // 400 is for bodies that are no JSON, or neither an object nor a list.
    let is_structured = matches!(begins(body), Some(b'{' | b'['));
    let is_refused = status == 400 && !(is_structured && due(body).is_some());
    if status != 200 && !is_refused {
        return Err("another status".to_owned());
    }
    let answers: Vec<&RawValue> = match answer.starts_with('[') {
        true => serde_json::from_str(answer),
        false => serde_json::from_str(answer).map(|answer| vec![answer]),
    }
    .map_err(|error| format!("the response is no JSON: {error}"))?;
    let answers = answers.into_iter().map(Answer::new).collect::<Result<Vec<_>, _>>()?;
    let due = due(body);
    let is_batch = due.is_some() && begins(body) == Some(b'[');
    if !answer.starts_with('[') {
        let [answer] = &*answers else { return Err("several responses".to_owned()) };
        let due = match due.as_deref() {
            Some([due]) if !is_batch => due,
            // A batch that is refused as a whole, or no JSON.
            _ => &Due::Error,
        };
        return if answer.fits(due) { Ok(()) } else { Err(format!("{answer:?} for {due:?}")) };
    }
    let Some(due) = due.filter(|_| is_batch) else { return Err("a batch".to_owned()) };
    match fits(&due, &answers) {
        true => Ok(()),
        false => Err(format!("{answers:?} for {due:?}")),
    }
}

/// Whether the responses answer the calls, in order.
fn fits(due: &[Due<'_>], answers: &[Answer<'_>]) -> bool {
    let Some((first, due)) = due.split_first() else { return answers.is_empty() };
    let is_silent = matches!(first, Due::Nothing | Due::Open) && fits(due, answers);
    let answered = answers.split_first().filter(|(answer, _)| answer.fits(first));
    is_silent || answered.is_some_and(|(_, answers)| fits(due, answers))
}

fn begins(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// Returns what must answer each call; `None` if the body is not JSON.
fn due(body: &[u8]) -> Option<Vec<Due<'_>>> {
    let calls: Vec<&RawValue> = match begins(body)? {
        b'[' => serde_json::from_slice(body).ok()?,
        _ => vec![serde_json::from_slice(body).ok()?],
    };
    Some(calls.into_iter().map(due_for).collect())
}

fn may_be_silent(body: &[u8]) -> bool {
    let is_silent = |due: &Due<'_>| matches!(due, Due::Nothing | Due::Open);
    due(body).is_some_and(|due| !due.is_empty() && due.iter().all(is_silent))
}

/// Returns what must answer one call.
fn due_for(call: &RawValue) -> Due<'_> {
    let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(call.get()) else {
        return Due::Any;
    };
    let text = |name: &str| members.get(name).map(|value| value.get());
    let is_string = |value: &str| value.starts_with('"');
    let is_whole = text("jsonrpc") == Some("\"2.0\"") && text("method").is_some_and(is_string);
    let is_known = |name: &String| ["jsonrpc", "id", "method", "params"].contains(&&**name);
    // With what is between members. A repeated member is in the text, but not in the map.
    let length: usize =
        members.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum();
    if !is_whole || !members.keys().all(is_known) || length + 1 != call.get().len() {
        return Due::Open;
    }
    match text("id") {
        Some(id) if id.starts_with(|first| matches!(first, '"' | 'n' | '-' | '0'..='9')) => {
            Due::Answer(id)
        }
        Some(_) => Due::Error,
        None => Due::Nothing,
    }
}

/// One response.
#[derive(Debug)]
struct Answer<'t> {
    id: &'t str,
    is_error: bool,
}

impl<'t> Answer<'t> {
    fn new(text: &'t RawValue) -> Result<Self, String> {
        let members: BTreeMap<String, &RawValue> =
            serde_json::from_str(text.get()).map_err(|error| format!("no object: {error}"))?;
        let member = |name: &str| members.get(name).map(|value| value.get());
        let has = |names: [&str; 3]| names.iter().all(|name| members.contains_key(*name));
        if member("jsonrpc") != Some("\"2.0\"") || members.len() != 3 {
            return Err(format!("not JSON-RPC 2.0: {text}"));
        }
        let is_error = has(["jsonrpc", "id", "error"]);
        if !is_error && !has(["jsonrpc", "id", "result"]) {
            return Err(format!("neither result nor error: {text}"));
        }
        if let Some(error) = member("error") {
            check_error(error)?;
        }
        Ok(Self { id: member("id").unwrap_or_default(), is_error })
    }

    fn fits(&self, due: &Due<'_>) -> bool {
        match due {
            Due::Answer(id) => is_same(id, self.id),
            Due::Error => self.is_error && self.id == "null",
            Due::Any => self.is_error,
            Due::Open => true,
            Due::Nothing => false,
        }
    }
}

/// Whether two ids are the same: the same number as text, or the same string.
fn is_same(left: &str, right: &str) -> bool {
    let string = |text: &str| serde_json::from_str::<String>(text).ok();
    left == right || string(left).is_some_and(|left| Some(left) == string(right))
}

fn check_error(error: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{why}: {error}"));
    let Ok(members) = serde_json::from_str::<Map<String, Value>>(error) else {
        return wrong("the error is no object");
    };
    let (code, message) = (members.get("code"), members.get("message").and_then(Value::as_str));
    let (Some(code), Some(message)) = (code.and_then(Value::as_i64), message) else {
        return wrong("the error has no code or message");
    };
    if members.keys().any(|name| !["code", "message", "data"].contains(&&**name)) {
        return wrong("the error has other members");
    }
    if code == INTERNAL && message.contains("panic") {
        return wrong("a method has panicked");
    }
    Ok(())
}
