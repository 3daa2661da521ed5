//! The msgpack-RPC envelope: `[0, msgid, method, [message]]` asks, `[1, msgid, error, result]` answers.

use std::fmt;

use rmp::Marker;
use thiserror::Error;

use crate::encode;
use crate::frame::{Limits, Progress, Scanner};
use crate::message::RpcMsgOut;
use crate::names;

/// Bytes that a reply must stay under: one module reads its socket once, into a buffer of this size.
pub const MAX_REPLY: usize = 1024;

/// Bytes of an error's text that are sent.
const MAX_ERROR_TEXT: usize = 200;

/// What a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// A module has started.
    ModuleInit,
    /// A verdict is wanted; the message is an [`RpcMsgIn`](crate::RpcMsgIn).
    PreRequest,
    /// A response is reported with its request; the message is an [`RpcMsgIn`](crate::RpcMsgIn).
    PostRequest,
    /// A response is reported by its request's id; the message is an [`RpcMsgIn2`](crate::RpcMsgIn2).
    UpdateRequest,
    /// A method that this protocol does not have.
    Unknown,
}

impl Method {
    fn from_name(name: &[u8]) -> Self {
        match std::str::from_utf8(name) {
            Ok(names::MODULE_INIT) => Self::ModuleInit,
            Ok(names::PRE_REQUEST) => Self::PreRequest,
            Ok(names::POST_REQUEST) => Self::PostRequest,
            Ok(names::UPDATE_REQUEST) => Self::UpdateRequest,
            _ => Self::Unknown,
        }
    }
}

/// The id of a call, kept as it came: callers look their call up by it, one of them without checking that it is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MsgId {
    bytes: [u8; 9],
    len: u8,
}

impl MsgId {
    /// The id of replies to what has none.
    pub const NONE: Self = Self { bytes: [0; 9], len: 1 };

    /// The encoded integer.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn from_wire(wire: &[u8]) -> Option<Self> {
        let integer = matches!(wire.first(), Some(0x00..=0x7f | 0xcc..=0xd3 | 0xe0..=0xff));
        let mut bytes = [0; 9];
        bytes.get_mut(..wire.len()).filter(|_| integer)?.copy_from_slice(wire);
        Some(Self { bytes, len: u8::try_from(wire.len()).ok()? })
    }
}

impl fmt::Debug for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MsgId({:02x?})", self.as_bytes())
    }
}

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Its id.
    pub msgid: MsgId,
    /// What it asks for.
    pub method: Method,
    /// The encoded message.
    pub params: &'a [u8],
}

/// Why a value is not a call, with the id to answer under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{fault}")]
pub struct CallError {
    /// The call's id if it has one.
    pub msgid: MsgId,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a value that should be a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// It is not an array of four.
    #[error("not a msgpack-rpc request")]
    Shape,
    /// Its type is not 0.
    #[error("not a request but another type of message")]
    Type,
    /// Its id is not an integer.
    #[error("message id is not an integer")]
    MsgId,
    /// Its method is not a string.
    #[error("method is not a string")]
    Method,
    /// It does not have exactly one parameter.
    #[error("parameters are not an array of one")]
    Params,
}

impl<'a> Call<'a> {
    /// Reads the call that is the whole of `frame`, one complete value as a [`Scanner`] finds it.
    ///
    /// The parameter is not looked at: decoding it tells whether it is a message.
    ///
    /// # Errors
    ///
    /// When `frame` is something else; the error says under which id to answer.
    pub fn parse(frame: &'a [u8]) -> Result<Self, CallError> {
        let fail = |msgid, fault| CallError { msgid, fault };
        let unnamed = |fault| fail(MsgId::NONE, fault);
        let rest = frame.strip_prefix(&[Marker::FixArray(4).to_u8()]).ok_or(unnamed(Fault::Shape))?;
        let (kind, rest) = value(rest).ok_or(unnamed(Fault::Shape))?;
        let (msgid, rest) = value(rest).ok_or(unnamed(Fault::Shape))?;
        if kind != [0] {
            return Err(unnamed(Fault::Type));
        }
        let msgid = MsgId::from_wire(msgid).ok_or(unnamed(Fault::MsgId))?;
        let (method, rest) = value(rest).ok_or(fail(msgid, Fault::Shape))?;
        let method = text(method).ok_or(fail(msgid, Fault::Method))?;
        let params = rest.strip_prefix(&[Marker::FixArray(1).to_u8()]).ok_or(fail(msgid, Fault::Params))?;
        Ok(Self { msgid, method: Method::from_name(method), params })
    }
}

