//! Every decoder on the same bytes. None makes more than three bytes of one, the most that UTF-8 takes for an escape.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_detect::fuzzing;

const DECODERS: [&str; 14] = [
    "base64",
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
        assert!(length <= bytes.len(), "{name} makes {length} bytes of {}", bytes.len());
    }
});
