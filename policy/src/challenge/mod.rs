//! The challenge for browsers: a page that has to compute something, and a token that proves that it was.
//!
//! Nothing is stored: the challenge carries its end and difficulty, bound by a MAC to the client and its User-Agent, and
//! the answer is a number with which its SHA-256 begins with as many zero bits. A token can be used again until it ends, by
//! the same client.

use sha2::{Digest, Sha256};

use crate::decision::Page;
use crate::state::mac;

/// The cookie that holds the token.
pub const COOKIE: &str = "portcullis_challenge";

/// Whom a challenge is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Challenged<'a> {
    pub(crate) key: &'a [u8; 32],
    pub(crate) client: [u8; 16],
    pub(crate) user_agent: &'a [u8],
}

/// What a request shows for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Missing,
    Invalid,
    Valid,
}

impl Challenged<'_> {
    /// The page that a browser has to run; at `now`.
    pub(crate) fn page(&self, now: u64) -> Page {
        let challenge = self.challenge(now / 1000 + LIFE_SECONDS, BITS);
        let text = PAGE
            .replace("@CHALLENGE@", &challenge)
            .replace("@BITS@", &BITS.to_string())
            .replace("@COOKIE@", COOKIE)
            .replace("@LIFE@", &LIFE_SECONDS.to_string());
        Page { content_type: "text/html; charset=utf-8", headers: HEADERS, body: text.into_bytes() }
    }

    /// Judges what stands in the cookie, at `now`.
    pub(crate) fn verify(&self, cookie: Option<&[u8]>, now: u64) -> Token {
        let Some(cookie) = cookie else { return Token::Missing };
        match self.check(cookie, now / 1000) {
            Some(()) => Token::Valid,
            None => Token::Invalid,
        }
    }

    fn challenge(&self, ends: u64, bits: u32) -> String {
        let head = format!("{ends}.{bits}");
        let mac = mac(self.key, &[head.as_bytes(), b"\0", &self.client, self.user_agent]);
        let mac: String = mac.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{head}.{mac}")
    }

    fn check(&self, cookie: &[u8], now: u64) -> Option<()> {
        let text = std::str::from_utf8(cookie).ok().filter(|text| text.len() <= MOST_TOKEN)?;
        let mut parts = text.split('.');
        let (ends, bits) = (parts.next()?.parse::<u64>().ok()?, parts.next()?.parse::<u32>().ok()?);
        let (_, _) = (parts.next()?, parts.next()?);
        if parts.next().is_some() || ends <= now || ends > now + LIFE_SECONDS || bits < BITS {
            return None;
        }
        let challenge = self.challenge(ends, bits);
        let (given, _) = text.rsplit_once('.')?;
        if !equal(challenge.as_bytes(), given.as_bytes()) {
            return None;
        }
        (zeros(&Sha256::digest(text.as_bytes())) >= bits).then_some(())
    }
}

/// Compares without telling by the time it takes where the difference is.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

fn zeros(hash: &[u8]) -> u32 {
    let whole = hash.iter().take_while(|byte| **byte == 0).count();
    let rest = hash.get(whole).map_or(0, |byte| byte.leading_zeros());
    u32::try_from(whole * 8).unwrap_or(0) + rest
}

const PAGE: &str = include_str!("page.html");
/// Nobody but the client may keep the page, and it runs nothing but what is in it.
const HEADERS: &[(&str, &str)] = &[
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"),
];
/// Zero bits: some 130,000 hashes, a blink for a browser, an hour for a hundred thousand requests.
const BITS: u32 = 17;
const LIFE_SECONDS: u64 = 3600;
const MOST_TOKEN: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn challenged(user_agent: &[u8]) -> Challenged<'_> {
        Challenged { key: &[7; 32], client: [1; 16], user_agent }
    }

    /// What the page's script does.
    fn solve(challenge: &str) -> String {
        let bits: u32 = challenge.split('.').nth(1).unwrap().parse().unwrap();
        let tries = (0..u64::MAX).map(|nonce| format!("{challenge}.{nonce}"));
        tries.into_iter().find(|token| zeros(&Sha256::digest(token.as_bytes())) >= bits).unwrap()
    }

    fn challenge(page: &Page) -> String {
        let text = String::from_utf8(page.body.clone()).unwrap();
        let start = text.find("const challenge = \"").unwrap() + "const challenge = \"".len();
        text[start..].split('"').next().unwrap().to_owned()
    }

    #[test]
    fn whoever_solves_the_page_passes_until_it_ends() {
        let page = challenged(b"Firefox").page(NOW);
        let token = solve(&challenge(&page));
        let verify = |who: Challenged<'_>, now| who.verify(Some(token.as_bytes()), now);
        assert_eq!(verify(challenged(b"Firefox"), NOW), Token::Valid);
        assert_eq!(verify(challenged(b"Firefox"), NOW + 3_599_000), Token::Valid);
        assert_eq!(verify(challenged(b"Firefox"), NOW + 3_600_000), Token::Invalid);
        assert_eq!(verify(challenged(b"curl"), NOW), Token::Invalid);
        assert_eq!(verify(Challenged { client: [2; 16], ..challenged(b"Firefox") }, NOW), Token::Invalid);
        assert_eq!(verify(Challenged { key: &[8; 32], ..challenged(b"Firefox") }, NOW), Token::Invalid);
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'1' { b'2' } else { b'1' };
            assert_eq!(challenged(b"Firefox").verify(Some(&forged), NOW), Token::Invalid, "{at}");
        }
    }

    #[test]
    fn nothing_else_passes() {
        let who = challenged(b"");
        assert_eq!(who.verify(None, NOW), Token::Missing);
        let easy = who.challenge(NOW / 1000 + 10, 0);
        for token in
            ["", "1.2.3.4", &format!("{easy}.0"), &format!("{}.0", who.challenge(NOW / 1000 + 10, BITS))]
        {
            assert_eq!(who.verify(Some(token.as_bytes()), NOW), Token::Invalid, "{token}");
        }
    }

    #[test]
    fn the_page_is_small_and_needs_nothing_else() {
        let page = challenged(b"Firefox").page(NOW);
        let text = String::from_utf8(page.body).unwrap();
        assert!(text.len() < 4096 && !text.contains('@'), "{text}");
        assert!(!text.contains("http://") && !text.contains("https://"));
    }
}
