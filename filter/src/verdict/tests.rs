use portcullis_protocol::ByteStr;

use super::*;
use crate::host::mock::{Mock, headers};

fn read(message: &RpcMsgOut<'_>) -> Result<Verdict, Failure> {
    let mock = Mock::default();
    mock.replies(message);
    let body = mock.reply.borrow().1.len();
    Verdict::read(&mock, ReplyShape { headers: 5, body })
}

fn code(code: i32) -> RpcMsgOut<'static> {
    RpcMsgOut { waf_response: code, ..RpcMsgOut::default() }
}

fn pair(name: &'static str, value: &'static str) -> (ByteStr<'static>, ByteStr<'static>) {
    (name.into(), value.into())
}

#[test]
fn tells_codes_apart() {
    assert_eq!(read(&code(200)).unwrap().decision, Decision::Allow);
    for status in [300, 302, 406, 429, 599] {
        let expected = Decision::Block(u16::try_from(status).unwrap());
        assert_eq!(read(&code(status)).unwrap().decision, expected);
    }
    for none in [-2, -1, 0, 100, 201, 299, 600, i32::MAX, i32::MIN] {
        assert_eq!(read(&code(none)), Err(Failure::NotInspected), "{none}");
    }
}

#[test]
fn redirects_only_with_a_location_that_is_one_line() {
    let to = |location| RpcMsgOut { request_headers: vec![pair("X-Sigsci-Redirect", location)], ..code(302) };
    assert_eq!(read(&to("/sorry")).unwrap().decision, Decision::Redirect(302, b"/sorry".to_vec()));
    assert_eq!(read(&to("/a\r\nSet-Cookie: x")).unwrap().decision, Decision::Block(302));
    assert_eq!(read(&to("")).unwrap().decision, Decision::Block(302));
    let not_3xx = RpcMsgOut { waf_response: 406, ..to("/sorry") };
    assert_eq!(read(&not_3xx).unwrap().decision, Decision::Block(406));
}

#[test]
fn passes_on_only_headers_that_cannot_change_the_message() {
    let given = [
        pair("X-SigSci-Tags", "SQLI"),
        pair("X-SigSci-Redirect", "/x"),
        pair(":path", "/admin"),
        pair("Content-Length", "0"),
        pair("transfer-encoding", "chunked"),
        pair("Host", "else"),
        pair("bad name", "x"),
        pair("", "x"),
        pair("x-split", "a\nb"),
        pair("X-Score", "5"),
    ];
    let verdict = read(&RpcMsgOut { request_headers: given.to_vec(), ..code(200) }).unwrap();
    let expected = [("x-sigsci-tags", "SQLI"), ("x-score", "5")];
    assert_eq!(verdict.headers, expected.map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())));
}

fn page(body: &[u8], content_type: &'static str, headers: &[(&'static str, &'static str)]) -> Option<Page> {
    let page_headers = headers.iter().map(|(name, value)| pair(name, value)).collect();
    let message = RpcMsgOut { page: body.into(), page_type: content_type.into(), page_headers, ..code(403) };
    let verdict = read(&message).unwrap();
    assert_eq!(verdict.decision, Decision::Block(403));
    verdict.page
}

#[test]
fn takes_a_page_with_what_goes_with_it() {
    let given = [
        ("Cache-Control", "no-cache"),
        ("content-type", "text/plain"),
        ("X-SigSci-Tags", "SQLI"),
        ("content-length", "1"),
        ("x-split", "a\r\nb: c"),
        ("bad name", "x"),
    ];
    let expected = Page {
        content_type: b"text/html".to_vec(),
        headers: vec![(b"cache-control".to_vec(), b"no-cache".to_vec())],
        body: b"<p>".to_vec(),
    };
    assert_eq!(page(b"<p>", "text/html", &given), Some(expected));
    assert_eq!(page(b"<p>", "text/html", &[("x-a", "1"); 1000]).unwrap().headers.len(), MAX_HEADERS);
}

#[test]
fn takes_no_page_that_it_could_not_send_as_it_is() {
    assert_eq!(page(b"", "text/html", &[]), None);
    assert_eq!(page(b"<p>", "", &[]), None);
    assert_eq!(page(b"<p>", "text/html\r\nx: y", &[]), None);
    assert_eq!(page(&vec![b'x'; http::MAX_PAGE + 1], "text/html", &[]), None);
    assert!(page(&vec![b'x'; http::MAX_PAGE], "text/html", &[]).is_some());
}

#[test]
fn bounds_the_number_of_headers() {
    let many = RpcMsgOut { request_headers: vec![pair("x-a", "1"); 1000], ..code(200) };
    assert_eq!(read(&many).unwrap().headers.len(), MAX_HEADERS);
}

