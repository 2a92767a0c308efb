//! How the server is: for those who restart it, for those who plot it, and for the page.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json as JsonBody;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::engine::Status;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::{metrics, sse};

/// How often the page hears news.
const EVERY: Duration = Duration::from_millis(500);

/// The process lives.
#[utoipa::path(get, path = "/health", tag = "Operation",
    responses((status = 200, description = "It does", body = Object)))]
pub async fn health() -> JsonBody<Value> {
    JsonBody(json!({ "status": "ok" }))
}

/// Requests are taken.
#[utoipa::path(get, path = "/ready", tag = "Operation",
    responses((status = 200, description = "They are", body = Object),
              (status = "5XX", description = "The server is about to end", body = Object)))]
pub async fn ready(State(service): State<Arc<Service>>) -> Result<JsonBody<Value>, Refusal> {
    if service.desk.is_ending() {
        Err(Refusal::stopping())
    } else {
        Ok(JsonBody(json!({ "status": "ready" })))
    }
}

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "Operation",
    responses((status = 200, description = "In the text format", content_type = "application/openmetrics-text", body = String)))]
pub async fn figures(State(service): State<Arc<Service>>) -> Result<Response, Refusal> {
    let text = metrics::text(&service.desk.status())
        .map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the figures could not be written"))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// What the page shows.
#[derive(Serialize, ToSchema)]
pub struct View {
    /// What clients call the model.
    model: String,
    /// Seconds since the server was started.
    uptime_seconds: f64,
    #[serde(flatten)]
    status: Status,
}

impl View {
    fn of(service: &Service) -> Self {
        Self {
            model: service.options.model.clone(),
            uptime_seconds: service.started.elapsed().map_or(0.0, |time| time.as_secs_f64()),
            status: service.desk.status(),
        }
    }
}

/// The server at this moment.
#[utoipa::path(get, path = "/api/status", tag = "Operation",
    responses((status = 200, description = "How it is", body = View),
              (status = "4XX", description = "What is wrong with the request", body = Object)))]
pub async fn status(State(service): State<Arc<Service>>) -> JsonBody<View> {
    JsonBody(View::of(&service))
}

/// The same twice a second, as server-sent events named `status`.
#[utoipa::path(get, path = "/api/events", tag = "Operation",
    responses((status = 200, description = "Events that do not end", content_type = "text/event-stream", body = String)))]
pub async fn events(State(service): State<Arc<Service>>) -> Response {
    let events = stream::unfold((service, Duration::ZERO), |(service, pause)| async move {
        tokio::time::sleep(pause).await;
        if service.desk.is_ending() {
            return None;
        }
        let view = serde_json::to_string(&View::of(&service)).unwrap_or_default();
        Some((Ok::<_, Infallible>(Bytes::from(format!("event: status\ndata: {view}\n\n"))), (service, EVERY)))
    });
    sse::response(Body::from_stream(events))
}

/// How often each expert is used: a row for each layer, from 0 to 1, where 1 is the layer's most used expert.
#[utoipa::path(get, path = "/api/heat", tag = "Operation",
    responses((status = 200, description = "`{\"layers\": [[..], ..]}`; rows of layers without experts are empty", body = Object)))]
pub async fn heat(State(service): State<Arc<Service>>) -> JsonBody<Value> {
    let rounded =
        |row: Vec<f32>| row.into_iter().map(|heat| (heat * 1000.0).round() / 1000.0).collect::<Vec<f32>>();
    JsonBody(json!({ "layers": service.heat.map().into_iter().map(rounded).collect::<Vec<_>>() }))
}
