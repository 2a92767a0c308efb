//! `tidemill tokenize`: text to ids, and back.

use base::{Error, Result, TokenId};
use serde_json::json;
use tidemill::Opened;

use crate::args::TokenizeArgs;
use crate::{models, session, terminal};

pub fn tokenize(args: &TokenizeArgs) -> Result<()> {
    let tokenizer = Opened::read(&models::resolve(&args.model)?)?.tokenizer()?;
    let text = if args.text == "-" { session::stdin()? } else { args.text.clone() };
    let ids = if args.decode { ids(&text)? } else { tokenizer.encode(&text)? };
    let pieces: Vec<String> = ids.iter().map(|id| tokenizer.decode(&[*id])).collect();
    if args.json {
        let mut object = json!({ "ids": ids, "pieces": pieces });
        if args.decode {
            object["text"] = tokenizer.decode(&ids).into();
        }
        return terminal::json(&object);
    }
    if args.decode {
        return terminal::answer(&format!("{}\n", tokenizer.decode(&ids)));
    }
    let lines = ids.iter().zip(&pieces).map(|(id, piece)| format!("{id:>8}  {piece:?}\n"));
    terminal::answer(&lines.collect::<String>())
}

fn ids(text: &str) -> Result<Vec<TokenId>> {
    let numbers = text.split([',', ' ', '\n', '[', ']']).filter(|part| !part.is_empty());
    let parse = |part: &str| part.parse().map_err(|_| Error::input(format!("`{part}` is not a token id")));
    numbers.map(parse).collect()
}
