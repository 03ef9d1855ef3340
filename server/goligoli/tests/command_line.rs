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
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("goligoli {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_command_that_it_does_not_know_is_refused() {
    let output = goligoli(&["serv"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("'serve'"), "it guesses what was meant");
}
