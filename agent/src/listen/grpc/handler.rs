//! Functions as the calls that tonic serves.

use tonic::server::{ClientStreamingService, ServerStreamingService, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};

/// A function that answers a call.
pub(super) struct Handler<F>(pub(super) F);

type Answered<T> = Result<Response<T>, Status>;

impl<F, Fut, In, Out> UnaryService<In> for Handler<F>
where
    F: FnMut(Request<In>) -> Fut,
    Fut: Future<Output = Answered<Out>>,
{
    type Response = Out;
    type Future = Fut;

    fn call(&mut self, request: Request<In>) -> Fut {
        (self.0)(request)
    }
}

impl<F, Fut, In, Out> ClientStreamingService<In> for Handler<F>
where
    F: FnMut(Request<Streaming<In>>) -> Fut,
    Fut: Future<Output = Answered<Out>>,
{
    type Response = Out;
    type Future = Fut;

    fn call(&mut self, request: Request<Streaming<In>>) -> Fut {
        (self.0)(request)
    }
}

impl<F, Fut, In, Out, S> ServerStreamingService<In> for Handler<F>
where
    F: FnMut(Request<In>) -> Fut,
    Fut: Future<Output = Answered<S>>,
    S: futures_util::Stream<Item = Result<Out, Status>>,
{
    type Response = Out;
    type ResponseStream = S;
    type Future = Fut;

    fn call(&mut self, request: Request<In>) -> Fut {
        (self.0)(request)
    }
}

impl<F, Fut, In, Out, S> StreamingService<In> for Handler<F>
where
    F: FnMut(Request<Streaming<In>>) -> Fut,
    Fut: Future<Output = Answered<S>>,
    S: futures_util::Stream<Item = Result<Out, Status>>,
{
    type Response = Out;
    type ResponseStream = S;
    type Future = Fut;

    fn call(&mut self, request: Request<Streaming<In>>) -> Fut {
        (self.0)(request)
    }
}
