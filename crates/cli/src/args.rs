//! What can be typed: each flag once.

use std::net::IpAddr;
use std::path::PathBuf;

use base::{ByteSize, Result};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use disk::Way;
use etcetera::{BaseStrategy, choose_base_strategy};
use tidemill::{IoMode, Options, Precision, Sampling};

/// Run Mixture-of-Experts language models far larger than memory, straight from the files as they were published.
#[derive(Parser)]
#[command(name = "tidemill", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tidemill run                                         a story from the built-in demo model
  tidemill run ~/models/Kimi-K2.5 \"Why is the sky blue?\"
  tidemill chat ~/models/DeepSeek-V3-Q4_K_M-00001-of-00009.gguf --memory 48GiB
  tidemill plan ~/models/Kimi-K2.5 --memory 64GiB      will it fit, and how fast can it be?

MODEL is a GGUF file (any shard of a split one), a Hugging Face folder (config.json and safetensors), `demo` or
`demo-qwen`.";

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Answer one prompt, streamed as it is generated
    Run(RunArgs),
    /// Talk with a model in the terminal
    Chat(ChatArgs),
    /// Answer requests over HTTP, as OpenAI and Anthropic do
    Serve(ServeArgs),
    /// Show what a model needs of memory and drive, from its headers alone
    Plan(PlanArgs),
    /// Show a model's metadata, tensors and what each is for
    Inspect(InspectArgs),
    /// Turn text into token ids, and back
    Tokenize(TokenizeArgs),
    /// Write the logits of every token, for comparing engines
    Logits(LogitsArgs),
    /// Measure perplexity on a text, or the divergence from another model
    Eval(EvalArgs),
    /// Answer one prompt, and record which experts each layer used
    Trace(TraceArgs),
    /// Replay a trace against every eviction policy and pool size
    Simulate(SimulateArgs),
    /// Look at this machine: memory, instruction sets, drive, limits
    Doctor(DoctorArgs),
    /// Measure prefill and decode beside what this machine's drive, memory and arithmetic units allow
    Bench(BenchArgs),
    /// Write random weights in the exact shapes of a real model, to try its speed before downloading it
    Synth(SynthArgs),
}

/// How a model is opened.
#[derive(ClapArgs, Clone)]
pub struct EngineArgs {
    /// Memory for the whole process, as in 24GiB [default: three quarters of the cgroup's or the machine's]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Tokens of context [default: what the command needs, or up to 4096]
    #[arg(long, value_name = "N")]
    pub context: Option<usize>,
    /// Threads that compute [default: one per physical core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// How experts are read
    #[arg(long, value_enum, default_value_t = Io::Auto)]
    pub io: Io,
    /// Who hands reads to the system [default: whichever a probe of the drive finds better]
    #[arg(long, value_enum, value_name = "NAME")]
    pub io_engine: Option<IoEngine>,
    /// Which expert makes room for another
    #[arg(long, value_name = "NAME", default_value = default_policy(), value_parser = policies())]
    pub expert_policy: String,
    /// Read what the next layer may ask for, when the drive has nothing else to do; auto: where guesses were mostly right
    #[arg(long, value_enum, default_value_t = Lookahead::Auto)]
    pub lookahead: Lookahead,
    /// How the KV cache is stored [default: f32 for logits and eval, else f16]
    #[arg(long, value_enum)]
    pub kv: Option<Kv>,
    /// How activations meet quantized weights [default: int8; f32 for logits and eval]
    #[arg(long, value_enum)]
    pub activations: Option<Activations>,
    /// Instruction set of the kernels [default: the best of this machine; all give the same answers]
    #[arg(long, value_enum)]
    pub isa: Option<Isa>,
    /// Write down when each layer, expert and read began and ended, for ui.perfetto.dev
    #[arg(long, value_name = "FILE.json")]
    pub trace_log: Option<PathBuf>,
    /// Print only the answer and errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// How experts are read.
#[derive(Clone, Copy, ValueEnum)]
pub enum Io {
    /// As a probe of the drive finds best, when the model is larger than what the page cache could hold
    Auto,
    /// Past the page cache
    Direct,
    /// Through the page cache
    Buffered,
}

/// Who hands reads to the system.
#[derive(Clone, Copy, ValueEnum)]
pub enum IoEngine {
    /// A thread for each read in flight
    Threads,
    /// io_uring (Linux)
    Uring,
}

/// Whether experts are read ahead.
#[derive(Clone, Copy, ValueEnum)]
pub enum Lookahead {
    /// Where guesses were mostly right
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

/// How the KV cache is stored.
#[derive(Clone, Copy, ValueEnum)]
pub enum Kv {
    /// As computed
    F32,
    /// In half the memory
    F16,
    /// In a little over a quarter of it; lossy
    Q8,
}

impl Kv {
    fn precision(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::F16 => Precision::F16,
            Self::Q8 => Precision::Q8,
        }
    }
}

/// How activations meet quantized weights.
#[derive(Clone, Copy, ValueEnum)]
pub enum Activations {
    /// In f32, as references compute
    F32,
    /// In signed bytes with a scale for 32 columns, where the weights are integer codes
    Int8,
}

/// An instruction set.
#[derive(Clone, Copy, ValueEnum)]
pub enum Isa {
    /// Whatever any processor of this architecture has
    Scalar,
    /// AVX2, FMA and F16C
    Avx2,
    /// AVX2 with AVX-VNNI
    #[value(name = "avxvnni")]
    AvxVnni,
    /// AVX-512 with VNNI and VBMI
    Avx512,
    /// NEON with dot products of bytes
    Neon,
}

fn default_policy() -> &'static str {
    experts::policy::POLICIES[0].name
}

