//! What is refused and why: one type for every interface, which each spells in its own JSON.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base::{Error, Kind};
use serde_json::{Value, json};

/// A request that is not answered, told so that a person can act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of the response.
    pub status: StatusCode,
    /// One sentence: what was found and what was expected.
    pub message: String,
    /// The field of the request that is at fault.
    pub field: Option<String>,
    /// A word for programs.
    pub code: Option<&'static str>,
    /// Seconds after which it is worth trying again.
    pub retry_after: Option<u64>,
}

/// In whose words a refusal is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `{"error": {..}}`.
    OpenAi,
    /// `{"type": "error", "error": {..}}`.
    Anthropic,
}

impl Dialect {
    /// The dialect spoken at `path`.
    pub fn at(path: &str) -> Self {
        let messages = path.strip_prefix("/v1/messages");
        let is_messages = messages.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_messages { Self::Anthropic } else { Self::OpenAi }
    }
}

impl Refusal {
    /// Of any status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), field: None, code: None, retry_after: None }
    }

    /// The request makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A field holds what cannot be honoured.
    pub fn field(field: impl Into<String>, problem: impl AsRef<str>) -> Self {
        let field = field.into();
        Self { field: Some(field.clone()), ..Self::invalid(format!("`{field}`: {}", problem.as_ref())) }
    }

    /// Too many wait already.
    pub fn busy(message: impl Into<String>, retry_after: u64) -> Self {
        let retry_after = Some(retry_after.max(1));
        let code = Some("rate_limit_exceeded");
        Self { retry_after, code, ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// The server is about to end.
    pub fn stopping() -> Self {
        Self {
            retry_after: Some(30),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down")
        }
    }

    /// With a word for programs.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// What `error` of the engine means to a client.
    pub fn of(error: &Error) -> Self {
        let status = match error.kind() {
            Kind::Input | Kind::Unsupported => StatusCode::BAD_REQUEST,
            Kind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Corrupt | Kind::Budget | Kind::Io => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }

    /// Its JSON in `dialect`.
    pub fn json(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::OpenAi => json!({ "error": {
                "message": self.message,
                "type": self.openai_type(),
                "param": self.field,
                "code": self.code,
            } }),
            Dialect::Anthropic => json!({
                "type": "error",
                "error": { "type": self.anthropic_type(), "message": self.message },
            }),
        }
    }

    fn openai_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn anthropic_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            504 => "timeout_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        }
    }

    /// The whole response in `dialect`.
    pub fn response(&self, dialect: Dialect) -> Response {
        let mut response = (self.status, axum::Json(self.json(dialect))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Leaves the refusal in the response, for [`spell`] to write in the words of the interface.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes a refusal that a response carries in the words of the interface at `path`.
pub fn spell(path: &str, mut response: Response) -> Response {
    match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => {
            let mut told = refusal.response(Dialect::at(path));
            for (name, value) in response.headers() {
                if name == header::ALLOW || name == header::WWW_AUTHENTICATE {
                    told.headers_mut().insert(name.clone(), value.clone());
                }
            }
            told
        }
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interface_hears_its_own_words() {
        let busy = Refusal::busy("8 requests wait", 7);
        assert_eq!(busy.json(Dialect::OpenAi)["error"]["type"], "rate_limit_error");
        assert_eq!(busy.json(Dialect::Anthropic)["error"]["type"], "rate_limit_error");
        let told = spell("/v1/messages", busy.into_response());
        assert_eq!(told.status(), 429);
        assert_eq!(told.headers()["retry-after"], "7");
        assert_eq!(Dialect::at("/v1/messages/count_tokens"), Dialect::Anthropic);
        assert_eq!(Dialect::at("/v1/messagesx"), Dialect::OpenAi);
    }

    #[test]
    fn a_field_is_named() {
        let refusal = Refusal::field("tools[2].type", "`web_search` is not supported");
        assert_eq!(refusal.json(Dialect::OpenAi)["error"]["param"], "tools[2].type");
        assert!(refusal.message.starts_with("`tools[2].type`: "));
    }
}
