//! `envoy.service.auth.v3.Authorization`: one question a request, before Envoy goes on with it.

use std::time::Instant;

use portcullis_policy::Page;
use tonic::{Code, Request, Response, Status};

use super::proto::auth::{CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse, RpcStatus};
use super::proto::core::HttpStatus;
use super::question::{Outcome, Question};
use super::reply::{Decision, In, Reply, edited, header};
use super::{Call, Responses, Server, millis};

pub(super) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Answers a question.
pub(super) async fn check(
    Call { server, .. }: Call,
    request: Request<CheckRequest>,
) -> Result<Response<CheckResponse>, Status> {
    let started = Instant::now();
    let question = request
        .into_inner()
        .attributes
        .and_then(Question::from_check)
        .ok_or_else(|| Status::invalid_argument("attributes.request.http is missing"))?;
    let reply = server.ask(&question).await?;
    match (&reply.decision, reply.id) {
        // Envoy sets no headers on a request that it denies, so that its access log could not name it; but what the
        // client is answered is known here.
        (Decision::Deny { status, .. }, Some(id)) => {
            let code = i64::from(*status);
            server.update(id, &Outcome { code, millis: millis(started), size: 0, headers: Vec::new() });
        }
        (Decision::Allow, Some(id)) if server.options.responses == Responses::Unreported => {
            server.service.unanswered(id);
        }
        (Decision::Allow | Decision::Deny { .. } | Decision::NotInspected(_), _) => {}
    }
    Ok(Response::new(response(&reply)))
}

impl Server {
    /// Has `question` answered.
    pub(super) async fn ask(&self, question: &Question) -> Result<Reply, Status> {
        let message = question.message().encode().into();
        let answer = self.service.pre_request(message).await;
        let answer = answer.map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.service.debug.output(&answer.to_filter());
        Ok(Reply::new(&answer, question))
    }
}

fn response(reply: &Reply) -> CheckResponse {
    let mut response = CheckResponse { dynamic_metadata: Some(reply.metadata()), ..CheckResponse::default() };
    let code = match &reply.decision {
        Decision::Deny { status, location } => {
            let page = reply.page.as_ref();
            let told = location.as_deref().map(|location| ("location", location));
            let told = told.into_iter().chain(page.into_iter().flat_map(Page::all_headers));
            let headers = told.map(|(name, value)| header(name, value, In::Value)).collect();
            let status = Some(HttpStatus { code: i32::from(*status) });
            let body = page.map(|page| String::from_utf8_lossy(&page.body).into_owned()).unwrap_or_default();
            response.denied_response = Some(DeniedHttpResponse { status, headers, body });
            Code::PermissionDenied
        }
        Decision::Allow | Decision::NotInspected(_) => {
            let headers = reply.set.iter().map(|(name, value)| header(name, value, In::Value)).collect();
            // Envoy's answer has no room for the names of headers to delete from the response.
            let (response_headers_to_add, _) = edited(&reply.edits, In::Value);
            let headers_to_remove = reply.remove.clone();
            response.ok_response =
                Some(OkHttpResponse { headers, headers_to_remove, response_headers_to_add });
            Code::Ok
        }
    };
    response.status = Some(RpcStatus { code: code.into() });
    response
}
