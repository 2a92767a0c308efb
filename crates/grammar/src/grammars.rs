//! The tokens of one model, and the shapes its answers can be held to.

use std::sync::{Arc, Mutex, PoisonError};

use base::{Error, Result};
use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use text::{AnswerSyntax, Tokenizer};
use tidemill::Constraint;
use toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

use crate::limits::{LEXER_BYTES, STACK_BYTES, check_schema, check_text, parser_limits};
use crate::shape::Shape;
use crate::{answers, lark};

/// The longest token that can be part of a shape. Longer ones are runs of spaces and dashes.
const MAX_TOKEN_BYTES: usize = 200;
/// The longest part of the engine's own reasons that a message repeats.
const MAX_REASON: usize = 300;

/// Makes constraints for the answers of one model. One of these serves any number of requests.
pub struct Grammars {
    factory: ParserFactory,
    tokenizer: Arc<Tokenizer>,
    /// Held while a grammar is compiled: what that takes is taken once.
    compiling: Mutex<()>,
}

impl Grammars {
    /// Over the tokens of `tokenizer`. Takes some 50 ms for 150,000 tokens.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Result<Self> {
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie(&tokenizer)));
        let mut factory = ParserFactory::new_simple(&environment)
            .map_err(|error| err_refused("tokens of the model", &error.to_string()))?;
        factory.quiet();
        *factory.limits_mut() = parser_limits();
        Ok(Self { factory, tokenizer, compiling: Mutex::default() })
    }

    /// The tokenizer it was made over.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// JSON that `schema` describes, and nothing else. Refuses a schema with a keyword that cannot be enforced.
    pub fn json_schema(&self, schema: &Value) -> Result<Box<dyn Constraint>> {
        check_schema(schema)?;
        self.compile("schema", TopLevelGrammar::from_json_schema(lark::spelled(schema)))
    }

    /// Any JSON object.
    pub fn json_object(&self) -> Result<Box<dyn Constraint>> {
        self.json_schema(&json!({"type": "object"}))
    }

    /// A text that `expression` matches from its beginning to its end.
    pub fn regex(&self, expression: &str) -> Result<Box<dyn Constraint>> {
        check_text("expression", expression)?;
        self.compile("expression", TopLevelGrammar::from_regex(expression))
    }

    /// A text of `grammar`, in the notation of Lark as `llguidance` reads it.
    pub fn lark(&self, grammar: &str) -> Result<Box<dyn Constraint>> {
        check_text("grammar", grammar)?;
        self.compile("grammar", TopLevelGrammar::from_lark(grammar.to_owned()))
    }

    /// As [`json_schema`](Self::json_schema), for a model that reasons before it answers: what it thinks is its own
    /// business. `within_reasoning` says that the prompt ends within reasoning.
    pub fn json_answer(
        &self,
        syntax: &AnswerSyntax,
        schema: &Value,
        within_reasoning: bool,
    ) -> Result<Box<dyn Constraint>> {
        check_schema(schema)?;
        let rules = answers::after_reasoning(&self.tokenizer, syntax, within_reasoning);
        let (before, after) = answers::around(&self.tokenizer, syntax);
        self.compile_rules("schema", format!("{rules}body: {before} {} {after}\n", lark::json(schema)))
    }

    /// A grammar that is made here, of parts that were checked.
    pub(crate) fn compile_rules(&self, what: &str, rules: String) -> Result<Box<dyn Constraint>> {
        self.compile(what, TopLevelGrammar::from_lark(rules))
    }

    /// One after another, on a thread with a stack that no accepted grammar exceeds.
    fn compile(&self, what: &str, grammar: TopLevelGrammar) -> Result<Box<dyn Constraint>> {
        let _alone = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        let compile = || {
            let parser = self.factory.create_parser(grammar);
            let bytes = parser.as_ref().map_or(0, |parser| parser.parser.lexer_stats().num_bytes as u64);
            (Matcher::new(parser), bytes)
        };
        let (matcher, bytes) = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("grammar".into()).stack_size(STACK_BYTES);
            let thread = thread
                .spawn_scoped(scope, compile)
                .map_err(|error| Error::io("cannot start a thread", &error))?;
            thread.join().map_err(|_| err_refused(what, "the grammar engine gave up"))
        })?;
        match matcher.get_error() {
            Some(reason) => Err(err_refused(what, &reason)),
            None if bytes > LEXER_BYTES => Err(err_refused(what, "it takes too much memory")),
            None => Ok(Box::new(Shape::new(matcher, self.tokenizer.vocab_size()))),
        }
    }
}

/// The tokens as a tree. Control tokens are in it by their ids only, so that no text becomes one.
fn trie(tokenizer: &Tokenizer) -> TokTrie {
    let word = |id: u32| {
        let bytes = tokenizer.piece(id).unwrap_or_default();
        match bytes.len() {
            len if len > MAX_TOKEN_BYTES => Vec::new(),
            _ if tokenizer.is_control(id) => [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat(),
            _ => bytes.to_vec(),
        }
    };
    let count = tokenizer.vocab_size() as u32;
    let mut words: Vec<Vec<u8>> = (0..count).map(word).collect();
    // The engine wants one token that ends answers. Which do is the sequence's business, so this is one of its own.
    words.push(b"\xff<|end of the answer|>".to_vec());
    TokTrie::from(&TokRxInfo::new(count + 1, count), &words)
}

fn err_refused(what: &str, reason: &str) -> Error {
    let reason: String = reason.lines().next().unwrap_or_default().chars().take(MAX_REASON).collect();
    Error::input(format!("the {what} cannot be enforced: {reason}"))
}