fn policies() -> Vec<&'static str> {
    experts::policy::POLICIES.iter().map(|policy| policy.name).collect()
}

impl EngineArgs {
    /// The same as the engine takes it, for commands that answer: activations in signed bytes.
    pub fn options(&self) -> Options {
        self.options_with(tidemill::Activations::Int8, Options::default().kv)
    }

    /// The same for commands whose figures are compared with references: activations and KV cache in f32.
    pub fn exact_options(&self) -> Options {
        self.options_with(tidemill::Activations::F32, Precision::F32)
    }

    fn options_with(&self, activations: tidemill::Activations, kv: Precision) -> Options {
        Options {
            activations: match self.activations {
                None => activations,
                Some(Activations::F32) => tidemill::Activations::F32,
                Some(Activations::Int8) => tidemill::Activations::Int8,
            },
            isa: self.isa.map(|isa| match isa {
                Isa::Scalar => tidemill::Isa::Scalar,
                Isa::Avx2 => tidemill::Isa::Avx2,
                Isa::AvxVnni => tidemill::Isa::AvxVnni,
                Isa::Avx512 => tidemill::Isa::Avx512,
                Isa::Neon => tidemill::Isa::Neon,
            }),
            memory: self.memory,
            context: self.context,
            threads: self.threads.map(usize::from),
            io: match self.io {
                Io::Auto => IoMode::Auto,
                Io::Direct => IoMode::Direct,
                Io::Buffered => IoMode::Buffered,
            },
            io_way: self.io_engine.map(|engine| match engine {
                IoEngine::Threads => Way::Threads,
                IoEngine::Uring => Way::Ring,
            }),
            probe_memo: choose_base_strategy()
                .ok()
                .map(|folders| folders.cache_dir().join("tidemill").join("drives")),
            expert_policy: self.expert_policy.clone(),
            kv: self.kv.map_or(kv, Kv::precision),
            trace_log: self.trace_log.clone(),
            lookahead: match self.lookahead {
                Lookahead::Auto => tidemill::Lookahead::Auto,
                Lookahead::On => tidemill::Lookahead::On,
                Lookahead::Off => tidemill::Lookahead::Off,
            },
            ..Options::default()
        }
    }
}

