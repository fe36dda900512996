//! Tokens with which clients prove that they know a shared secret: JWT with HS256, as between
//! Ethereum's execution and consensus clients.

use alloy_primitives::B256;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use core::fmt;
use hmac::{Hmac, Mac};
use http::{HeaderMap, header::AUTHORIZATION};
use serde::Deserialize;
use serde_json::from_slice;
use sha2::Sha256;

/// Maximum difference between the time in a token and the clock, in seconds.
const DRIFT: u64 = 60;

/// A secret of 32 bytes that clients share with the server.
#[derive(Clone)]
pub struct Secret(B256);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iat: u64,
    exp: Option<u64>,
}

impl Secret {
    /// Parses 64 hexadecimal digits, with or without 0x, and spaces around them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().map(Self)
    }

    /// Checks the token of a request at the time `now`, in seconds since 1970.
    ///
    /// # Errors
    /// Returns the message for the client.
    pub(crate) fn check(&self, headers: &HeaderMap, now: u64) -> Result<(), &'static str> {
        let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or("missing token\n")?;
        let claims = self.claims(token).ok_or("invalid token\n")?;
        match claims.iat.abs_diff(now) <= DRIFT && claims.exp.is_none_or(|end| now < end) {
            true => Ok(()),
            false => Err("stale token\n"),
        }
    }

    /// Returns what a token says, if it was made with this secret.
    fn claims(&self, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = from_slice(&decode(header)?).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).ok()?;
        mac.update(signed.as_bytes());
        // Takes the same time whether the first or the last byte differs.
        mac.verify_slice(&decode(signature)?).ok()?;
        from_slice(&decode(claims)?).ok().filter(|_| header.alg == "HS256")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn secret() -> Secret {
        Secret::parse(&format!("0x{}\n", "2a".repeat(32))).expect("a secret")
    }

    fn check(token: &str, now: u64) -> Result<(), &'static str> {
        let value = HeaderValue::from_str(token).expect("a header");
        secret().check(&HeaderMap::from_iter([(AUTHORIZATION, value)]), now)
    }

    fn token(secret: &Secret, header: &str, claims: &str) -> String {
        let [header, claims] = [header, claims].map(|it| BASE64_URL_SAFE_NO_PAD.encode(it));
        let signed = format!("{header}.{claims}");
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.0.as_slice()).expect("any length");
        mac.update(signed.as_bytes());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        format!("Bearer {signed}.{signature}")
    }

    #[test]
    fn a_token_of_the_secret_and_of_now_is_right() {
        // Made by Python's hmac and base64.
        let known = "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjEwMDB9.tv1cqNyqivGdgR0SQ-5p7wstB1qRxjNRmcTp6WYQGMg";
        assert_eq!(check(known, 1_000), Ok(()));
        assert_eq!([check(known, 940), check(known, 1_060)], [Ok(()); 2]);
        assert_eq!([check(known, 939), check(known, 1_061)], [Err("stale token\n"); 2]);
        let header = r#"{"alg":"HS256"}"#;
        let ends = token(&secret(), header, r#"{"iat":1000,"exp":1005}"#);
        assert_eq!((check(&ends, 1_004), check(&ends, 1_005)), (Ok(()), Err("stale token\n")));
    }

    #[test]
    fn other_tokens_are_refused() {
        let claims = r#"{"iat":1000}"#;
        let other = Secret(B256::repeat_byte(1));
        for wrong in [
            token(&other, r#"{"alg":"HS256"}"#, claims),
            token(&secret(), r#"{"alg":"none"}"#, claims),
            token(&secret(), r#"{"alg":"HS256"}"#, "{}"),
            "Bearer a.b.c".to_owned(),
            "Bearer ".to_owned(),
            "Bearer eyJhbGciOiJub25lIn0.eyJpYXQiOjEwMDB9.".to_owned(),
        ] {
            assert_eq!(check(&wrong, 1_000), Err("invalid token\n"), "{wrong}");
        }
        assert_eq!(check("Basic abc", 1_000), Err("missing token\n"));
        assert_eq!(secret().check(&HeaderMap::new(), 1_000), Err("missing token\n"));
        assert!(Secret::parse("0x12").is_none() && Secret::parse("").is_none());
        assert_eq!(format!("{:?}", secret()), "Secret");
    }
}
