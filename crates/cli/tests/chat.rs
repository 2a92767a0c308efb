//! A conversation as a script has it, through a pipe, and as a person has it, at a terminal.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const ASK: &str = "Tom and his dog went to the park.";

/// `tidemill` with folders of its own.
fn command(program: &str, name: &str) -> (Command, PathBuf) {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&home).unwrap();
    let mut command = Command::new(program);
    command.env("XDG_CACHE_HOME", home.join("cache")).env("XDG_DATA_HOME", home.join("data"));
    command.env_remove("NO_COLOR").env("TERM", "xterm-256color");
    (command, home)
}

fn piped(args: &[&str], said: &str) -> Output {
    let (mut command, _) = command(env!("CARGO_BIN_EXE_tidemill"), "piped");
    let command = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_script_gets_answers_and_nothing_else() {
    let limits = ["-n", "12", "--greedy", "--context", "512"];
    let run = piped(&[&["run", "demo", "-", "--stats", "off"][..], &limits].concat(), ASK).stdout;
    let chat = |said: &str| {
        let output = piped(&[&["chat", "demo"][..], &limits].concat(), said);
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (once, notes) = chat(&format!("{ASK}\n"));
    assert_eq!(once, String::from_utf8(run).unwrap());
    assert_eq!(notes, "");
    assert!(!once.contains('\x1b') && once.ends_with('\n'));

    let (twice, notes) =
        chat(&format!("{ASK}\n/retry\n/clear\n{ASK}\n/nonsense\n/stats\n/quit\nnever heard\n"));
    assert_eq!(twice, once.repeat(3));
    assert!(notes.contains("a new conversation") && notes.contains("/nonsense is not a command"), "{notes}");
    assert!(notes.contains("hit rate"), "{notes}");
}

#[test]
fn a_conversation_is_saved_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talk.json");
    let name = file.to_str().unwrap();
    let args = ["chat", "demo", "-n", "8", "--greedy", "--context", "512", "--system", "Be kind."];
    piped(&args, &format!("{ASK}\n/save {name}\n"));
    let list: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let roles: Vec<&str> = list.as_array().unwrap().iter().map(|one| one["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant"]);
    let said = list[2]["content"].as_str().unwrap();
    let again = piped(&args, &format!("/load {name}\n/retry\n/load {name}.not\n/save\n"));
    assert_eq!(String::from_utf8(again.stdout).unwrap().trim_end(), said.trim_end());
    let notes = String::from_utf8(again.stderr).unwrap();
    assert!(notes.contains("talk.json.not") && notes.contains("/save needs the name of a file"), "{notes}");
}

/// A terminal of `script`, with what was typed into it and what it showed.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// `None` on a system without `script`. The shell that `script` starts is replaced by the program: were it to wait for
    /// it, Ctrl-C would reach the shell as well, and some (dash) then end as if the program had been interrupted.
    fn open(command_line: &str) -> Option<(Self, PathBuf)> {
        let (mut command, home) = command("script", "terminal");
        let command = command.args(["-q", "-e", "-f", "-c", command_line, "/dev/null"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (send, shown) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                let _ = send.send(bytes[..count].to_vec());
            }
        });
        Some((Self { child, keys, shown, seen: String::new() }, home))
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until one of `texts` is shown after what was waited for before, and answers with all up to it.
    fn sees(&mut self, texts: &[&str]) -> String {
        loop {
            let found = texts.iter().filter_map(|text| Some(self.seen.find(text)? + text.len())).min();
            if let Some(end) = found {
                return self.seen.drain(..end).collect();
            }
            let more = self.shown.recv_timeout(Duration::from_secs(120));
            let more = more.unwrap_or_else(|_| panic!("never shown: {texts:?}; but {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// How it ended, and what it showed last.
    fn ends(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        let last: Vec<u8> = self.shown.iter().flatten().collect();
        (status, self.seen + &String::from_utf8_lossy(&last))
    }
}

#[test]
fn a_person_edits_pastes_stops_and_leaves() {
    let line = format!("exec '{}' chat demo -n 150 --greedy --context 1024", env!("CARGO_BIN_EXE_tidemill"));
    let Some((mut terminal, home)) = Terminal::open(&line) else { return };
    terminal.sees(&["/help lists"]);
    terminal.sees(&["> "]);
    // A word too many is taken back before it is said.
    terminal.types(&format!("{ASK} xyz\x17\r"));
    let answer = terminal.sees(&["tok/s ·", "first after"]);
    assert!(answer.contains("\x1b]0;tidemill"), "the title tells the speed: {answer:?}");
    terminal.sees(&["> "]);

    terminal.types("\x1b[200~one\ntwo\x1b[201~\r");
    terminal.sees(&["first after"]);
    terminal.sees(&["> "]);
    terminal.types(&format!("{ASK}\r"));
    terminal.sees(&["\x1b]0;"]);
    // It may be done already: then there is nothing to stop, and the program stays all the same.
    terminal.types("\x03");
    terminal.sees(&["stopped ·", "Ctrl-D or /quit leaves", "first after"]);
    terminal.types("/stats\r");
    terminal.sees(&["hit rate"]);
    let file = home.join("talk.json");
    terminal.types(&format!("/save {}\r", file.display()));
    terminal.sees(&["messages, "]);
    terminal.types("/quit\r");
    let (status, last) = terminal.ends();
    assert!(status.success(), "{status}; at last {last:?}");

    let list: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(list[0]["content"].as_str().unwrap().trim_end(), ASK);
    assert_eq!(list[2]["content"], "one\ntwo");
    let history = std::fs::read_to_string(home.join("data/tidemill/history")).unwrap();
    assert!(history.contains("/stats"), "{history}");
}