/// How tokens are chosen.
#[derive(ClapArgs, Clone)]
pub struct SamplingArgs {
    /// 0 is greedy [default: the model's own, or 0.7]
    #[arg(long, value_name = "T")]
    pub temp: Option<f32>,
    /// Only the likeliest tokens that together reach this probability [default: the model's own, or 0.9]
    #[arg(long, value_name = "P")]
    pub top_p: Option<f32>,
    /// Only the K likeliest tokens; 0 is all [default: the model's own, or 0]
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Only tokens at least this fraction as likely as the likeliest [default: the model's own, or 0]
    #[arg(long, value_name = "P")]
    pub min_p: Option<f32>,
    /// Lower what was said in the last 64 tokens; 1 is off [default: the model's own, or 1]
    #[arg(long, value_name = "R")]
    pub repeat_penalty: Option<f32>,
    /// The same seed gives the same text [default: by the clock, printed with --stats json]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Always the likeliest token
    #[arg(long, conflicts_with_all = ["temp", "top_p", "top_k", "min_p"])]
    pub greedy: bool,
}

impl SamplingArgs {
    /// What was typed, over what the model's publisher recommends (`generation_config.json`), over our defaults.
    pub fn sampling(&self, published: Option<&serde_json::Value>) -> Result<Sampling> {
        let published_flag =
            |key: &str| published.and_then(|config| config.get(key)).and_then(serde_json::Value::as_bool);
        let published =
            |key: &str| published.and_then(|config| config.get(key)).and_then(serde_json::Value::as_f64);
        let number = |typed: Option<f32>, key: &str, default: f32| {
            typed.or(published(key).map(|value| value as f32)).unwrap_or(default)
        };
        let greedy = published_flag("do_sample") == Some(false) && self.temp.is_none();
        let sampling = Sampling {
            temperature: if self.greedy || greedy { 0.0 } else { number(self.temp, "temperature", 0.7) },
            top_p: number(self.top_p, "top_p", 0.9),
            top_k: self.top_k.or(published("top_k").map(|k| k as usize)).unwrap_or(0),
            min_p: number(self.min_p, "min_p", 0.0),
            repeat_penalty: number(self.repeat_penalty, "repetition_penalty", 1.0),
            seed: self.seed.unwrap_or_else(seed_of_clock),
            ..Sampling::default()
        };
        sampling.check()?;
        Ok(sampling)
    }
}

/// Below 2^53, so that it survives JSON.
fn seed_of_clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| time.as_nanos() as u64) & ((1 << 53) - 1)
}

/// `tidemill run`.
#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  tidemill run
  tidemill run demo \"Tom and his dog went to the park.\" --raw --greedy
  tidemill run ~/models/Kimi-K2.5 \"Explain tides to a child.\" -n 400 --memory 48GiB
  echo \"Name three rivers.\" | tidemill run ~/models/Kimi-K2.5 -")]
pub struct RunArgs {
    /// The model; without one, the built-in demo
    pub model: Option<String>,
    /// What to answer; `-` reads it from stdin
    pub prompt: Option<String>,
    /// Read the prompt from a file
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompt_file: Option<PathBuf>,
    /// Give the prompt to the model as it is, without its chat template
    #[arg(long)]
    pub raw: bool,
    /// Tokens to generate at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    pub max_tokens: usize,
    /// One JSON object instead of the text
    #[arg(long)]
    pub json: bool,
    /// What to print on stderr at the end
    #[arg(long, value_enum, default_value_t = Stats::Text)]
    pub stats: Stats,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// `tidemill trace`.
#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  tidemill trace demo --out demo.trace.jsonl
  tidemill trace ~/models/Kimi-K2.5 \"Explain tides to a child.\" --memory 48GiB --out tides.trace.jsonl
  tidemill simulate tides.trace.jsonl")]
pub struct TraceArgs {
    /// Where to write the trace, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub run: RunArgs,
}

/// `tidemill simulate`.
#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  tidemill trace ~/models/Kimi-K2.5 \"Why is the sky blue?\" -n 256 --out sky.jsonl
  tidemill simulate sky.jsonl --plot sky.svg
  tidemill simulate sky.jsonl --streams 4")]
pub struct SimulateArgs {
    /// A trace: of `tidemill trace`, `{"tok", "layers"}` lines (*.jsonl), or route_trace v1 (*.csv)
    pub trace: PathBuf,
    /// One policy beside the clairvoyant optimum [default: all]
    #[arg(long, value_name = "NAME", value_parser = policies())]
    pub policy: Option<String>,
    /// Draw hit rate against pool size
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Cut the generated tokens into N answers, and tell what they read one at a time and all at once
    #[arg(long, value_name = "N", conflicts_with = "plot")]
    pub streams: Option<usize>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// What to print at the end.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stats {
    /// One line
    Text,
    /// One JSON object
    Json,
    /// Nothing
    Off,
}

/// `tidemill chat`.
#[derive(ClapArgs)]
#[command(after_help = "Ctrl-C stops an answer; /help lists what can be typed; Ctrl-D leaves.")]
pub struct ChatArgs {
    /// The model
    #[arg(default_value = "demo")]
    pub model: String,
    /// What the model is told first
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Tokens of one answer at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1024)]
    pub max_tokens: usize,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// `tidemill serve`.
