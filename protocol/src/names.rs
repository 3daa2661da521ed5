//! Names that more than one party must spell alike.

/// Method of the call that a module makes once when it starts.
pub const MODULE_INIT: &str = "RPC.ModuleInit";
/// Method of the call that asks for a verdict.
pub const PRE_REQUEST: &str = "RPC.PreRequest";
/// Method of the call that reports an anomalous response of a request without an id.
pub const POST_REQUEST: &str = "RPC.PostRequest";
/// Method of the call that reports the response of a request with an id.
pub const UPDATE_REQUEST: &str = "RPC.UpdateRequest";

/// Request header that carries the names of the signals, separated by commas.
pub const TAGS_HEADER: &str = "X-SigSci-Tags";
/// Request header that carries the request's id.
pub const REQUEST_ID_HEADER: &str = "X-SigSci-RequestID";
/// Request header that carries the verdict's code.
pub const AGENT_RESPONSE_HEADER: &str = "X-SigSci-AgentResponse";
/// Pair of a reply that carries the Location of a 3xx verdict; some modules compare this spelling byte for byte.
pub const REDIRECT_HEADER: &str = "X-Sigsci-Redirect";
/// What the names of all headers that only the agent may set begin with, in lower case.
pub const RESERVED_PREFIX: &str = "x-sigsci-";
