//! The page at `/`.

use axum::response::Html;

/// What a browser is shown.
pub async fn index() -> Html<&'static str> {
    Html(include_str!("index.html"))
}
