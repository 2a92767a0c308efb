//! Requests nobody should send: each is answered or cut off, and the server goes on.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use server::Limits;
use support::{Served, Setup};

#[test]
fn broken_bodies_are_answered_with_what_is_wrong() {
    let limits = Limits { body_bytes: 64 << 10, ..Limits::default() };
    let served = Served::start(Setup { limits, ..Setup::default() });
    let post = |body: &[u8], kind: &str| {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        served.begin(&[head.as_bytes(), body].concat()).rest().status
    };
    let json = "application/json";
    let deep = [b"{\"messages\":".as_slice(), &b"[".repeat(30_000)].concat();
    let deep_tool = format!(
        "{{\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}],\"tools\":[{{\"type\":\"function\",\"function\":{{\"name\":\"f\",\"parameters\":{}1{}}}}}]}}",
        "{\"a\":".repeat(4000),
        "}".repeat(4000)
    );
    for (body, kind, status) in [
        (&b""[..], json, 400),
        (b"{", json, 400),
        (b"null", json, 400),
        (b"{\"messages\": \"\xff\xfe\"}", json, 400),
        (b"{\"messages\": [{\"role\": \"user\", \"content\": \"\\ud800\"}]}", json, 400),
        (&deep, json, 400),
        (deep_tool.as_bytes(), json, 400),
        (&vec![b' '; 100 << 10], json, 413),
        (b"{}", "text/plain", 415),
    ] {
        assert_eq!(post(body, kind), status, "{:?}", String::from_utf8_lossy(&body[..body.len().min(60)]));
    }
    assert_eq!(served.get("/nowhere").status, 404);
    assert_eq!(served.get("/v1/chat/completions").status, 405);
    let host = "GET /health HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    assert_eq!(served.send(host).status, 421);
    assert_eq!(served.get("/health").status, 200);
}

#[test]
fn heads_that_are_too_large_or_too_slow_are_cut_off() {
    let limits = Limits {
        header_time: Duration::from_millis(200),
        body_time: Duration::from_millis(200),
        ..Limits::default()
    };
    let served = Served::start(Setup { limits, ..Setup::default() });
    let large = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(200 << 10));
    assert_eq!(served.send(&large).status, 431);

    let mut slow = TcpStream::connect(served.address).unwrap();
    slow.write_all(b"GET /health HTTP/1.1\r\nhost: loc").unwrap();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest); // ends when the server gives up

    let slow_body = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"pro";
    assert_eq!(served.send(slow_body).status, 408);
    assert_eq!(served.get("/health").status, 200);
}

#[test]
fn only_so_many_connections_are_held() {
    let limits = Limits { connections: 8, header_time: Duration::from_secs(2), ..Limits::default() };
    let served = Served::start(Setup { limits, ..Setup::default() });
    let mut held: Vec<TcpStream> = (0..32).map(|_| TcpStream::connect(served.address).unwrap()).collect();
    let ended = held.iter_mut().skip(16).map(|stream| stream.read(&mut [0; 16]));
    assert!(ended.into_iter().all(|read| read.unwrap_or(0) == 0), "connections past the bound are closed");
    drop(held);
    while served.begin(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").status != 200
    {
    }
}

#[test]
fn keys_are_asked_for_where_there_are_keys() {
    let served = Served::start(Setup { keys: vec!["sesame".to_owned()], ..Setup::default() });
    assert_eq!(served.get("/v1/models").status, 401);
    assert_eq!(served.post("/v1/messages", &json!({})).json()["error"]["type"], "authentication_error");
    let with = |header: &str| {
        served
            .send(&format!(
                "GET /v1/models HTTP/1.1\r\nhost: a.example\r\n{header}\r\nconnection: close\r\n\r\n"
            ))
            .status
    };
    assert_eq!(with("authorization: Bearer sesame"), 200);
    assert_eq!(with("x-api-key: sesame"), 200);
    assert_eq!(with("x-api-key: sesam"), 401);
    assert_eq!(served.get("/health").status, 200);
    assert_eq!(served.get("/metrics").status, 401);
}
