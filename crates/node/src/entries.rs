//! Ids that jsonrpsee cannot represent: it would treat their calls as notifications, which have no
//! response. Numbers that are not unsigned 64-bit integers are passed to it as strings, and put back
//! into the response, as are strings that look like these; calls with other ids are refused.

use crate::{request_log::STANDIN, server::Calls};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use jsonrpsee::server::{HttpBody, HttpResponse, http::response};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::error::Error;
use tower::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// Replaces a refused call: jsonrpsee answers it with -32600 and the id null.
const REFUSED: &str = r#"{"id":null}"#;
/// Replaces a body that is not UTF-8: jsonrpsee answers it with -32700.
const NO_JSON: &[u8] = b"{";
/// Length of the body with which jsonrpsee answers notifications.
const NOTHING: u64 = 4;

/// Returns the response of `calls` to a request whose body has at most `limit` bytes.
///
/// # Errors
/// The body cannot be read.
pub(crate) async fn answer<B>(
    calls: &mut Calls,
    limit: u32,
    request: Request<B>,
) -> Result<HttpResponse, BoxError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, limit as usize).collect().await {
        // jsonrpsee does not look into members that it does not know, so it would take some of these
        // bodies for JSON.
        Ok(body) => match body.to_bytes() {
            body if core::str::from_utf8(&body).is_ok() => body,
            _ => Bytes::from_static(NO_JSON),
        },
        Err(error) if error.is::<LengthLimitError>() => return Ok(response::too_large(limit)),
        Err(error) => return Err(error),
    };
    let (body, ids) = match rewrite(&body) {
        Some((other, ids)) => (HttpBody::from(other), ids),
        None => (HttpBody::new(Full::new(body)), Vec::new()),
    };
    let answer = calls.call(Request::from_parts(parts, body)).await?;
    let answer = if ids.is_empty() || mutant!(IdNotPutBack) {
        answer
    } else {
        put_back(answer, &ids).await?
    };
    Ok(match answer.body().size_hint().exact() {
        // No other response is as short.
        Some(NOTHING) if !mutant!(NotificationAnswered) => {
            let mut nothing = HttpResponse::new(HttpBody::empty());
            *nothing.status_mut() = StatusCode::NO_CONTENT;
            nothing
        }
        _ => answer,
    })
}

/// Replaces ids that cannot be represented, and returns the new body with the numbers among them.
/// Returns `None` if there are none, or if the body is not JSON.
fn rewrite(body: &[u8]) -> Option<(String, Vec<String>)> {
    let mut ids = Vec::new();
    let is_batch = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if !is_batch {
        let call: &RawValue = serde_json::from_slice(body).ok()?;
        let call = rewritten(call, &mut ids)?;
        return Some((call, ids));
    }
    let calls: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    let rewritten: Vec<_> = calls.iter().map(|call| rewritten(call, &mut ids)).collect();
    if rewritten.iter().all(Option::is_none) {
        return None;
    }
    let calls = calls.iter().zip(rewritten);
    let calls = calls.filter(|(_, other)| other.is_some() || !mutant!(UnchangedCallsLost));
    let calls: Vec<String> =
        calls.map(|(call, other)| other.unwrap_or_else(|| call.get().to_owned())).collect();
    Some((format!("[{}]", calls.join(",")), ids))
}

/// Returns a call with another id, if its id cannot be represented.
fn rewritten(call: &RawValue, ids: &mut Vec<String>) -> Option<String> {
    let id = bad_id(call)?;
    if !id.starts_with(|first: char| matches!(first, '"' | '-' | '0'..='9')) {
        return (!mutant!(InvalidIdPassed)).then(|| REFUSED.to_owned());
    }
    // The rest stays as it is: it may contain a number that no `Value` can represent.
    let text = call.get();
    let begin = id.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    let (before, after) = (text.get(..begin)?, text.get(begin.checked_add(id.len())?..)?);
    let rewritten = format!("{before}\"{STANDIN}{}\"{after}", ids.len());
    ids.push(id.to_owned());
    Some(rewritten)
}

