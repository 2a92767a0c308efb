//! OpenAI's `/v1/models`, and the refusal of what this server has no model for.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::Json as JsonBody;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::service::Service;

/// The models there are: one.
#[utoipa::path(get, path = "/v1/models", tag = "OpenAI",
    responses((status = 200, description = "A list of one model", body = Object),
              (status = "4XX", description = "What is wrong with the request", body = Object)))]
pub async fn models(State(service): State<Arc<Service>>) -> JsonBody<Value> {
    let model = describe(&service);
    let name = &service.options.model;
    JsonBody(
        json!({ "object": "list", "data": [model], "has_more": false, "first_id": name, "last_id": name }),
    )
}

/// The model of this name.
#[utoipa::path(get, path = "/v1/models/{model}", tag = "OpenAI", params(("model" = String, Path, description = "Its name")),
    responses((status = 200, description = "The model", body = Object),
              (status = "4XX", description = "There is no such model", body = Object)))]
pub async fn model(
    State(service): State<Arc<Service>>,
    Path(model): Path<String>,
) -> Result<JsonBody<Value>, Refusal> {
    service.check_model(Some(&model))?;
    Ok(JsonBody(describe(&service)))
}

/// In the words of both OpenAI and Anthropic.
fn describe(service: &Service) -> Value {
    let created = service.started.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    json!({
        "id": service.options.model,
        "object": "model",
        "created": created,
        "owned_by": "tidemill",
        "type": "model",
        "display_name": service.options.model,
        "created_at": super::iso8601(created),
        "context_length": service.bounds.sequence.min(service.bounds.context),
        "max_model_len": service.bounds.sequence.min(service.bounds.context),
    })
}

/// Refused: a language model's states are no embeddings.
#[utoipa::path(post, path = "/v1/embeddings", tag = "OpenAI", request_body = Object,
    responses((status = "4XX", description = "Always: this server has no embedding model", body = Object),
              (status = 501, description = "Always: this server has no embedding model", body = Object)))]
pub async fn embeddings() -> Refusal {
    let message =
        "embeddings are not supported: this server runs a language model that was not made for them";
    Refusal::new(StatusCode::NOT_IMPLEMENTED, message).code("unsupported")
}
