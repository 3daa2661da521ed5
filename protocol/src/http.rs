//! The HTTP form of the protocol: what the filter sends and what the agent answers.

/// Path that asks for a verdict; the body is one [`RpcMsgIn`](crate::RpcMsgIn).
pub const PRE_REQUEST: &str = "/v1/pre-request";
/// Path that reports an anomalous response of a request without an id; the body is one [`RpcMsgIn`](crate::RpcMsgIn).
pub const POST_REQUEST: &str = "/v1/post-request";
/// Path that reports the response of a request with an id; the body is one [`RpcMsgIn2`](crate::RpcMsgIn2).
pub const UPDATE_REQUEST: &str = "/v1/update-request";
/// Content type of every body.
pub const CONTENT_TYPE: &str = "application/x-msgpack";
/// Header that both sides send, so that a stranger's 200 is never taken for a verdict.
pub const VERSION_HEADER: &str = "x-portcullis-protocol";
/// Value of [`VERSION_HEADER`].
pub const VERSION: &str = "1";
/// Body of the answer to a report: the integer 0.
pub const ACK: &[u8] = &[0x00];
