//! Server-sent events: an answer's pieces as they come, and a sign of life while there are none.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;
use tokio::time::timeout;

use crate::answers::Answers;
use crate::refusal::Refusal;
use crate::said::Said;

/// How an interface spells a stream.
pub trait Wire: Send + 'static {
    /// Before anything is said.
    fn begin(&mut self, out: &mut Frames);
    /// A piece of one of the answers.
    fn said(&mut self, choice: usize, said: Said, out: &mut Frames);
    /// When all answers have ended.
    fn end(&mut self, out: &mut Frames);
    /// When an answer fails, which is the end of the stream.
    fn failed(&mut self, refusal: &Refusal, out: &mut Frames);
    /// When there is nothing to say.
    fn alive(&mut self, out: &mut Frames) {
        out.comment("keep-alive");
    }
}

/// Events on their way.
#[derive(Debug, Default)]
pub struct Frames {
    text: String,
}

impl Frames {
    /// An event of no type.
    pub fn data(&mut self, data: &Value) {
        self.text += &format!("data: {data}\n\n");
    }

    /// An event of a type.
    pub fn event(&mut self, name: &str, data: &Value) {
        self.text += &format!("event: {name}\ndata: {data}\n\n");
    }

    /// A line as it is.
    pub fn raw(&mut self, line: &str) {
        self.text += line;
        self.text += "\n\n";
    }

    /// What no client sees.
    pub fn comment(&mut self, text: &str) {
        self.text += &format!(": {text}\n\n");
    }
}

struct Telling<W> {
    answers: Answers,
    wire: W,
    left: usize,
    begun: bool,
    over: bool,
    keep_alive: Duration,
}

/// The response that tells `answers` in the words of `wire`. When the client goes away, so do they.
pub fn stream<W: Wire>(answers: Answers, wire: W, keep_alive: Duration) -> Response {
    let left = answers.count();
    let telling = Telling { answers, wire, left, begun: false, over: false, keep_alive };
    let frames = stream::unfold(telling, |mut telling| async move {
        let frames = telling.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(frames.text)), telling))
    });
    response(Body::from_stream(frames))
}

/// A response of events.
pub fn response(body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl<W: Wire> Telling<W> {
    async fn next(&mut self) -> Option<Frames> {
        let mut out = Frames::default();
        if !self.begun {
            self.begun = true;
            self.wire.begin(&mut out);
        }
        while out.text.is_empty() && !self.over {
            match timeout(self.keep_alive, self.answers.next()).await {
                Err(_) => self.wire.alive(&mut out),
                Ok(Some((choice, Ok(said)))) => {
                    self.left -= usize::from(matches!(said, Said::Ended(_)));
                    self.wire.said(choice, said, &mut out);
                    if self.left == 0 {
                        self.over = true;
                        self.wire.end(&mut out);
                    }
                }
                Ok(Some((_, Err(refusal)))) => {
                    self.over = true;
                    self.wire.failed(&refusal, &mut out);
                }
                Ok(None) => {
                    self.over = true;
                    self.wire.failed(&Refusal::stopping(), &mut out);
                }
            }
        }
        (!out.text.is_empty()).then_some(out)
    }
}
