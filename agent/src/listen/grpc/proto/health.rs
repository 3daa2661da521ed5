//! `grpc.health.v1`.

use bytes::Bytes;
use prost::Message;

use crate::listen::grpc::shape::{Shape, Shaped};

/// Asks for the state of a service.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HealthCheckRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) service: Bytes,
}

impl Shaped for HealthCheckRequest {
    const SHAPE: Shape = Shape(&[]);
}

/// Tells it.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

pub(crate) const SERVING: i32 = 1;
pub(crate) const NOT_SERVING: i32 = 2;
pub(crate) const SERVICE_UNKNOWN: i32 = 3;
