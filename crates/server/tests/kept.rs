//! Prompts that return: from memory, after a restart, and when what was kept is damaged.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use server::Store;
use support::{Served, Setup};

fn setup(folder: &Path) -> Setup {
    let store = Store { folder: folder.to_owned(), bytes: 64 << 20, identity: "demo".to_owned() };
    Setup { store: Some(store), ..Setup::default() }
}

fn ask(served: &Served) -> (String, u64) {
    let prompt = "Once upon a time, there was a little girl named Lily. ".repeat(12);
    let reply = served.post("/v1/completions", &json!({ "prompt": prompt, "max_tokens": 16 })).json();
    let cached = &reply["usage"]["prompt_tokens_details"]["cached_tokens"];
    (reply["choices"][0]["text"].as_str().unwrap().to_owned(), cached.as_u64().unwrap())
}

fn prefixes(served: &Served) -> Value {
    served.status()["prefixes"].clone()
}

#[test]
fn a_prompt_is_known_after_a_restart_unless_its_file_is_damaged() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prompts");
    let _ = std::fs::remove_dir_all(&folder);
    let mut served = Served::start(setup(&folder));
    let (text, cached) = ask(&served);
    assert_eq!(cached, 0);
    assert!(ask(&served).1 > 100, "from memory");
    served.join();

    let mut again = Served::start(setup(&folder));
    let (same, cached) = ask(&again);
    assert!(cached > 100 && prefixes(&again)["drive_hits"] == 1, "{}", prefixes(&again));
    assert_eq!(same, text);
    again.join();

    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|ending| ending == "prompt")) {
        let mut bytes = std::fs::read(&file).unwrap();
        let last = bytes.len() - 100;
        bytes[last] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    let damaged = Served::start(setup(&folder));
    assert_eq!(ask(&damaged), (text, 0));
    assert!(prefixes(&damaged)["damaged"].as_u64().unwrap() >= 1);
}
