//! One value through every decoder and detector, with the pre-filter and without: both find the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_detect::{Header, Request};
use portcullis_fuzz::the_prefilter_hides_nothing;

fuzz_target!(|value: &[u8]| {
    let headers = [Header { name: b"x-value", value }, Header { name: b"user-agent", value }];
    the_prefilter_hides_nothing(&Request { target: value, headers: &headers, ..Request::default() });
});