#[test]
fn names_each_shape_of_failure() {
    let with = |pairs: &[(&str, &str)], body: &[u8], shape: ReplyShape| {
        let mock = Mock::default();
        *mock.reply.borrow_mut() = (headers(pairs), body.to_vec());
        Verdict::read(&mock, shape).unwrap_err()
    };
    let three = ReplyShape { headers: 3, body: 9 };
    assert_eq!(with(&[], b"", ReplyShape { headers: 0, body: 0 }), Failure::Reset);
    assert_eq!(with(&[(":status", "503")], b"no", three), Failure::Connect);
    assert_eq!(with(&[(":status", "502")], b"no", three), Failure::Garbled);
    assert_eq!(with(&[(":status", "504")], b"no", three), Failure::Timeout);
    assert_eq!(with(&[(":status", "500")], b"no", three), Failure::Status);
    assert_eq!(with(&[], b"", three), Failure::Status);
    let good = (":status", "200");
    let typed = ("content-type", http::CONTENT_TYPE);
    let versioned = (http::VERSION_HEADER, http::VERSION);
    let verdict = code(200).encode();
    assert_eq!(with(&[good, typed], &verdict, three), Failure::Foreign);
    assert_eq!(with(&[good, versioned], &verdict, three), Failure::Foreign);
    assert_eq!(with(&[good, typed, (http::VERSION_HEADER, "3")], &verdict, three), Failure::Foreign);
    assert_eq!(with(&[good, typed, versioned], b"<html>", three), Failure::Decode);
    for end in 0..verdict.len() {
        assert_eq!(with(&[good, typed, versioned], &verdict[..end], three), Failure::Decode, "{end}");
    }
    let huge = ReplyShape { headers: 5, body: MAX_REPLY_BYTES + 1 };
    assert_eq!(with(&[good, typed, versioned], &verdict, huge), Failure::Decode);
}

const V1: (&str, &str) = ("1", include_str!("../../../vectors/http/v1.json"));
const V2: (&str, &str) = ("2", include_str!("../../../vectors/http/v2.json"));

/// The answer of an agent that speaks this version, as vectors/http keeps it.
fn read_kept((version, file): (&str, &str), group: &str, name: &str) -> Result<Verdict, Failure> {
    let group = &file[file.find(&format!("\"{group}\": {{")).unwrap()..];
    let (_, rest) = group.split_once(&format!("\"{name}\": \"")).unwrap();
    let hex = &rest[..rest.find('"').unwrap()];
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let body: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let mock = Mock::default();
    let pairs = [(":status", "200"), ("content-type", http::CONTENT_TYPE), (http::VERSION_HEADER, version)];
    let shape = ReplyShape { headers: 3, body: body.len() };
    *mock.reply.borrow_mut() = (headers(&pairs), body);
    Verdict::read(&mock, shape)
}

#[test]
fn obeys_an_agent_of_version_1() {
    assert_eq!(read_kept(V1, "agent", "allow").unwrap().decision, Decision::Allow);
    let block = read_kept(V1, "agent", "block").unwrap();
    assert_eq!(block.decision, Decision::Block(406));
    assert_eq!(block.request_id, b"0123456789abcdef01234567");
    assert_eq!(
        read_kept(V1, "agent", "redirect").unwrap().decision,
        Decision::Redirect(302, b"/sorry".to_vec())
    );
}

#[test]
fn shows_the_page_of_an_agent_of_version_2() {
    assert_eq!(read_kept(V2, "agent", "allow").unwrap().decision, Decision::Allow);
    let stopped = read_kept(V2, "agent", "page").unwrap();
    assert_eq!((stopped.decision, stopped.request_id.len()), (Decision::Block(403), 24));
    let page = stopped.page.unwrap();
    assert_eq!(page.body, b"<!doctype html>\n<p>One moment</p>\n");
    assert_eq!(page.content_type, b"text/html; charset=utf-8");
    assert_eq!(page.headers, [(b"cache-control".to_vec(), b"no-store".to_vec())]);
}

#[test]
fn obeys_a_later_agent_that_answers_in_a_version_it_speaks() {
    assert_eq!(read_kept(V1, "later", "agent").unwrap().decision, Decision::Block(406));
}

#[test]
fn knows_reserved_names_in_every_spelling() {
    for reserved in ["x-sigsci-tags", "X-SigSci-Tags", "x_sigsci_tags", "X-SIGSCI_RequestID", "x-sigsci-"] {
        assert!(is_reserved(reserved.as_bytes()), "{reserved}");
    }
    for free in ["x-sigsci", "x-sig", "", "sigsci-tags", "xx-sigsci-tags"] {
        assert!(!is_reserved(free.as_bytes()), "{free}");
    }
}
