//! Which address leads where.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::api::{chat, completions, messages, models, responses};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::{door, live, openapi, page};

/// Everything that is served.
pub fn routes(service: Arc<Service>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat::chat))
        .route("/v1/completions", post(completions::completions))
        .route("/v1/responses", post(responses::responses))
        .route("/v1/models", get(models::models))
        .route("/v1/models/{model}", get(models::model))
        .route("/v1/embeddings", post(models::embeddings))
        .route("/v1/messages", post(messages::messages))
        .route("/v1/messages/count_tokens", post(messages::count_tokens))
        .route("/health", get(live::health))
        .route("/ready", get(live::ready))
        .route("/metrics", get(live::figures))
        .route("/api/status", get(live::status))
        .route("/api/events", get(live::events))
        .route("/api/heat", get(live::heat))
        .route("/openapi.json", get(openapi::openapi))
        .route("/", get(page::index))
        .route("/page/{*name}", get(page::file))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(service.clone(), door::enter))
        .with_state(service)
}

async fn unknown() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this address; /openapi.json lists what there is")
}

async fn wrong_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this address does not take this method; /openapi.json lists what does",
    )
}
