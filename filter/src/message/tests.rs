use super::*;
use crate::host::mock::{Mock, headers};

fn facts(mock: &Mock) -> Facts {
    let config = Config::default();
    let mut facts = Facts::collect(mock, &config, mock.request_headers().unwrap(), mock.now.get());
    facts.complete(mock, &config);
    facts
}

#[test]
fn tells_all_it_knows() {
    let mock = Mock::get("/a?b=c");
    for (name, value) in [
        ("source.address", &b"192.0.2.7:4711"[..]),
        ("request.protocol", b"HTTP/2"),
        ("connection.tls_version", b"TLSv1.3"),
        ("connection.requested_server_name", b"shop.example"),
        ("connection.mtls", &[1]),
        ("xds.route_name", b"front"),
        ("xds.virtual_host_name", b"shop"),
        ("filter_state.tls.ja4", b"t13d"),
    ] {
        mock.property(name, value);
    }
    let mut config = Config::default();
    config.fingerprints.ja4 = "tls.ja4".to_owned();
    let mut facts = Facts::collect(&mock, &config, mock.request_headers().unwrap(), mock.now.get());
    facts.complete(&mock, &config);
    let message = facts.message(Body { bytes: b"x", total: Some(9), extent: Extent::Truncated });
    assert_eq!((message.method, message.uri), ("GET".into(), "/a?b=c".into()));
    assert_eq!((message.scheme, message.server_name), ("http".into(), "shop.example".into()));
    assert_eq!((message.remote_addr, message.protocol), ("192.0.2.7".into(), "HTTP/2".into()));
    assert_eq!((message.tls_protocol, message.sni), ("TLSv1.3".into(), "shop.example".into()));
    assert_eq!((message.ja3, message.ja4, message.mtls), ("".into(), "t13d".into(), true));
    assert_eq!((message.route_name, message.virtual_host), ("front".into(), "shop".into()));
    assert_eq!((message.timestamp, message.now_millis), (1_800_000_000, 1_800_000_000_000));
    assert_eq!((message.body_total, message.body_truncated), (Some(9), true));
    assert_eq!(message.headers_in, [("Host".into(), "shop.example".into())]);
}

#[test]
fn keeps_header_bytes_order_and_duplicates() {
    let mock = Mock::get("/");
    let pairs: [(&[u8], &[u8]); 4] = [(b":path", b"/\xff"), (b"b", b"\xfe"), (b"a", b""), (b"b", b"2")];
    *mock.request.borrow_mut() = Some(Headers::from_pairs(&pairs));
    let facts = facts(&mock);
    let wire = facts.message(Body::default()).encode();
    let message = RpcMsgIn::decode(&wire).unwrap();
    assert_eq!(&*message.uri, b"/\xff");
    let expected: Vec<_> = pairs[1..].iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    assert_eq!(message.headers_in, expected);
}

#[test]
fn takes_the_port_off_an_address() {
    for (peer, address) in [
        ("192.0.2.7:80", "192.0.2.7"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("/run/x.sock", "/run/x.sock"),
        ("", ""),
    ] {
        assert_eq!(without_port(peer.as_bytes()), address.as_bytes());
    }
}

#[test]
fn tells_streams_from_requests_with_a_body() {
    let is_stream =
        |pairs: &[(&str, &str)]| Facts { headers: headers(pairs), ..Facts::default() }.is_stream();
    assert!(is_stream(&[(":method", "CONNECT")]));
    assert!(is_stream(&[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")]));
    assert!(is_stream(&[("content-type", "application/grpc+proto")]));
    assert!(is_stream(&[("content-type", "Application/GRPC")]));
    assert!(!is_stream(&[(":method", "POST"), ("content-type", "application/json")]));
    // Each of these would otherwise be a way to have a body that nobody looks at.
    assert!(!is_stream(&[("upgrade", "websocket")]));
    assert!(!is_stream(&[("upgrade", "websocket"), ("connection", "keep-alive")]));
    let announced = [("upgrade", "websocket"), ("connection", "upgrade"), ("content-length", "5")];
    assert!(!is_stream(&announced));
    assert!(!is_stream(&[("content-type", "application/grpc"), ("content-length", "5")]));
}
