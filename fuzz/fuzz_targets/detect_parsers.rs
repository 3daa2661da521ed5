//! Every body parser on the same bytes. None hands on more pieces than there are bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_detect::fuzzing;

const PARSERS: [&str; 9] =
    ["charset", "grammar", "graphql", "inflate", "json", "multipart", "protobuf", "sniff", "xml"];

fuzz_target!(|bytes: &[u8]| {
    for name in PARSERS {
        let pieces = fuzzing::parse(name, bytes).expect("a parser of that name");
        let most = match name {
            "inflate" => 4 << 16,
            // A wide character is up to three bytes of UTF-8 for two.
            "charset" => bytes.len() * 2 + 3,
            _ => bytes.len() + 2,
        };
        assert!(pieces <= most, "{name} makes {pieces} pieces of {} bytes", bytes.len());
    }
});
