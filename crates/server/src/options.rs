//! What whoever starts the server chooses.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tidemill::Sampling;

/// How to serve a model.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where to listen.
    pub address: SocketAddr,
    /// What clients call the model.
    pub model: String,
    /// Keys of which a client must present one; with none, everybody is served.
    pub keys: Vec<String>,
    /// Certificate chain and private key, PEM files; without them plain HTTP is spoken.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How tokens are chosen unless a request says otherwise.
    pub sampling: Sampling,
    /// Bounds on what requests may take.
    pub limits: Limits,
    /// Where prompts are kept for later runs, and in how many bytes; `None` keeps them in memory only.
    pub store: Option<Store>,
}

/// Bounds on what requests may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Answers generated at once.
    pub parallel: usize,
    /// Answers that wait for their turn; beyond that a request is told to come again.
    pub queue: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of all bodies that are being read or understood.
    pub bodies_bytes: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// Open connections.
    pub connections: usize,
    /// How long a client may take to send its headers, and how long a connection may be idle between two requests.
    pub header_time: Duration,
    /// How long a client may take to send its body.
    pub body_time: Duration,
    /// How long a request may take from arrival to its last token; `None` for as long as it needs.
    pub deadline: Option<Duration>,
    /// How long answers under way may go on once the server is told to end.
    pub grace: Duration,
    /// A stream that has nothing to say says so this often.
    pub keep_alive: Duration,
    /// Answers to one request.
    pub choices: usize,
}

/// Where prompts are kept.
#[derive(Clone, Debug)]
pub struct Store {
    /// The folder, made when it is not there.
    pub folder: PathBuf,
    /// The most bytes it may hold.
    pub bytes: u64,
    /// Tells model and settings from others: [`tidemill::Opened::identity`].
    pub identity: String,
}

/// What the server holds when nobody asks anything: its code, its runtime, the threads that render prompts. Above what was
/// seen: the whole process at rest had 12 MB with the demo model, and 36 MB after answers to four and one by a schema.
const IDLE_BYTES: u64 = 6 << 20;
/// What an answer and its connection take: pieces under way, buffers.
const ANSWER_BYTES: u64 = 512 << 10;
/// What all shapes that answers are held to may take as they are compiled, those of answers that wait among them.
pub const SHAPES_BYTES: u64 = 20 << 20;

impl Limits {
    /// Bytes that serving a model of `vocab` tokens takes beside the engine, at most: what is there always, bodies and what
    /// they become, answers, and the shapes they are held to.
    pub fn memory_bytes(&self, vocab: usize) -> u64 {
        let answers = (self.parallel + self.queue) as u64;
        let shapes = SHAPES_BYTES + grammar::tree_bytes(vocab) + self.parallel as u64 * grammar::LEXER_BYTES;
        IDLE_BYTES + 2 * self.bodies_bytes as u64 + answers * ANSWER_BYTES + shapes
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parallel: 4,
            queue: 32,
            body_bytes: 4 << 20,
            bodies_bytes: 16 << 20,
            header_bytes: 32 << 10,
            connections: 256,
            header_time: Duration::from_secs(15),
            body_time: Duration::from_secs(30),
            deadline: None,
            grace: Duration::from_secs(30),
            keep_alive: Duration::from_secs(10),
            choices: 8,
        }
    }
}
