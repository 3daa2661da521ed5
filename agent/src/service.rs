//! What the listeners call: decoding, the choice of thread, reports.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_protocol::{DecodeError, RpcMsgIn, RpcMsgIn2};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::debug;

use crate::answer::{Answer, NotInspected};
use crate::counters::Counters;
use crate::inspector::Inspector;
use crate::request;

/// Messages up to this size are inspected where they are read: handing one over costs more than inspecting it.
const INLINE_BYTES: usize = 4 * 1024;

/// Answers calls, whatever language they come in.
#[derive(Debug)]
pub struct Service {
    /// Judges requests.
    pub inspector: Inspector,
    /// What happened.
    pub counters: Arc<Counters>,
    /// Room for requests that are inspected on threads of their own.
    large: Arc<Semaphore>,
    time: Duration,
}

impl Service {
    /// Lets at most `most` large requests be under inspection at once, each for at most `time`.
    pub fn new(inspector: Inspector, counters: Arc<Counters>, most: usize, time: Duration) -> Self {
        let large = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { inspector, counters, large, time }
    }

    /// Judges the request that `message` describes.
    ///
    /// Large ones wait for a thread beside the I/O runtime; where too many do, or one takes too long, the answer is that
    /// it was not inspected.
    ///
    /// # Errors
    ///
    /// When `message` is not a request.
    pub async fn pre_request(self: &Arc<Self>, message: Bytes) -> Result<Answer, DecodeError> {
        if message.len() <= INLINE_BYTES {
            return self.judge(&message);
        }
        let Ok(permit) = Arc::clone(&self.large).try_acquire_owned() else {
            self.counters.shed.add();
            return Ok(Answer::NotInspected(NotInspected::Overloaded));
        };
        let service = Arc::clone(self);
        let judging = spawn_blocking(move || {
            let _permit = permit;
            service.judge(&message)
        });
        match timeout(self.time, judging).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                self.counters.faulted.add();
                Ok(Answer::NotInspected(NotInspected::Faulted))
            }
            Err(_) => {
                self.counters.timed_out.add();
                Ok(Answer::NotInspected(NotInspected::TimedOut))
            }
        }
    }

    /// Takes the report of a response together with its request.
    ///
    /// # Errors
    ///
    /// When `message` is not such a report.
    pub fn post_request(&self, message: &[u8]) -> Result<(), DecodeError> {
        let report = RpcMsgIn::decode(message)?;
        self.counters.posts.add();
        debug!(code = report.response_code, verdict = report.waf_response, "response reported");
        Ok(())
    }

    /// Takes the report of a response by its request's id.
    ///
    /// # Errors
    ///
    /// When `message` is not such a report.
    pub fn update_request(&self, message: &[u8]) -> Result<(), DecodeError> {
        let report = RpcMsgIn2::decode(message)?;
        self.counters.updates.add();
        debug!(code = report.response_code, id = ?report.request_id, "response reported");
        Ok(())
    }

    /// Notes a module that has started.
    ///
    /// # Errors
    ///
    /// When `message` does not describe one.
    pub fn module_init(&self, message: &[u8]) -> Result<(), DecodeError> {
        let module = RpcMsgIn::decode(message)?;
        self.counters.modules.add();
        debug!(module = ?module.module_version, server = ?module.server_version, "module started");
        Ok(())
    }

    fn judge(&self, message: &[u8]) -> Result<Answer, DecodeError> {
        let message = RpcMsgIn::decode(message)?;
        Ok(request::with_message(&message, |request| self.inspector.inspect(request)))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_detect::Engine;
    use portcullis_policy::Policy;

    use super::*;
    use crate::snapshot::Snapshot;

    fn service(most: usize, time: Duration) -> Arc<Service> {
        let snapshot = Snapshot { engine: Engine::default(), policy: Policy::default() };
        let counters = Arc::default();
        let inspector = Inspector::new(snapshot, Arc::clone(&counters));
        Arc::new(Service::new(inspector, counters, most, time))
    }

    fn message(body: usize) -> Bytes {
        RpcMsgIn { post_body: vec![b'x'; body].into(), ..RpcMsgIn::default() }.encode().into()
    }

    async fn reason(service: &Arc<Service>, message: Bytes) -> Option<NotInspected> {
        match service.pre_request(message).await.unwrap() {
            Answer::Judged(_) => None,
            Answer::NotInspected(reason) => Some(reason),
        }
    }

    #[tokio::test]
    async fn judges_small_and_large_requests() {
        let service = service(1, Duration::from_secs(60));
        for body in [0, INLINE_BYTES, 100 * INLINE_BYTES] {
            assert_eq!(reason(&service, message(body)).await, None);
        }
        assert_eq!(service.counters.allowed.value(), 3);
    }

    #[tokio::test]
    async fn says_so_when_there_is_no_room() {
        let service = service(0, Duration::from_secs(60));
        assert_eq!(reason(&service, message(INLINE_BYTES)).await, Some(NotInspected::Overloaded));
        assert_eq!(reason(&service, message(0)).await, None);
        assert_eq!(service.counters.shed.value(), 1);
    }

    #[test]
    fn says_so_when_time_is_up() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            // The one thread for large requests is taken until the answer is there.
            let (release, taken) = std::sync::mpsc::channel::<()>();
            let taking = spawn_blocking(move || taken.recv());
            let service = service(1, Duration::from_millis(1));
            let asked = reason(&service, message(INLINE_BYTES)).await;
            assert_eq!(asked, Some(NotInspected::TimedOut));
            assert_eq!(service.counters.timed_out.value(), 1);
            release.send(()).unwrap();
            taking.await.unwrap().unwrap();
        });
    }

    #[tokio::test]
    async fn refuses_what_is_no_message() {
        let service = service(1, Duration::from_secs(60));
        assert!(service.pre_request(Bytes::from_static(b"hello")).await.is_err());
        assert!(service.pre_request(vec![0x91; 10 * INLINE_BYTES].into()).await.is_err());
        assert!(service.update_request(b"hello").is_err());
        assert!(service.post_request(b"hello").is_err());
    }
}
