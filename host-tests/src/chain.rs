//! Envoy's filter chain, as far as one filter and what lies behind it can tell.

use crate::exchange::{Answer, App, Exchange, Pair, Part, Stopped, StreamId};
use crate::script::{HeaderPause, Request, Response};
use crate::vm::Vm;
use crate::world::Phase;

impl Vm {
    /// The request's headers come.
    pub fn open(&mut self, request: &Request) -> StreamId {
        self.contexts += 1;
        let id = StreamId(self.contexts);
        self.store.data_mut().streams.insert(id.0, Exchange::new(request));
        self.run::<_, ()>("proxy_on_context_create", (id.0, ROOT), Phase::None, id.0);
        let count = length(request.headers.len());
        let arguments = (id.0, count, u32::from(!request.more));
        let status: u32 = self.run("proxy_on_request_headers", arguments, Phase::Headers, id.0);
        let pause = self.store.data().settings.header_pause;
        let stream = self.stream(id);
        match (status, pause) {
            (CONTINUE, _) if !stream.is_over() => stream.release(),
            (CONTINUE, _) => {}
            (STOP, HeaderPause::ShowBody) => stream.stopped = Stopped::Single,
            (STOP, HeaderPause::StopAll) => stream.stopped = Stopped::All,
            _ => panic!("status {status} from request headers"),
        }
        id
    }

    /// Part of the body comes, as HTTP/2 has it: the last part says so.
    pub fn data(&mut self, id: StreamId, bytes: impl AsRef<[u8]>, last: bool) {
        let limit = self.store.data().settings.buffer_limit;
        let stream = self.stream(id);
        if stream.is_over() {
            return;
        }
        assert!(!stream.back_pressure, "the proxy reads no more of this client for now");
        let bytes = bytes.as_ref();
        if stream.stopped == Stopped::All {
            stream.withheld.push(Part::Data(bytes.to_vec(), last));
            return;
        }
        stream.ended = last;
        if stream.collecting {
            stream.buffer.extend(bytes);
            if stream.buffer.len() > limit {
                return stream.too_large();
            }
        }
        stream.shown = bytes.to_vec();
        let shown = if stream.collecting { stream.buffer.len() } else { bytes.len() };
        let arguments = (id.0, length(shown), u32::from(last));
        let status: u32 = self.run("proxy_on_request_body", arguments, Phase::Body, id.0);
        let stream = self.stream(id);
        if stream.is_over() {
            return;
        }
        if !stream.collecting {
            stream.buffer.extend(bytes);
        }
        match status {
            CONTINUE => stream.release(),
            STOP => {
                stream.stopped = Stopped::Single;
                stream.collecting = true;
                if stream.buffer.len() > limit {
                    stream.too_large();
                }
            }
            WATERMARK => {
                stream.stopped = Stopped::Single;
                stream.collecting = false;
                stream.back_pressure = stream.buffer.len() > limit;
            }
            _ => panic!("status {status} from the request body"),
        }
    }

    /// A whole body comes in one part, as HTTP/1 has it: the end is a call of its own.
    pub fn http1_body(&mut self, id: StreamId, bytes: impl AsRef<[u8]>) {
        self.data(id, bytes, false);
        self.data(id, "", true);
    }

    /// Trailers come and end the request.
    pub fn trailers(&mut self, id: StreamId, pairs: &[(&str, &str)]) {
        let pairs: Vec<Pair> =
            pairs.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        let stream = self.stream(id);
        if stream.is_over() {
            return;
        }
        if stream.stopped == Stopped::All {
            stream.withheld.push(Part::Trailers(pairs));
            return;
        }
        let count = length(pairs.len());
        stream.trailers = Some(pairs);
        stream.ended = true;
        stream.shown = Vec::new();
        let status: u32 = self.run("proxy_on_request_trailers", (id.0, count), Phase::Trailers, id.0);
        let stream = self.stream(id);
        match status {
            CONTINUE if !stream.is_over() => stream.release(),
            CONTINUE => {}
            STOP => stream.stopped = Stopped::Single,
            _ => panic!("status {status} from request trailers"),
        }
    }

