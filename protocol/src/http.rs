//! The HTTP form of the protocol: what the filter sends and what the agent answers.

/// Path that asks for a verdict; the body is one [`RpcMsgIn`](crate::RpcMsgIn).
pub const PRE_REQUEST: &str = "/v1/pre-request";
/// Path that reports an anomalous response of a request without an id; the body is one [`RpcMsgIn`](crate::RpcMsgIn).
pub const POST_REQUEST: &str = "/v1/post-request";
/// Path that reports the response of a request with an id; the body is one [`RpcMsgIn2`](crate::RpcMsgIn2).
pub const UPDATE_REQUEST: &str = "/v1/update-request";
/// Path that asks about a response before it goes out, where the answer to its request said so; the body is one
/// [`RpcMsgIn2`](crate::RpcMsgIn2), the answer one [`RpcMsgOut`](crate::RpcMsgOut).
pub const RESPONSE: &str = "/v1/response";
/// Path that asks for what the filter needs to judge by itself; the body is one [`LocalQuery`](crate::LocalQuery), the
/// answer one [`LocalFacts`](crate::LocalFacts).
pub const LOCAL: &str = "/v1/local";
/// Path that takes many reports at once; the body is one [`ReportBatch`](crate::ReportBatch).
pub const REPORTS: &str = "/v1/reports";
/// Content type of every body.
pub const CONTENT_TYPE: &str = "application/x-msgpack";
/// Header that both sides send, so that a stranger's 200 is never taken for a verdict.
pub const VERSION_HEADER: &str = "x-portcullis-protocol";
/// Value of [`VERSION_HEADER`]: the newest version that this side speaks. It speaks all before it too, since a version only
/// adds keys, which older readers pass over.
pub const VERSION: &str = "2";
/// [`VERSION`] as a number.
pub const NEWEST: u16 = 2;
/// The first version in which an answer can hold a page for a client that is stopped.
pub const PAGES: u16 = 2;
/// Bytes of a page; a longer one is not sent, and the client gets the status alone.
pub const MAX_PAGE: usize = 32 * 1024;
/// Body of the answer to a report: the integer 0.
pub const ACK: &[u8] = &[0x00];

/// The version that an agent answers in: the newest that both sides speak, where the caller's newest is `offer`. None where
/// that is no version.
pub fn agreed(offer: &[u8]) -> Option<u16> {
    read_version(offer).map(|offer| offer.min(NEWEST))
}

/// Whether a caller can read an answer of version `answered`: it is no newer than what it speaks.
pub fn is_readable(answered: &[u8]) -> bool {
    read_version(answered).is_some_and(|answered| answered <= NEWEST)
}

fn read_version(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.len() <= 4 && bytes.iter().all(u8::is_ascii_digit);
    let number = digits.then(|| std::str::from_utf8(bytes).ok()?.parse().ok()).flatten()?;
    (number > 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_on_the_newest_that_both_speak() {
        assert_eq!(VERSION, NEWEST.to_string());
        assert_eq!(agreed(b"1"), Some(1));
        assert_eq!(agreed(VERSION.as_bytes()), Some(NEWEST));
        // A caller of a later release.
        assert_eq!(agreed(b"3"), Some(NEWEST));
        assert_eq!(agreed(b"9999"), Some(NEWEST));
    }

    #[test]
    fn agrees_on_nothing_where_no_version_is_offered() {
        for offer in [&b""[..], b"0", b"-1", b"+1", b"1.0", b" 1", b"one", b"65536", b"10000", b"\xff"] {
            assert_eq!(agreed(offer), None, "{offer:?}");
            assert!(!is_readable(offer), "{offer:?}");
        }
    }

    #[test]
    fn reads_no_answer_that_is_newer_than_itself() {
        assert!((1..=NEWEST).all(|version| is_readable(version.to_string().as_bytes())));
        assert!(!is_readable((NEWEST + 1).to_string().as_bytes()));
    }
}
