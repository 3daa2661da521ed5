//! Every decoder on the same bytes. None makes more bytes than it takes, but for UTF-7, which packs UTF-16 into six bits
//! a byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_detect::fuzzing;

const DECODERS: [&str; 15] = [
    "base64",
    "base64-quoted",
    "css",
    "data-url",
    "fold",
    "hex",
    "hex-path",
    "html",
    "js",
    "nul",
    "overlong",
    "percent",
    "percent-strays",
    "quoted-printable",
    "utf-7",
];

fuzz_target!(|bytes: &[u8]| {
    for name in DECODERS {
        let length = fuzzing::decode(name, bytes).expect("a decoder of that name");
        let most = if name == "utf-7" { bytes.len() * 2 } else { bytes.len() };
        assert!(length <= most, "{name} makes {length} bytes of {}", bytes.len());
    }
});