/// Puts the ids back that strings stand for. A response states its id before its result. The last
/// id comes first, because it may look like the string that stands for an earlier one.
async fn put_back(answer: HttpResponse, ids: &[String]) -> Result<HttpResponse, BoxError> {
    let (mut parts, body) = answer.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let mut text = String::from_utf8(bytes.to_vec())?;
    for (index, id) in ids.iter().enumerate().rev() {
        text = text.replacen(&format!("\"{STANDIN}{index}\""), id, 1);
    }
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Ok(HttpResponse::from_parts(parts, HttpBody::from(text)))
}

/// A call, of which a malformed one may lack everything else: its error states its id, too.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// Returns the id of a call if it is neither a string, nor null, nor an unsigned 64-bit integer; or
/// if it is a string that begins like the ones that stand for numbers.
fn bad_id(entry: &RawValue) -> Option<&str> {
    let entry: Entry<'_> = serde_json::from_str(entry.get()).ok()?;
    let id = entry.id?.get();
    let is_bad = match id.starts_with('"') {
        true if mutant!(LookalikeIdKept) => false,
        true => serde_json::from_str::<String>(id).is_ok_and(|id| id.starts_with(STANDIN)),
        false if mutant!(FractionIdKept) && id.contains('.') => false,
        false => id.parse::<u64>().is_err(),
    };
    is_bad.then_some(id)
}

#[cfg(test)]
mod tests {
    use crate::{
        Limits, NodeConfig,
        testing::{Client, begun, node},
    };
    use serde_json::{Value, json};

    fn client() -> Client {
        Client::new(&node(&begun(), NodeConfig::default()).shared(), Limits::default())
    }

    /// Sends this body, and returns status and body of the response.
    fn post(client: &Client, body: &str) -> (u16, String) {
        client.runtime.block_on(client.post(1, body.to_owned()))
    }

    fn call(id: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId","params":[]}}"#)
    }

