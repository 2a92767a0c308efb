//! The engine behind HTTP: the interfaces of OpenAI and Anthropic, for any number of clients at once.
//!
//! One thread owns the engine and steps it; everything asynchronous lives in this crate, on one other thread, and talks
//! to it over channels. A request is read and checked by its interface (`api`), becomes an `ask::Ask`, which
//! `service::Service` renders and hands to the engine's thread (`engine`); what comes back is put into words by
//! `answers`, and told by the interface again, whole or as server-sent events.
//!
//! A field of a request that cannot be honoured is refused by name, never ignored.
#![forbid(unsafe_code)]

mod refusal;
mod options;
mod ask;
mod toolbox;
mod gate;
mod budget;
mod enforce;
mod shapes;
mod voice;
mod said;
mod engine;
mod answers;
mod service;
mod json;
mod sse;
mod metrics;
mod live;
mod api;
mod openapi;
mod page;
mod door;
mod routes;
mod serve;

pub use options::{Limits, ServeOptions, Store};
pub use serve::Server;
pub use voice::Voice;

/// The OpenAPI document, as `/openapi.json` serves it.
pub fn openapi_json() -> String {
    openapi::document().to_pretty_json().unwrap_or_default()
}