    /// Does what the filter asked for inside the callback before: proxies wait until it has returned.
    pub(crate) fn settle(&mut self, id: StreamId) {
        let stream = self.stream(id);
        if stream.response.is_some() && !stream.response_held && !stream.deleted {
            return self.end(id);
        }
        if !std::mem::take(&mut stream.resume) || stream.is_over() {
            return;
        }
        stream.release();
        for part in std::mem::take(&mut stream.withheld) {
            match part {
                Part::Data(bytes, last) => self.data(id, bytes, last),
                Part::Trailers(pairs) => {
                    self.store.data_mut().streams.entry(id.0).and_modify(|stream| stream.ended = true);
                    let pairs: Vec<(String, String)> = pairs
                        .into_iter()
                        .map(|(n, v)| {
                            (String::from_utf8_lossy(&n).into(), String::from_utf8_lossy(&v).into())
                        })
                        .collect();
                    let pairs: Vec<(&str, &str)> =
                        pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                    self.trailers(id, &pairs);
                }
            }
        }
    }

    /// The application responds and the stream ends.
    pub fn respond(&mut self, id: StreamId, response: &Response) {
        let stream = self.stream(id);
        assert!(
            stream.headers_have_gone() && !stream.is_over(),
            "the application has no request to respond to"
        );
        stream.response = Some(response.clone());
        if self.show_response(id) {
            self.end(id);
        }
    }

    /// The response's headers come; whether they go out.
    fn show_response(&mut self, id: StreamId) -> bool {
        let count = self.stream(id).response.as_ref().map_or(0, |response| length(response.headers.len()));
        let status: u32 =
            self.run("proxy_on_response_headers", (id.0, count, 1_u32), Phase::ResponseHeaders, id.0);
        let stream = self.stream(id);
        match status {
            CONTINUE => true,
            STOP_ALL if stream.answer.is_none() => {
                stream.response_held = true;
                false
            }
            STOP_ALL => true,
            _ => panic!("status {status} from response headers"),
        }
    }

    /// Whether the filter holds the response back.
    pub fn response_is_held(&mut self, id: StreamId) -> bool {
        self.stream(id).response_held
    }

    /// What access logs show of the stream under a name.
    pub fn told(&mut self, id: StreamId, name: &str) -> Option<String> {
        self.stream(id).told.get(name).cloned()
    }

    /// The stream ends: with the proxy's own answer where there is one, else with an ordinary response.
    pub fn finish(&mut self, id: StreamId) {
        let stream = self.stream(id);
        stream.response = Some(match &stream.answer {
            Some(answer) => Response { size: answer.body.len(), ..Response::status(answer.status) },
            None => Response::status(200),
        });
        if self.show_response(id) {
            self.end(id);
        }
    }

    /// The client goes away. Its call is dropped, and no reply to it comes.
    pub fn disconnect(&mut self, id: StreamId) {
        self.end(id);
    }

    fn end(&mut self, id: StreamId) {
        self.store.data_mut().calls.retain(|_, call| call.context != id.0);
        self.run::<u32, ()>("proxy_on_log", id.0, Phase::Log, id.0);
        self.run::<u32, ()>("proxy_on_delete", id.0, Phase::None, id.0);
        self.stream(id).deleted = true;
    }

    /// Whether the proxy has answered the request itself, or cut it off.
    pub fn is_over(&mut self, id: StreamId) -> bool {
        self.stream(id).is_over()
    }

    /// What the application has received.
    pub fn app(&mut self, id: StreamId) -> App {
        self.stream(id).app.clone()
    }

    /// Status and body of the proxy's own answer.
    pub fn answer(&mut self, id: StreamId) -> Option<(u16, Vec<u8>)> {
        self.stream(id).answer.as_ref().map(|answer| (answer.status, answer.body.clone()))
    }

    /// Headers of the proxy's own answer.
    pub fn answer_headers(&mut self, id: StreamId) -> Vec<Pair> {
        self.stream(id).answer.as_ref().map(|answer| answer.headers.clone()).unwrap_or_default()
    }

    /// Whether the proxy has stopped reading the client.
    pub fn is_slowed_down(&mut self, id: StreamId) -> bool {
        self.stream(id).back_pressure
    }

    fn stream(&mut self, id: StreamId) -> &mut Exchange {
        self.store.data_mut().streams.get_mut(&id.0).expect("a stream of this script")
    }
}

impl Exchange {
    /// What the filter told the proxy to collect is more than it may.
    fn too_large(&mut self) {
        self.answer = Some(Answer { status: 413, headers: Vec::new(), body: Vec::new() });
    }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("a small number")
}

const ROOT: u32 = 1;
const CONTINUE: u32 = 0;
const STOP: u32 = 1;
const WATERMARK: u32 = 2;
const STOP_ALL: u32 = 4;
