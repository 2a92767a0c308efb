//! Who comes in: keys, names of hosts, and how many at once.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_server::Handle;
use axum_server::accept::Accept;
use futures_util::FutureExt;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::engine::Client;
use crate::refusal::{Refusal, spell};
use crate::service::Service;

/// What needs no key: whether the server lives, what it offers, and the page, which holds no data.
const OPEN: [&str; 4] = ["/health", "/ready", "/openapi.json", "/"];

/// Lets in who may come, remembers who it is, and spells refusals as the interface does.
pub async fn enter(
    State(service): State<Arc<Service>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let response = match admit(&service, peer, &path, request.headers()) {
        Ok(client) => {
            request.extensions_mut().insert(client);
            // A mistake of ours in one request is not to end the server.
            match std::panic::AssertUnwindSafe(next.run(request)).catch_unwind().await {
                Ok(response) => response,
                Err(_) => {
                    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request met a mistake of the server")
                        .into_response()
                }
            }
        }
        Err(refusal) => refusal.into_response(),
    };
    let mut response = spell(&path, response);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(name) = HeaderValue::from_str(&service.name("req_")) {
        response.headers_mut().insert("request-id", name.clone());
        response.headers_mut().insert("x-request-id", name);
    }
    response
}

fn admit(service: &Service, peer: SocketAddr, path: &str, headers: &HeaderMap) -> Result<Client, Refusal> {
    let options = &service.options;
    if options.keys.is_empty() && options.address.ip().is_loopback() {
        check_host(headers)?;
    }
    let client = client(peer.ip());
    if options.keys.is_empty() || OPEN.contains(&path) || path.starts_with("/page/") {
        return Ok(client);
    }
    match presented(headers) {
        Some(key) if knows(&options.keys, key) => Ok(client),
        found => {
            let message = match found {
                Some(_) => "the API key is not known here",
                None => "an API key is needed: `Authorization: Bearer KEY`, or `x-api-key: KEY`",
            };
            Err(Refusal::new(StatusCode::UNAUTHORIZED, message).code("invalid_api_key"))
        }
    }
}

/// The key that a client presents.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.split_once(' '));
    let bearer =
        bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, key)| key.trim());
    bearer.or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()))
}

/// Takes the same time whichever key is wrong in whichever place.
fn knows(keys: &[String], key: &str) -> bool {
    let presented = Sha256::digest(key);
    let equal = |known: &String| Sha256::digest(known).as_slice().ct_eq(presented.as_slice());
    keys.iter().map(equal).fold(Choice::from(0), |any, one| any | one).into()
}

/// A server without keys answers only to names of this machine: else a page from elsewhere, whose host name was made to
/// lead here, could use it.
fn check_host(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    let host = host.to_str().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_here = name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if is_here {
        return Ok(());
    }
    let message = "this server is for this machine, and is not known by that name; give it an --api-key, or call it localhost";
    Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, message))
}

fn client(ip: IpAddr) -> Client {
    let bytes = match ip {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        // A client has all addresses of its network.
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
    };
    Client(bytes)
}

/// Turns connections away when there are too many.
#[derive(Clone)]
pub struct Bounded {
    /// Counts them.
    pub handle: Handle<SocketAddr>,
    /// The most there may be.
    pub most: usize,
}

impl<S> Accept<tokio::net::TcpStream, S> for Bounded {
    type Stream = tokio::net::TcpStream;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: tokio::net::TcpStream, service: S) -> Self::Future {
        let full = self.handle.connection_count() > self.most;
        let accepted = match full {
            true => Err(io::Error::other("too many connections")),
            false => stream.set_nodelay(true).map(|()| (stream, service)),
        };
        std::future::ready(accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine_are_answered_and_others_are_not() {
        for (host, here) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("page.localhost:80", true),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.7", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            assert_eq!(check_host(&headers).is_ok(), here, "{host}");
        }
    }

    #[test]
    fn keys_are_found_in_either_header() {
        let keys = ["one".to_owned(), "two".to_owned()];
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(header::HeaderName::from_static(name), HeaderValue::from_static(value))])
        };
        for (headers, known) in [
            (headers("authorization", "Bearer two"), true),
            (headers("authorization", "bearer one"), true),
            (headers("x-api-key", "one"), true),
            (headers("x-api-key", "three"), false),
            (headers("authorization", "Basic one"), false),
            (HeaderMap::new(), false),
        ] {
            assert_eq!(presented(&headers).is_some_and(|key| knows(&keys, key)), known, "{headers:?}");
        }
    }
}
