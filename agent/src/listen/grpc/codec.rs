//! Protocol Buffers in and out, within bounds.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::shape::{self, Shaped};

/// Bytes that a stream takes before anything arrives, and by which it grows.
const BUFFER: usize = 1024;

/// Reads `In` and writes `Out`.
#[derive(Debug)]
pub(super) struct Bounded<In, Out>(PhantomData<(In, Out)>);

impl<In, Out> Default for Bounded<In, Out> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<In, Out> Codec for Bounded<In, Out>
where
    In: Message + Shaped + Default + 'static,
    Out: Message + 'static,
{
    type Encode = Out;
    type Decode = In;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<In, Out: Message> Encoder for Bounded<In, Out> {
    type Item = Out;
    type Error = Status;

    fn encode(&mut self, message: Out, wire: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(wire).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, BUFFER)
    }
}

impl<In: Message + Shaped + Default, Out> Decoder for Bounded<In, Out> {
    type Item = In;
    type Error = Status;

    fn decode(&mut self, wire: &mut DecodeBuf<'_>) -> Result<Option<In>, Status> {
        // One piece, of which texts and bodies are parts: they are not copied.
        let message = wire.copy_to_bytes(wire.remaining());
        shape::check(&message, In::SHAPE).map_err(|refused| Status::invalid_argument(refused.to_string()))?;
        In::decode(message).map(Some).map_err(|error| Status::invalid_argument(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, BUFFER)
    }
}