/// The id of a call of which only the beginning is there, or which is too large to be read.
pub fn peek_msgid(beginning: &[u8]) -> Option<MsgId> {
    let rest = beginning.strip_prefix(&[Marker::FixArray(4).to_u8(), 0])?;
    MsgId::from_wire(value(rest)?.0)
}

/// Writes a whole call; what modules do, for tests and tools.
pub fn write_call(msgid: u32, method: &str, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 32);
    bytes.extend_from_slice(&[Marker::FixArray(4).to_u8(), 0, Marker::U32.to_u8()]);
    bytes.extend_from_slice(&msgid.to_be_bytes());
    encode::str(&mut bytes, method.as_bytes());
    bytes.push(Marker::FixArray(1).to_u8());
    bytes.extend_from_slice(message);
    bytes
}

/// Writes the answer that carries a verdict, shorter than [`MAX_REPLY`].
///
/// Headers are taken in their order as long as they fit, and a response action only when all of them do: the verdict
/// must reach every module.
pub fn write_reply(msgid: MsgId, message: &RpcMsgOut<'_>) -> Vec<u8> {
    let whole = reply(msgid, &message.encode());
    if whole.len() < MAX_REPLY {
        return whole;
    }
    let mut fitting = RpcMsgOut { request_headers: Vec::new(), resp_actions: Vec::new(), ..message.clone() };
    let mut len = reply(msgid, &fitting.encode()).len() + HEADER_COUNT;
    for (name, value) in &message.request_headers {
        let pair = 1 + string_len(name) + string_len(value);
        if len + pair < MAX_REPLY {
            len += pair;
            fitting.request_headers.push((name.clone(), value.clone()));
        }
    }
    reply(msgid, &fitting.encode())
}

/// Writes the answer to a report.
pub fn write_ack(msgid: MsgId) -> Vec<u8> {
    reply(msgid, &[0])
}

/// Writes the answer that makes every module let the request pass at once; a long text is cut.
pub fn write_error(msgid: MsgId, text: &str) -> Vec<u8> {
    let mut bytes = head(msgid);
    let text = text.as_bytes();
    encode::str(&mut bytes, text.get(..MAX_ERROR_TEXT).unwrap_or(text));
    bytes.push(Marker::Null.to_u8());
    bytes
}

fn reply(msgid: MsgId, result: &[u8]) -> Vec<u8> {
    let mut bytes = head(msgid);
    bytes.push(Marker::Null.to_u8());
    bytes.extend_from_slice(result);
    bytes
}

fn head(msgid: MsgId) -> Vec<u8> {
    let mut bytes = vec![Marker::FixArray(4).to_u8(), 1];
    bytes.extend_from_slice(msgid.as_bytes());
    bytes
}

/// Bytes by which the count of headers grows when there are many.
const HEADER_COUNT: usize = 2;

fn string_len(value: &[u8]) -> usize {
    if value.len() < 32 { 1 + value.len() } else { 3 + value.len() }
}

/// Splits the first value off.
fn value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let limits = Limits { bytes: bytes.len(), ..Limits::default() };
    match Scanner::new(limits).scan(bytes) {
        Ok(Progress::Complete { len }) => bytes.split_at_checked(len),
        _ => None,
    }
}

/// The bytes of an encoded string or binary.
fn text(wire: &[u8]) -> Option<&[u8]> {
    let head = match wire.first()? {
        0xa0..=0xbf => 1,
        0xc4 | 0xd9 => 2,
        0xc5 | 0xda => 3,
        0xc6 | 0xdb => 5,
        _ => return None,
    };
    wire.get(head..)
}

#[cfg(test)]
mod tests;
