//! Refuses calls with ids that jsonrpsee cannot represent. It would treat them as notifications,
//! which have no response.

use crate::server::Calls;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use jsonrpsee::server::{HttpBody, HttpResponse, http::response};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, error::Error};
use tower::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// Replaces a refused call: jsonrpsee answers it with -32600 and the id null.
const REFUSED: &str = r#"{"id":null}"#;
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
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Ok(response::too_large(limit)),
        Err(error) => return Err(error),
    };
    let body = match refuse(&body) {
        Some(other) => HttpBody::from(other),
        None => HttpBody::new(Full::new(body)),
    };
    let answer = calls.call(Request::from_parts(parts, body)).await?;
    Ok(match answer.body().size_hint().exact() {
        // No other response is as short.
        Some(NOTHING) => {
            let mut nothing = HttpResponse::new(HttpBody::empty());
            *nothing.status_mut() = StatusCode::NO_CONTENT;
            nothing
        }
        _ => answer,
    })
}

/// Replaces the calls in a body whose ids cannot be represented. Returns `None` if there are none,
/// or if the body is not JSON.
fn refuse(body: &[u8]) -> Option<String> {
    let is_batch = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if !is_batch {
        let call: &RawValue = serde_json::from_slice(body).ok()?;
        return has_bad_id(call).then(|| REFUSED.to_owned());
    }
    let calls: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    let is_bad: Vec<bool> = calls.iter().map(|call| has_bad_id(call)).collect();
    if !is_bad.contains(&true) {
        return None;
    }
    let calls = calls.iter().zip(is_bad);
    let calls: Vec<&str> =
        calls.map(|(call, is_bad)| if is_bad { REFUSED } else { call.get() }).collect();
    Some(format!("[{}]", calls.join(",")))
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "method")]
    _method: Cow<'a, str>,
}

/// Whether an entry is a call whose id is neither a string, nor null, nor an unsigned 64-bit
/// integer.
fn has_bad_id(entry: &RawValue) -> bool {
    let entry: Option<Entry<'_>> = serde_json::from_str(entry.get()).ok();
    let id = entry.and_then(|entry| entry.id);
    id.is_some_and(|id| !id.get().starts_with('"') && id.get().parse::<u64>().is_err())
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
        for id in ["-5", "0.123", "1764301234567890123456", "1e3", "true", "[1]", "{}"] {
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