#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  tidemill serve demo
  tidemill serve ~/models/Kimi-K2.5 --memory 48GiB --context 32768
  tidemill serve ~/models/Kimi-K2.5 --host 0.0.0.0 --api-key-file keys --tls-cert cert.pem --tls-key key.pem

Clients find it at http://HOST:PORT/v1 (OpenAI) or http://HOST:PORT (Anthropic).")]
pub struct ServeArgs {
    /// The model
    #[arg(default_value = "demo")]
    pub model: String,
    /// Where to listen; anything but this machine itself should go with an API key
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The port; 0 takes a free one, and says which
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// What clients call the model [default: its file or folder]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A key that clients must present; may be given several times
    #[arg(long, value_name = "KEY")]
    pub api_key: Vec<String>,
    /// A file with such keys, one a line
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Speak TLS, with this certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Answers generated at once; they share the context
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub parallel: u16,
    /// Answers that may wait for their turn; beyond that clients are told to come again
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(0..=4096))]
    pub queue: u16,
    /// Bytes of one request at most
    #[arg(long, value_name = "SIZE", default_value = "4MiB")]
    pub max_body: ByteSize,
    /// Seconds from a request's arrival to its last token at most [default: as many as it takes]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    pub deadline: Option<u32>,
    /// Seconds that answers under way may take once the server is told to end
    #[arg(long, value_name = "S", default_value_t = 30)]
    pub grace: u32,
    /// Where prompts are kept for later runs [default: the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub prompts_dir: Option<PathBuf>,
    /// How much of the drive they may take; 0 keeps none
    #[arg(long, value_name = "SIZE", default_value = "8GiB")]
    pub prompts_size: ByteSize,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// `tidemill plan`.
