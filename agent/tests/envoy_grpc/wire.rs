//! Envoy's messages as Envoy sends them, written down once more from their definitions: a number that is wrong in the
//! agent does not agree with them.

use std::collections::HashMap;

use prost::Message;

macro_rules! messages {
    ($($name:ident { $($field:ident: $type:ty = ($($kind:tt)*);)* })*) => {
        $(
            #[derive(Clone, PartialEq, Message)]
            pub(crate) struct $name {
                $(#[prost($($kind)*)] pub(crate) $field: $type,)*
            }
        )*
    };
}

messages! {
    CheckRequest { attributes: Option<AttributeContext> = (message, optional, tag = "1"); }
    AttributeContext {
        source: Option<Peer> = (message, optional, tag = "1");
        request: Option<AttributeRequest> = (message, optional, tag = "4");
    }
    Peer { address: Option<Address> = (message, optional, tag = "1"); }
    Address { socket_address: Option<SocketAddress> = (message, optional, tag = "1"); }
    SocketAddress {
        address: String = (string, tag = "2");
        port_value: u32 = (uint32, tag = "3");
    }
    AttributeRequest { http: Option<HttpRequest> = (message, optional, tag = "2"); }
    HttpRequest {
        id: String = (string, tag = "1");
        method: String = (string, tag = "2");
        headers: HashMap<String, String> = (map = "string, string", tag = "3");
        path: String = (string, tag = "4");
        host: String = (string, tag = "5");
        scheme: String = (string, tag = "6");
        size: i64 = (int64, tag = "9");
        protocol: String = (string, tag = "10");
        body: String = (string, tag = "11");
        raw_body: Vec<u8> = (bytes = "vec", tag = "12");
        header_map: Option<HeaderMap> = (message, optional, tag = "13");
    }
    HeaderMap { headers: Vec<HeaderValue> = (message, repeated, tag = "1"); }
    HeaderValue {
        key: String = (string, tag = "1");
        value: String = (string, tag = "2");
        raw_value: Vec<u8> = (bytes = "vec", tag = "3");
    }
    HeaderValueOption {
        header: Option<HeaderValue> = (message, optional, tag = "1");
        append_action: i32 = (int32, tag = "3");
    }
    CheckResponse {
        status: Option<RpcStatus> = (message, optional, tag = "1");
        denied_response: Option<DeniedResponse> = (message, optional, tag = "2");
        ok_response: Option<OkResponse> = (message, optional, tag = "3");
        dynamic_metadata: Option<Struct> = (message, optional, tag = "4");
    }
    RpcStatus { code: i32 = (int32, tag = "1"); }
    DeniedResponse {
        status: Option<HttpStatus> = (message, optional, tag = "1");
        headers: Vec<HeaderValueOption> = (message, repeated, tag = "2");
        body: String = (string, tag = "3");
    }
    HttpStatus { code: i32 = (int32, tag = "1"); }
    OkResponse {
        headers: Vec<HeaderValueOption> = (message, repeated, tag = "2");
        headers_to_remove: Vec<String> = (string, repeated, tag = "5");
        response_headers_to_add: Vec<HeaderValueOption> = (message, repeated, tag = "6");
    }
    Struct { fields: HashMap<String, Value> = (map = "string, message", tag = "1"); }
    Value {
        number_value: Option<f64> = (double, optional, tag = "2");
        string_value: Option<String> = (string, optional, tag = "3");
        struct_value: Option<Struct> = (message, optional, tag = "5");
        list_value: Option<ListValue> = (message, optional, tag = "6");
    }
    ListValue { values: Vec<Value> = (message, repeated, tag = "1"); }

    HealthCheckRequest { service: String = (string, tag = "1"); }
    HealthCheckResponse { status: i32 = (int32, tag = "1"); }

    StreamAccessLogsMessage {
        identifier: Option<Identifier> = (message, optional, tag = "1");
        http_logs: Option<HttpLogs> = (message, optional, tag = "2");
    }
    Identifier { log_name: String = (string, tag = "2"); }
    HttpLogs { log_entry: Vec<HttpLogEntry> = (message, repeated, tag = "1"); }
    HttpLogEntry {
        common_properties: Option<Common> = (message, optional, tag = "1");
        protocol_version: i32 = (int32, tag = "2");
        request: Option<RequestProperties> = (message, optional, tag = "3");
        response: Option<ResponseProperties> = (message, optional, tag = "4");
    }
    Common {
        time_to_last_downstream_tx_byte: Option<Duration> = (message, optional, tag = "12");
        metadata: Option<Metadata> = (message, optional, tag = "17");
    }
    Duration {
        seconds: i64 = (int64, tag = "1");
        nanos: i32 = (int32, tag = "2");
    }
    Metadata { filter_metadata: HashMap<String, Struct> = (map = "string, message", tag = "1"); }
    RequestProperties {
        request_method: i32 = (int32, tag = "1");
        authority: String = (string, tag = "3");
        path: String = (string, tag = "5");
        user_agent: String = (string, tag = "6");
        request_headers: HashMap<String, String> = (map = "string, string", tag = "13");
    }
    ResponseProperties {
        response_code: Option<UInt32Value> = (message, optional, tag = "1");
        response_body_bytes: u64 = (uint64, tag = "3");
        response_headers: HashMap<String, String> = (map = "string, string", tag = "4");
        response_code_details: String = (string, tag = "6");
    }
    UInt32Value { value: u32 = (uint32, tag = "1"); }
    StreamAccessLogsResponse {}

    ProcessingRequest {
        request_headers: Option<HttpHeaders> = (message, optional, tag = "2");
        response_headers: Option<HttpHeaders> = (message, optional, tag = "3");
        request_body: Option<HttpBody> = (message, optional, tag = "4");
        protocol_config: Option<ProtocolConfiguration> = (message, optional, tag = "11");
    }
    HttpHeaders {
        headers: Option<HeaderMap> = (message, optional, tag = "1");
        end_of_stream: bool = (bool, tag = "3");
    }
    HttpBody {
        body: Vec<u8> = (bytes = "vec", tag = "1");
        end_of_stream: bool = (bool, tag = "2");
    }
    ProtocolConfiguration { request_body_mode: i32 = (int32, tag = "1"); }
    ProcessingResponse {
        request_headers: Option<StepResponse> = (message, optional, tag = "1");
        response_headers: Option<StepResponse> = (message, optional, tag = "2");
        request_body: Option<StepResponse> = (message, optional, tag = "3");
        immediate_response: Option<ImmediateResponse> = (message, optional, tag = "7");
        dynamic_metadata: Option<Struct> = (message, optional, tag = "8");
        mode_override: Option<ProcessingMode> = (message, optional, tag = "9");
    }
    StepResponse { response: Option<CommonResponse> = (message, optional, tag = "1"); }
    CommonResponse { header_mutation: Option<HeaderMutation> = (message, optional, tag = "2"); }
    HeaderMutation {
        set_headers: Vec<HeaderValueOption> = (message, repeated, tag = "1");
        remove_headers: Vec<String> = (string, repeated, tag = "2");
    }
    ImmediateResponse {
        status: Option<HttpStatus> = (message, optional, tag = "1");
        headers: Option<HeaderMutation> = (message, optional, tag = "2");
        body: Vec<u8> = (bytes = "vec", tag = "3");
        details: String = (string, tag = "5");
    }
    ProcessingMode { request_body_mode: i32 = (int32, tag = "3"); }
}

pub(crate) fn raw_headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let header = |(key, value): &(&str, &str)| HeaderValue {
        key: (*key).to_owned(),
        value: String::new(),
        raw_value: value.as_bytes().to_vec(),
    };
    HeaderMap { headers: pairs.iter().map(header).collect() }
}

/// Name and value, whichever field it is in.
pub(crate) fn set(headers: &[HeaderValueOption]) -> Vec<(String, String)> {
    let pair = |option: &HeaderValueOption| {
        assert_eq!(option.append_action, 2, "{option:?}");
        let header = option.header.clone().unwrap();
        let value =
            if header.value.is_empty() { String::from_utf8(header.raw_value).unwrap() } else { header.value };
        (header.key, value)
    };
    headers.iter().map(pair).collect()
}

/// Whether a header is added to those of its name, with name and value.
pub(crate) fn edits(headers: &[HeaderValueOption]) -> Vec<(bool, String, String)> {
    let one = |option: &HeaderValueOption| {
        let adds = option.append_action == 0;
        let (name, value) = set(&[HeaderValueOption { append_action: 2, ..option.clone() }]).remove(0);
        assert!(adds || option.append_action == 2, "{option:?}");
        (adds, name, value)
    };
    headers.iter().map(one).collect()
}

impl Struct {
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.fields.get(key)?.string_value.as_deref()
    }
}
