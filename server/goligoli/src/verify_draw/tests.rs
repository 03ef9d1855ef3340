//! What the command answers to the test vectors of the protocol.

use std::fmt::Write as _;
use std::fs;

use clap::Parser;
use serde::Deserialize;

use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: Options,
}

#[derive(Deserialize)]
struct Expected {
    args: Vec<String>,
    exit: u8,
    #[serde(default)]
    says: String,
}

/// How a long list of entries is made.
#[derive(Deserialize)]
struct LongList {
    count: u64,
    first_user_id: u64,
    user_id_step: u64,
    opens_at_ms: u64,
    entries_per_ms: u64,
    bytes: usize,
}

impl LongList {
    /// A million entries take a program that is not optimised a quarter of a minute;
    /// `tests/draw/agree.sh` has one that is.
    const fn is_too_long_here(&self) -> bool {
        cfg!(debug_assertions) && self.count > 100_000
    }

    fn lines(&self) -> String {
        let mut lines = String::with_capacity(self.bytes);
        for n in 0..self.count {
            let (user_id, at_ms) =
                (self.first_user_id + self.user_id_step * n, self.opens_at_ms + n / self.entries_per_ms);
            writeln!(lines, "{{\"n\":{n},\"user_id\":\"{user_id}\",\"entered_at_ms\":{at_ms},\"weight\":1}}").unwrap();
        }
        lines
    }
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/draw/vectors")
}

/// The options of a vector; its paths are relative to its folder.
fn options(folder: &Path, args: &[String]) -> Options {
    let path = |arg: &String| if arg.starts_with("--") { arg.into() } else { folder.join(arg).into_os_string() };
    Command::try_parse_from(std::iter::once("verify-draw".into()).chain(args.iter().map(path))).unwrap().options
}

fn answer(options: &Options) -> (u8, String) {
    match check(options) {
        Ok(checked) => {
            let mut told = Vec::new();
            tell(&checked, &mut told).unwrap();
            (checked.exit_code(), String::from_utf8(told).unwrap())
        }
        Err(Wrong::Draw(fault)) => (fault.exit_code(), fault.to_string()),
        Err(Wrong::File(path, error)) => (UNREADABLE, format!("{}: {error}", path.display())),
    }
}

#[test]
fn every_vector_gets_the_answer_that_it_expects() {
    let long = tempfile::tempdir().unwrap();
    let mut exits = [0; 4];
    for folder in fs::read_dir(vectors()).unwrap() {
        let folder = folder.unwrap().path();
        let Expected { args, exit, says } =
            serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let mut options = options(&folder, &args);
        if let Ok(list) = fs::read(folder.join("entries.json")) {
            let list: LongList = serde_json::from_slice(&list).unwrap();
            if list.is_too_long_here() {
                continue;
            }
            options.entries = long.path().join("entries.ndjson");
            fs::write(&options.entries, list.lines()).unwrap();
        }
        let (code, told) = answer(&options);
        assert_eq!(code, exit, "{}: {told}", folder.display());
        assert!(told.contains(&says), "{}: {told}", folder.display());
        if matches!(exit, 1 | 2) {
            assert!(!told.contains(char::is_control), "one line: {told:?}");
            assert_eq!(says.is_empty(), exit == 2, "{}", folder.display());
        }
        exits[usize::from(exit)] += 1;
    }
    assert!(exits.iter().all(|count| *count > 4), "vectors of every kind were tried: {exits:?}");
}

#[test]
fn it_says_what_remains_trust_and_obeys_no_title() {
    let args = ["proof.json", "entries.ndjson", "--closed", "closed.json"].map(str::to_owned);
    let (code, told) = answer(&options(&vectors().join("text"), &args));
    assert_eq!(code, 3);
    for part in ["without a beacon the operator is trusted", "(--opened)", "by choosing a last entry", "\\u{1}", "键盘"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
}

/// Whatever is in a line; so much space is no entry's.
#[test]
fn a_line_of_the_entries_is_not_read_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(&vectors().join("tiny"), &["proof.json", "entries.ndjson"].map(str::to_owned));
    let entries = fs::read_to_string(&options.entries).unwrap();
    options.entries = folder.path().join("entries.ndjson");
    for (spaces, expected) in [(0, 3), (900, 3), (1_024, UNREADABLE), (1 << 20, UNREADABLE)] {
        let last = format!("{}}}\n", " ".repeat(spaces));
        fs::write(&options.entries, entries.trim_end().trim_end_matches('}').to_owned() + &last).unwrap();
        assert_eq!(answer(&options).0, expected, "{spaces} spaces");
    }
}

#[test]
fn what_is_no_file_or_has_no_end_is_unreadable() {
    let tiny = vectors().join("tiny");
    let with = |name: &str, path: &str| {
        let args = ["proof.json", "entries.ndjson", "--receipt", "receipt-1.json"];
        options(&tiny, &args.map(|arg| if arg == name { path.to_owned() } else { arg.to_owned() }))
    };
    assert_eq!(answer(&with("", "")).0, 3);
    for name in ["proof.json", "entries.ndjson", "receipt-1.json"] {
        for path in ["/nowhere/at/all", "/dev/zero", "."] {
            assert_eq!(answer(&with(name, path)).0, UNREADABLE, "{name}: {path}");
        }
    }
}