#[derive(ClapArgs)]
#[command(after_help = plan_help())]
pub struct PlanArgs {
    /// The model; or the name of a geometry, to plan before the download
    pub model: String,
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// Of a geometry: a folder on the drive where it would lie [default: the current one]
    #[arg(long, value_name = "DIR")]
    pub drive: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// `tidemill inspect`.
#[derive(ClapArgs)]
pub struct InspectArgs {
    /// The model
    pub model: String,
    /// List every tensor
    #[arg(long)]
    pub tensors: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `tidemill tokenize`.
#[derive(ClapArgs)]
pub struct TokenizeArgs {
    /// The model
    pub model: String,
    /// The text; `-` reads stdin. With --decode, ids separated by commas or spaces
    pub text: String,
    /// Ids to text
    #[arg(long)]
    pub decode: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `tidemill logits`.
#[derive(ClapArgs)]
pub struct LogitsArgs {
    /// The model
    pub model: String,
    /// Token ids, separated by commas
    #[arg(long, value_name = "IDS", value_delimiter = ',', required_unless_present = "prompt")]
    pub tokens: Vec<u32>,
    /// A text, tokenized as it is
    #[arg(long, value_name = "TEXT", conflicts_with = "tokens")]
    pub prompt: Option<String>,
    /// Where to write float32 [tokens, vocab], as .npy
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Compute token by token, as generated text is, instead of all at once
    #[arg(long)]
    pub decode: bool,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// `tidemill eval`.
#[derive(ClapArgs)]
pub struct EvalArgs {
    /// The model
    pub model: String,
    /// The text to predict
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// Tokens that are predicted together; windows do not overlap
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub window: usize,
    /// Another model to compare with, token by token
    #[arg(long, value_name = "MODEL")]
    pub against: Option<String>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// `tidemill doctor`.
#[derive(ClapArgs)]
pub struct DoctorArgs {
    /// A folder on the drive to measure
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `tidemill bench`.
#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  tidemill bench demo
  tidemill bench ~/models/Kimi-K2.5 --memory 48GiB --text book.txt --plot kimi.svg

Cold is an answer with no expert in memory, rotating one to a prompt that was not seen before, repeated the same again.")]
pub struct BenchArgs {
    /// The model
    #[arg(required_unless_present = "kernels")]
    pub model: Option<String>,
    /// Measure the arithmetic instead: each format and instruction set beside memory bandwidth and multiply-add peak
    #[arg(long, conflicts_with_all = ["model", "text", "plot"])]
    pub kernels: bool,
    /// With --kernels, only these formats, as in Q4_K,Q6_K
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "kernels")]
    pub formats: Vec<String>,
    /// Tokens of each prompt
    #[arg(long, short, value_name = "N", default_value_t = 512)]
    pub prompt_tokens: usize,
    /// Tokens to generate for each
    #[arg(long, short = 'n', value_name = "N", default_value_t = 32)]
    pub tokens: usize,
    /// Rounds; figures are their medians
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub runs: u16,
    /// Cut prompts from this text [default: random tokens]
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// The same seed gives the same random tokens
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Decode with lookahead and without it, in turn, and tell the ratio
    #[arg(long, conflicts_with_all = ["kernels", "plot"])]
    pub compare_lookahead: bool,
    /// Draw the figures as SVG
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Which of a geometry's files is meant.
#[derive(ClapArgs)]
pub struct ShapeArgs {
    /// Only the first N of its layers
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub layers: Option<usize>,
    /// Weight format of the experts [default: about what the model is downloaded in]
    #[arg(long, value_name = "QUANT")]
    pub experts: Option<String>,
    /// Weight format of their down projections: published files often mix two [default: as --experts]
    #[arg(long, value_name = "QUANT")]
    pub down: Option<String>,
    /// Weight format of all other matrices [default: Q8_0]
    #[arg(long, value_name = "QUANT")]
    pub trunk: Option<String>,
}

impl ShapeArgs {
    /// Whether anything was.
    pub fn is_chosen(&self) -> bool {
        self.layers.is_some() || self.experts.is_some() || self.down.is_some() || self.trunk.is_some()
    }

    /// The same as a geometry takes it.
    pub fn choice(&self) -> geometry::Choice {
        let (experts, down, trunk) = (self.experts.clone(), self.down.clone(), self.trunk.clone());
        geometry::Choice { layers: self.layers, experts, down, trunk, ..geometry::Choice::default() }
    }
}

/// `tidemill synth`.
#[derive(ClapArgs)]
#[command(after_help = synth_help())]
pub struct SynthArgs {
    /// The model whose shapes are taken
    pub geometry: String,
    /// The GGUF file to write; it must not exist
    pub out: PathBuf,
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// Use the expert of rank r in proportion to 1/r^S; 0 is uniform
    #[arg(long, value_name = "S", default_value_t = 0.0, allow_negative_numbers = true)]
    pub skew: f64,
    /// The same seed gives the same file
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Print only errors
    #[arg(long, short)]
    pub quiet: bool,
}

impl SynthArgs {
    /// The same as a geometry takes it.
    pub fn choice(&self) -> geometry::Choice {
        geometry::Choice { skew: self.skew, seed: self.seed, ..self.shape.choice() }
    }
}

fn plan_help() -> String {
    format!(
        "{}\nExamples:\n  tidemill plan kimi-k2.5 --memory 64GiB\n  tidemill plan minimax-m2 --experts Q2_K --drive ~/models",
        geometries()
    )
}

fn synth_help() -> String {
    format!(
        "{}\nExamples:\n  tidemill synth kimi-k2 k2-5.gguf --layers 5        42 GB: 1 layer without experts, 4 with\n  \
         tidemill synth deepseek-30b-a3b small.gguf --layers 8 --experts Q2_K\n  \
         tidemill synth qwen3-30b-a3b mixed.gguf --layers 8 --experts Q4_K --down Q6_K",
        geometries()
    )
}

fn geometries() -> String {
    let row = |geometry: &&geometry::Geometry| format!("  {:<23}{}\n", geometry.name, geometry.title);
    let rows: String = geometry::ALL.iter().map(row).collect();
    format!("Geometries:\n{rows}")
}
