//! One value through every decoder and detector, with the pre-filter and without: both find the same.
//!
//! It is read in one place, so that many executions are made in little time; `detect_prefilter` has the other places.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_detect::{Header, Request};
use portcullis_fuzz::the_prefilter_hides_nothing;

fuzz_target!(|value: &[u8]| {
    let headers = [Header { name: b"x-value", value }];
    the_prefilter_hides_nothing(&Request { headers: &headers, ..Request::default() });
});
