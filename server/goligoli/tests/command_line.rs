//! The binary itself. What it does is tested in the workspace's `tests`, which finds the
//! binary that cargo builds for this test.

use std::process::{Command, Output};

fn goligoli(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_goligoli")).args(arguments).output().expect("it runs")
}

#[test]
fn it_says_what_it_is() {
    let output = goligoli(&["--version"]);
    assert!(output.status.success());
    let failpoints = if common::failpoint::are_built_in() { " (with failpoints)" } else { "" };
    let version = format!("goligoli {}{failpoints}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), version);
}

#[test]
fn a_drain_that_outlasts_the_stop_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_goligoli"))
        .arg("serve")
        .env("GOLIGOLI_DATA_DIR", folder.path().join("data"))
        .env("GOLIGOLI_PUSH__DRAIN_MS", "3000")
        .env("GOLIGOLI_HTTP__STOP_GRACE_MS", "3000")
        .output()
        .expect("it runs");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("push.drain_ms"), "{said}");
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}

#[test]
fn a_command_that_it_does_not_know_is_refused() {
    let output = goligoli(&["serv"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("'serve'"), "it guesses what was meant");
}
