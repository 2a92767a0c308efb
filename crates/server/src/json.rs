//! Bodies of requests: read within bounds, understood without guesses.
//!
//! A field that is not known is refused by name, wherever it stands, so that nothing a client asks for is silently
//! left out. Bodies are read only while all of them together stay within bounds.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;
use crate::service::Service;

/// The JSON body of a request.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Refusal> {
        let limits = &service.options.limits;
        check_type(request.headers())?;
        let announced = announced_length(request.headers(), limits.body_bytes)?;
        // Whoever does not say how much comes is counted with the most there may be.
        let reserved = announced.unwrap_or(limits.body_bytes).min(limits.bodies_bytes) as u32;
        let read = async {
            let permit = service.bodies.acquire_many(reserved).await;
            let _permit = permit.map_err(|_| Refusal::stopping())?;
            let bytes = read(request.into_body(), limits.body_bytes).await?;
            parse(&bytes)
        };
        match tokio::time::timeout(limits.body_time, read).await {
            Ok(read) => read.map(Self),
            Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body of the request took too long")),
        }
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let found = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let is_json = |found: &str| {
        let kind = found.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    };
    match found {
        Some(found) if is_json(found) => Ok(()),
        _ => {
            let message = "the request's Content-Type must be application/json";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
        }
    }
}

fn announced_length(headers: &HeaderMap, most: usize) -> Result<Option<usize>, Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match length {
        Some(length) if length > most => Err(err_too_large(most)),
        length => Ok(length),
    }
}

async fn read(body: Body, most: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Refusal::invalid(format!("the body cannot be read: {error}")))?;
        if bytes.len() + chunk.len() > most {
            return Err(err_too_large(most));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What `bytes` say, or which field is at fault.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut source);
    let value = parsed.map_err(|error| {
        let (path, problem) = (error.path().to_string(), error.inner().to_string());
        let unknown = problem.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
        match (path.as_str(), unknown) {
            (".", None) => Refusal::invalid(format!("the body is not as expected: {problem}")),
            (_, Some((name, _))) if path.ends_with(name) => Refusal::field(path, problem),
            (".", Some((name, _))) => Refusal::field(name, problem.clone()),
            (_, Some((name, _))) => Refusal::field(format!("{path}.{name}"), problem.clone()),
            _ => Refusal::field(path, problem),
        }
    })?;
    source.end().map_err(|error| Refusal::invalid(format!("the body is not as expected: {error}")))?;
    Ok(value)
}

fn err_too_large(most: usize) -> Refusal {
    let message = format!("the body of the request is larger than {most} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        a: u8,
    }

    #[test]
    fn the_field_at_fault_is_named() {
        assert_eq!(parse::<Outer>(br#"{"inner": [{"a": 1}]}"#), Ok(Outer { inner: vec![Inner { a: 1 }] }));
        for (body, field) in [
            (r#"{"inner": [{"a": 1}, {"a": 2, "b": 3}]}"#, Some("inner[1].b")),
            (r#"{"inner": [{"a": 300}]}"#, Some("inner[0].a")),
            (r#"{"inner": [], "odd": 1}"#, Some("odd")),
            (r#"{"inner": []} x"#, None),
            ("[", None),
            ("", None),
        ] {
            assert_eq!(parse::<Outer>(body.as_bytes()).unwrap_err().field.as_deref(), field, "{body}");
        }
        assert!(parse::<Outer>(b"{\"inner\": [\"\xff\"]}").is_err());
        let deep = "[".repeat(100_000);
        assert!(parse::<serde_json::Value>(deep.as_bytes()).is_err());
    }
}
