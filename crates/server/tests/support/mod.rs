//! A server of the demo model at a free port, and a client that speaks HTTP as plainly as can be.
#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use server::{Limits, ServeOptions, Server, Store, Voice};
use tidemill::{ByteSize, Engine, Opened, Options, Sampling, demo};
use tokio::sync::oneshot;

pub struct Served {
    pub address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

pub struct Setup {
    pub limits: Limits,
    pub keys: Vec<String>,
    pub store: Option<Store>,
    pub context: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self { limits: Limits::default(), keys: Vec::new(), store: None, context: 2048 }
    }
}

pub fn demo_path() -> PathBuf {
    demo::unpack(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("demo")).unwrap()
}

impl Served {
    pub fn start(setup: Setup) -> Self {
        let opened = Opened::read(&demo_path()).unwrap();
        let voice = Voice::of(&opened).unwrap();
        let options = Options {
            memory: Some(ByteSize(256 << 20)),
            context: Some(setup.context),
            threads: Some(1),
            sequences: setup.limits.parallel,
            ..Options::default()
        };
        let plan = opened.plan(&options).unwrap();
        let engine = Engine::load(opened, plan, &options, &mut |_, _| {}).unwrap();
        let serve = ServeOptions {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            model: "demo".to_owned(),
            keys: setup.keys,
            tls: None,
            sampling: Sampling::default(),
            limits: setup.limits,
            store: setup.store,
        };
        let server = Server::bind(engine, voice, serve).unwrap();
        let address = server.address().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            server
                .run_until(async {
                    let _ = ended.await;
                })
                .unwrap();
        });
        Self { address, end: Some(end), thread: Some(thread) }
    }

    /// Tells the server to end, and goes on.
    pub fn tell_to_end(&mut self) {
        drop(self.end.take());
    }

    /// Waits until it has ended.
    pub fn join(&mut self) {
        self.tell_to_end();
        self.thread.take().unwrap().join().unwrap();
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.open(path, body).rest()
    }

    /// The beginning of a response whose body is yet to be read.
    pub fn open(&self, path: &str, body: &Value) -> Opening {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.begin((head + &body).as_bytes())
    }

    pub fn send(&self, request: &str) -> Reply {
        self.begin(request.as_bytes()).rest()
    }

    pub fn begin(&self, request: &[u8]) -> Opening {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // The server may refuse before it has read everything.
        let _ = stream.write_all(request);
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                break;
            }
            head.push(line.trim_end().to_ascii_lowercase());
        }
        let status = head.first().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        Opening { status, head, reader, read: false }
    }

    pub fn status(&self) -> Value {
        self.get("/api/status").json()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.join();
        }
    }
}

pub struct Opening {
    pub status: u16,
    pub head: Vec<String>,
    reader: BufReader<TcpStream>,
    /// Lines of the body were read; what is left begins within a chunk.
    read: bool,
}

impl Opening {
    /// The next line of the body, as it comes.
    pub fn line(&mut self) -> String {
        self.read = true;
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line
    }

    pub fn rest(mut self) -> Reply {
        let mut raw = Vec::new();
        let _ = self.reader.read_to_end(&mut raw);
        let chunked = self.head.iter().any(|line| line == "transfer-encoding: chunked");
        let body = if chunked && !self.read { unchunked(&raw) } else { raw };
        Reply { status: self.status, head: self.head, body: String::from_utf8(body).unwrap() }
    }
}

fn unchunked(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = raw.windows(2).position(|pair| pair == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&raw[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&raw[end + 2..end + 2 + length]);
        raw = &raw[(end + length + 4).min(raw.len())..];
    }
    body
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: Vec<String>,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The data of each event of a stream.
    pub fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}
