//! What a browser does with the page of a challenge, without a browser.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The cookie that answers the challenge in `page`, as `name=value`.
///
/// # Errors
/// When `page` is no challenge.
pub fn solve(page: &str) -> Result<String> {
    let quoted = |mark: &str| {
        let (_, rest) = page.split_once(mark).with_context(|| format!("no {mark:?} in the page: {page}"))?;
        rest.split('"').next().context("a text without an end")
    };
    let (challenge, cookie) = (quoted("const challenge = \"")?, quoted("document.cookie = \"")?);
    let bits = challenge.split('.').nth(1).and_then(|bits| bits.parse().ok());
    let bits: u32 = bits.context("a challenge without a difficulty")?;
    // Every answer is as good as any other; the first is found like the page's script finds it.
    let tokens = (0..u64::MAX).map(|number| format!("{challenge}.{number}"));
    let token = tokens.into_iter().find(|token| zeros(token) >= bits).context("no answer")?;
    Ok(format!("{cookie}{token}"))
}

fn zeros(token: &str) -> u32 {
    let hash = Sha256::digest(token.as_bytes());
    let first = hash.first_chunk().copied().unwrap_or([0xff; 16]);
    u128::from_be_bytes(first).leading_zeros()
}
