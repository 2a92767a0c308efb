//! The page at `/`: files that lie in the binary, and the headers that keep a model's words from becoming code.
//!
//! A browser that has a file already is told so.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::refusal::Refusal;

/// One of the page's files.
struct File {
    /// Below `/page/`; `index.html` is `/` as well.
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal)*) => {
        /// All there are.
        static FILES: &[File] = &[
            $(File { name: $name, bytes: include_bytes!(concat!("../../page/", $name)) },)*
        ];
    };
}

files! {
    "index.html" "style.css" "answer.css" "machine.css" "icon.svg" "theme.js" "app.js" "api.js" "calls.js" "chat.js"
    "composer.js" "copy.js" "dialog.js" "heat.js" "icons.js" "machine.js" "markdown.js" "message.js" "settings.js"
    "shelf.js" "shelves.js" "waiting.js" "words.js" "vendor/preact.js" "vendor/marked.js" "vendor/purify.js"
    "vendor/highlight.js" "vendor/LICENCES.md"
}

/// By file, what tells one content from another.
static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let tag = |file: &File| {
        let digest: String =
            Sha256::digest(file.bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        HeaderValue::from_str(&format!("\"{digest}\"")).expect("digits are allowed in headers")
    };
    FILES.iter().map(tag).collect()
});

/// Nothing from elsewhere, nothing inline, and no text that becomes markup without passing the sanitizer.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types dompurify";

/// What a browser is shown.
pub async fn index(headers: HeaderMap) -> Response {
    serve("index.html", &headers).into_response()
}

/// What the page consists of.
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Refusal> {
    serve(&name, &headers)
}

fn serve(name: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let Some((file, tag)) = FILES.iter().zip(TAGS.iter()).find(|(file, _)| file.name == name) else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "the page has no such file"));
    };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag);
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { file.bytes.into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(name)));
    headers.insert(header::ETAG, tag.clone());
    // Asked for each time, so that page and server are of one version.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}
