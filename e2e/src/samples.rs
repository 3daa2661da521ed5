//! Ordinary requests and ordinary attacks, as the smoke run and the tests send them.

use bytes::Bytes;
use http::Method;

use crate::app::ID_HEADER;
use crate::client::Ask;

/// A request under the name by which the application counts it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its name.
    pub name: &'static str,
    /// The request.
    pub ask: Ask,
}

impl Sample {
    /// Names a request.
    #[must_use]
    pub fn new(name: &'static str, ask: Ask) -> Self {
        Self { name, ask: ask.header(ID_HEADER, name) }
    }
}

/// Every kind of body, none of them an attack.
#[must_use]
pub fn benign() -> Vec<Sample> {
    let multipart = "--frontier\r\ncontent-disposition: form-data; name=\"title\"\r\n\r\nholiday\r\n\
        --frontier\r\ncontent-disposition: form-data; name=\"file\"; filename=\"notes.txt\"\r\n\
        content-type: text/plain\r\n\r\nfirst line\nsecond line\r\n--frontier--\r\n";
    let mut head = Ask::get("/demo?page=2");
    head.method = Method::HEAD;
    vec![
        Sample::new("GET", Ask::get("/demo?name=bob&page=2").header("accept", "text/html")),
        Sample::new("form", Ask::post("/demo", FORM, "name=bob&comment=two+words")),
        Sample::new("JSON", Ask::post("/demo", JSON, r#"{"name":"bob","tags":["a","b"],"n":3}"#)),
        Sample::new("multipart", Ask::post("/demo", "multipart/form-data; boundary=frontier", multipart)),
        Sample::new("10 MB upload", Ask::post("/demo", "application/octet-stream", noise(10_000_000))),
        Sample::new("HEAD", head),
    ]
}

/// One attack in each place an application reads from.
#[must_use]
pub fn attacks() -> Vec<Sample> {
    vec![
        attack("SQLi in query"),
        Sample::new("SQLi in form", Ask::post("/demo", FORM, "id=1%27+OR+%271%27%3D%271&action=show")),
        Sample::new("SQLi in JSON", Ask::post("/demo", JSON, r#"{"id":"1' OR '1'='1"}"#)),
        Sample::new("SQLi in header", Ask::get("/demo").header("x-account", "1' OR '1'='1")),
        Sample::new("SQLi in cookie", Ask::get("/demo").header("cookie", "id=1' OR '1'='1; theme=dark")),
        Sample::new("XSS in query", Ask::get("/demo?q=%3Cscript%3Ealert(1)%3C/script%3E")),
        Sample::new("XSS in form", Ask::post("/demo", FORM, "q=%3Cscript%3Ealert%281%29%3C%2Fscript%3E")),
        Sample::new("traversal in query", Ask::get("/demo?file=../../../../etc/passwd")),
        Sample::new("traversal in path", Ask::get("/demo/../../../../etc/passwd")),
        Sample::new("command injection in query", Ask::get("/demo?host=127.0.0.1%3B%20cat%20/etc/passwd")),
    ]
}

/// `?id=1' OR '1'='1`, under this name.
#[must_use]
pub fn attack(name: &'static str) -> Sample {
    Sample::new(name, Ask::get("/demo?id=1%27%20OR%20%271%27%3D%271"))
}

/// Bytes that look like nothing in particular, always the same.
#[must_use]
pub fn noise(length: u32) -> Bytes {
    // A multiplicative hash; its upper byte is the least regular.
    (0..length).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
