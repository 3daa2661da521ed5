//! Entry points that take the place of the SDK's: `cargo xtask wasm` exports each under the name that the host calls.
//!
//! Streams need none of what the SDK keeps for them, so all their callbacks come here at once. Beside that, the SDK's body
//! callback cannot answer 2, "stop and slow the client down", which is what lets a large upload through
//! while the agent decides. Its reply callback panics on a call that it did not make itself, and it remembers each call
//! until the reply, so that clients who go away would fill its memory.
#![expect(unsafe_code, reason = "an exported symbol must keep its name")]

use super::contexts;
use crate::host::Token;
use crate::stream::Flow;
use crate::verdict::ReplyShape;

// SAFETY: no other symbol of the module has this name, and the signature is plain integers on both sides.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_request_body(context: u32, size: usize, end_of_stream: u32) -> u32 {
    match contexts::on_request_body(context, size, contexts::end(end_of_stream != 0)) {
        Flow::Continue => 0,
        Flow::Collect => 1,
        Flow::Hold => 2,
    }
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_request_headers(context: u32, _count: usize, end_of_stream: u32) -> u32 {
    match contexts::on_request_headers(context, contexts::end(end_of_stream != 0)) {
        Flow::Continue => 0,
        Flow::Collect | Flow::Hold => 1,
    }
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_request_trailers(context: u32, _count: usize) -> u32 {
    match contexts::on_request_trailers(context) {
        Flow::Continue => 0,
        Flow::Collect | Flow::Hold => 1,
    }
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_response_headers(context: u32, _count: usize, _end_of_stream: u32) -> u32 {
    match contexts::on_response_headers(context) {
        Flow::Continue => 0,
        // Stop all: a host that went on to the body would let the response go out with it.
        Flow::Collect | Flow::Hold => 4,
    }
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_log(context: u32) {
    contexts::on_log(context);
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn portcullis_on_http_call_response(
    context: u32,
    token: u32,
    headers: usize,
    body: usize,
    _trailers: usize,
) {
    contexts::on_reply(context, Token(token), ReplyShape { headers, body });
}
