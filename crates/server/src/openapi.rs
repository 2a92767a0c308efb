//! The OpenAPI document: made from the types that are read, and served beside them.

use axum::Json as JsonBody;
use utoipa::OpenApi;

use crate::api::{chat, completions, messages, models, responses};
use crate::live;

/// What this server offers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "tidemill",
        description = "A language model larger than memory, behind the interfaces of OpenAI and Anthropic."
    ),
    paths(
        chat::chat,
        completions::completions,
        responses::responses,
        models::models,
        models::model,
        models::embeddings,
        messages::messages,
        messages::count_tokens,
        live::health,
        live::ready,
        live::figures,
        live::status,
        live::heat,
    )
)]
struct Document;

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Serves it.
pub async fn openapi() -> JsonBody<utoipa::openapi::OpenApi> {
    JsonBody(document())
}
