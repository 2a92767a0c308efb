//! What is kept comes back, and what was damaged does not.

use super::*;

fn tokens(count: u32) -> Vec<TokenId> {
    (0..count).collect()
}

fn keep(prompts: &mut Prompts, tokens: &[TokenId], state: &[u8]) {
    let writing = prompts.begin(tokens, Beginnings::Any, state.len() as u64).unwrap();
    let Some(mut writing) = writing else { return };
    writing.write_all(state).unwrap();
    let complete = writing.complete().unwrap();
    prompts.add(complete);
}

fn state(prompts: &mut Prompts, entry: usize, length: usize) -> Option<Vec<u8>> {
    let read = |input: &mut dyn Read| {
        let mut state = vec![0; length];
        input.read_exact(&mut state).map_err(|error| Error::io("restoring", &error)).map(|()| state)
    };
    prompts.read(entry, read).unwrap()
}

#[test]
fn what_is_kept_outlives_the_process_that_kept_it() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name| Prompts::open(folder.path(), 1 << 20, name).unwrap();
    let mut prompts = open("a");
    assert_eq!(prompts.unknown(&tokens(100)), 100);
    keep(&mut prompts, &tokens(100), b"state");
    assert_eq!((prompts.unknown(&tokens(100)), prompts.unknown(&tokens(110))), (0, 10));
    let mut other = tokens(90);
    other.extend([7; 50]);
    keep(&mut prompts, &other, b"other");

    let mut again = open("a");
    let (entry, shared) = again.likest(&tokens(150)).unwrap();
    assert_eq!((again.tokens(entry), shared), (&tokens(100)[..], 100));
    assert_eq!(state(&mut again, entry, 5).unwrap(), b"state");
    keep(&mut again, &tokens(150), b"longer");
    assert_eq!(open("a").entries.len(), 2, "the longer one takes the place of the one it extends");
    assert!(open("b").likest(&tokens(150)).is_none(), "another model's");
    again.note("warm").unwrap();
    assert_eq!((open("a").noted().as_deref(), open("b").noted()), (Some("warm"), None));
    assert_eq!(open("b").bytes(), again.bytes());
}

#[test]
fn a_damaged_entry_is_dropped_wherever_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Prompts::open(folder.path(), 1 << 20, "a").unwrap();
    keep(&mut open(), &tokens(70), &[5; 100]);
    let path = open().entries[0].path.clone();
    let whole = fs::read(&path).unwrap();
    for place in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let mut prompts = open();
        if let Some((entry, _)) = prompts.likest(&tokens(70)) {
            assert_eq!(state(&mut prompts, entry, 100), None, "byte {place}");
            assert!(prompts.damaged() == 1 && !path.exists());
        }
    }
    for length in [0, 10, 60, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let mut prompts = open();
        let found = prompts.likest(&tokens(70)).and_then(|(entry, _)| state(&mut prompts, entry, 100));
        assert_eq!((found, prompts.damaged()), (None, 1), "cut to {length}");
    }
}

#[test]
fn an_interrupted_write_leaves_nothing_and_the_oldest_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut prompts = Prompts::open(folder.path(), 2_000, "a").unwrap();
    let mut broken_off = prompts.begin(&tokens(70), Beginnings::Any, 8).unwrap().unwrap();
    broken_off.write_all(b"half").unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    drop(broken_off);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(folder.path().join("1-2-3.part"), b"half").unwrap();
    let mut prompts = Prompts::open(folder.path(), 2_000, "a").unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    for start in [0, 1000, 2000, 3000] {
        keep(&mut prompts, &(start..start + 80).collect::<Vec<_>>(), &[1; 200]);
        assert!(prompts.bytes() <= 2_000);
    }
    assert!(prompts.entries.len() >= 2 && prompts.likest(&(3000..3080).collect::<Vec<_>>()).is_some());
    keep(&mut prompts, &tokens(70), &[0; 5_000]);
    assert!(prompts.likest(&tokens(70)).is_none(), "an entry past the bound is not made");
}

#[test]
fn a_state_is_found_where_it_can_be_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut prompts = Prompts::open(folder.path(), 1 << 20, "a").unwrap();
    let mut writing = prompts.begin(&tokens(200), Beginnings::Marked(150), 5).unwrap().unwrap();
    writing.write_all(b"state").unwrap();
    prompts.add(writing.complete().unwrap());
    let again = Prompts::open(folder.path(), 1 << 20, "a").unwrap();
    for (wanted, usable) in
        [(300, Some(200)), (200, Some(200)), (199, Some(150)), (150, Some(150)), (149, None)]
    {
        let found = again.likest(&tokens(wanted)).map(|(_, shared)| shared);
        assert_eq!(found, usable, "{wanted} tokens");
    }
}
