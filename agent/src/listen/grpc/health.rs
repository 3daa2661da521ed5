//! `grpc.health.v1.Health`: what Kubernetes and Envoy probe.

use std::pin::Pin;

use futures_util::Stream;
use futures_util::stream::unfold;
use tonic::{Request, Response, Status};

use super::proto::health::{HealthCheckRequest, HealthCheckResponse, NOT_SERVING, SERVICE_UNKNOWN, SERVING};
use super::{Call, Server, access_log, ext_authz, ext_proc};
use crate::health::Stage;

pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";
pub(super) const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Tells the state once.
pub(super) async fn check(
    Call { server, .. }: Call,
    request: Request<HealthCheckRequest>,
) -> Result<Response<HealthCheckResponse>, Status> {
    match status(&server, request.get_ref()) {
        SERVICE_UNKNOWN => Err(Status::not_found("no such service")),
        status => Ok(Response::new(HealthCheckResponse { status })),
    }
}

type Statuses = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

/// Tells the state now, and when the agent stops.
pub(super) async fn watch(
    call: Call,
    request: Request<HealthCheckRequest>,
) -> Result<Response<Statuses>, Status> {
    let first = status(&call.server, request.get_ref());
    let told = unfold((Some(first), call), move |(told, mut call)| async move {
        // The state only ever changes once, to the end.
        let (status, next) = match told? {
            NOT_SERVING => (NOT_SERVING, None),
            status => (status, Some(NOT_SERVING)),
        };
        if status == NOT_SERVING && first != NOT_SERVING {
            call.drain.draining().await;
        }
        Some((Ok(HealthCheckResponse { status }), (next, call)))
    });
    Ok(Response::new(Box::pin(told)))
}

fn status(server: &Server, request: &HealthCheckRequest) -> i32 {
    let services = [ext_authz::CHECK, access_log::STREAM, ext_proc::PROCESS];
    let names = services.iter().filter_map(|method| method.split('/').nth(1));
    let known = request.service.is_empty() || names.into_iter().any(|name| request.service == name);
    match (known, server.health.stage()) {
        (false, _) => SERVICE_UNKNOWN,
        (true, Stage::Serving) => SERVING,
        (true, Stage::Starting | Stage::Draining) => NOT_SERVING,
    }
}