    /// Each id that the JSON-RPC specification allows is returned, or the call is refused.
    #[test]
    fn a_call_is_answered_whatever_its_id_is() {
        let client = client();
        for id in ["0", "7", "18446744073709551615", "null", r#""""#, r#""a\"b""#, r#""-5""#] {
            let (status, answer) = post(&client, &call(id));
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            let id: Value = serde_json::from_str(id).expect("JSON");
            assert_eq!((status, &answer["result"], &answer["id"]), (200, &json!("0x7"), &id));
        }
        for id in ["-5", "0.123", "1764301234567890123456", "1e3"] {
            let (_, answer) = post(&client, &call(id));
            assert!(answer.contains(&format!(r#""id":{id},"#)), "{answer}");
            let (_, answers) = post(&client, &format!("[{},{},{}]", call("1"), call(id), call(id)));
            assert_eq!(answers.matches(&format!(r#""id":{id},"#)).count(), 2, "{answers}");
            assert_eq!(answers.matches(r#""result":"0x7""#).count(), 3, "{answers}");
        }
        for id in ["true", "[1]", "{}"] {
            let (status, answer) = post(&client, &call(id));
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32_600)), "{id}");
            assert_eq!(answer["id"], Value::Null);
            let (_, answers) =
                post(&client, &format!("[{},{},{}]", call("1"), call(id), call("2")));
            let answers: Vec<Value> = serde_json::from_str(&answers).expect("JSON");
            let found: Vec<_> =
                answers.iter().map(|it| (&it["id"], &it["result"], &it["error"]["code"])).collect();
            let (right, none) = (json!("0x7"), Value::Null);
            assert_eq!(
                found,
                [
                    (&json!(1), &right, &none),
                    (&none, &none, &json!(-32_600)),
                    (&json!(2), &right, &none)
                ],
                "{id}"
            );
        }
    }

    /// Once, a number outside the range of `f64`, as an id or beside one, left a call unanswered.
    #[test]
    fn a_number_that_no_value_can_represent_is_answered() {
        let client = client();
        let (_, answer) = post(&client, &call("1e400"));
        assert_eq!(answer, r#"{"jsonrpc":"2.0","id":1e400,"result":"0x7"}"#);
        let body = r#"{"jsonrpc":"2.0","id":-5,"method":"eth_getBalance","params":[1e400]}"#;
        let (_, answer) = post(&client, body);
        assert!(answer.starts_with(r#"{"jsonrpc":"2.0","id":-5,"error""#), "{answer}");
    }

    /// Once, the id of a malformed call could be taken for one that stands for another call's.
    #[test]
    fn a_malformed_call_has_its_own_id() {
        let client = client();
        let malformed = r#"{"jsonrpc":"2.0","id":"braid-id-2c1b5f0a-0","method":7}"#;
        let (_, answers) = post(&client, &format!(r#"[{malformed},{},{{"id":-7}}]"#, call("-5")));
        let answers: Vec<Value> = serde_json::from_str(&answers).expect("JSON");
        let found: Vec<_> = answers.iter().map(|it| (&it["id"], it["error"].is_object())).collect();
        let right =
            [(&json!("braid-id-2c1b5f0a-0"), true), (&json!(-5), false), (&json!(-7), true)];
        assert_eq!(found, right);
    }

    /// Once, a client's own string got the id of another call of its batch.
    #[test]
    fn an_id_that_looks_like_a_replaced_one_is_returned() {
        let client = client();
        let strings = ["\"braid-id-2c1b5f0a-1\"", "-5", "\"\\u0062raid-id-2c1b5f0a-0\"", "7"];
        let calls: Vec<_> = strings.iter().map(|id| call(id)).collect();
        let (_, answers) = post(&client, &format!("[{}]", calls.join(",")));
        let answers: Vec<Value> = serde_json::from_str(&answers).expect("JSON");
        let found: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
        let right =
            [json!("braid-id-2c1b5f0a-1"), json!(-5), json!("braid-id-2c1b5f0a-0"), json!(7)];
        assert_eq!(found, right);
    }

    #[test]
    fn a_notification_has_no_answer() {
        let client = client();
        let one = r#"{"jsonrpc":"2.0","method":"eth_chainId","params":[]}"#;
        for body in [one.to_owned(), format!("[{one},{one}]"), format!(" {one}")] {
            assert_eq!(post(&client, &body), (204, String::new()), "{body}");
        }
        let (status, answers) = post(&client, &format!("[{one},{}]", call("5")));
        let answers: Value = serde_json::from_str(&answers).expect("JSON");
        assert_eq!((status, answers), (200, json!([{"jsonrpc": "2.0", "id": 5, "result": "0x7"}])));
        for (body, code) in [("{", -32_700), ("[]", -32_600), ("null", -32_700)] {
            let (_, answer) = post(&client, body);
            assert!(answer.contains(&code.to_string()), "{body}: {answer}");
        }
    }

    /// Once, bytes that are not UTF-8 were taken for JSON, in a member that no call has.
    #[test]
    fn a_body_that_is_not_utf8_is_no_json() {
        let bodies = [&b"{\"other\":\"\xff\",\"id\":1}"[..], b"[{\"other\":\"\xc3\",\"id\":1}]"];
        for body in bodies {
            let (_, answer) = client().exchange(body.to_vec()).expect("UTF-8");
            assert!(answer.contains("-32700") && answer.contains(r#""id":null"#), "{answer}");
        }
    }

    #[test]
    fn a_request_has_the_limits_bytes_at_most() {
        let limits = Limits { request_bytes: 100, ..Limits::default() };
        let client = Client::new(&node(&begun(), NodeConfig::default()).shared(), limits);
        let (body, spaces) = (call("1"), |count: usize| " ".repeat(count));
        let fits = spaces(100 - body.len()) + &body;
        assert_eq!(post(&client, &fits).0, 200);
        let (status, answer) = post(&client, &(fits + " "));
        assert!(status == 413 && answer.contains("-32007"), "{status} {answer}");
    }
}
