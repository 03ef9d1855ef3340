//! The shape of the project itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::MetadataCommand;
use common::Clock;
use goligoli::{App, Config};

const SERVICES: [&str; 6] =
    ["goligoli-user", "goligoli-live", "goligoli-message", "goligoli-push", "goligoli-lottery", "goligoli-gateway"];
const MAX_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn services_depend_on_contracts_and_platform_alone() {
    let metadata =
        MetadataCommand::new().current_dir(root()).no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    let ours: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mut checked = 0;
    for package in &metadata.packages {
        let allowed: &[&str] = match package.name.as_str() {
            service if SERVICES.contains(&service) => &["goligoli-idl", "goligoli-common"],
            "goligoli-common" => &["goligoli-idl"],
            "goligoli-idl" => &[],
            _ => continue,
        };
        checked += 1;
        for dependency in package.dependencies.iter().filter(|dependency| ours.contains(&dependency.name)) {
            assert!(
                allowed.contains(&dependency.name.as_str()),
                "{} must not depend on {} ({:?})",
                package.name,
                dependency.name,
                dependency.kind
            );
        }
    }
    assert_eq!(checked, SERVICES.len() + 2, "every crate was looked at: {ours:?}");
}

#[tokio::test]
async fn services_call_whom_the_design_says() {
    let data = tempfile::tempdir().unwrap();
    let mut config = Config::load(None).unwrap();
    config.data_dir = data.path().to_owned();
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    config.ops.enabled = false;
    let app = App::start(config, Clock::system()).await.unwrap();
    let wires: BTreeSet<(&str, &str)> = app.wires().clone();
    app.stop().await;
    let design = [
        ("user", &["push"][..]),
        ("live", &["user", "push"]),
        ("message", &["user", "live", "push"]),
        ("lottery", &["live", "message", "push"]),
        ("gateway", &["user", "live", "message", "lottery", "push"]),
    ];
    let design: BTreeSet<(&str, &str)> =
        design.iter().flat_map(|(caller, callees)| callees.iter().map(|callee| (*caller, *callee))).collect();
    assert_eq!(wires, design);
}

#[test]
fn no_source_file_is_longer_than_can_be_read() {
    let mut files = Vec::new();
    walk(root(), &mut files);
    assert!(files.len() > 100, "the tree was walked: {} files", files.len());
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
    let long: Vec<String> = files
        .iter()
        .map(|path| (path, lines(path)))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{}: {lines}", path.display()))
        .collect();
    assert!(long.is_empty(), "more than {MAX_LINES} lines: {long:#?}");
}

/// Sources, but nothing that a tool made.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_source = path.extension().is_some_and(|end| ["rs", "ts", "vue", "py"].iter().any(|known| end == *known));
        if path.is_symlink()
            || name.starts_with('.')
            || ["target", "node_modules", "dist", "data"].contains(&name.as_str())
        {
            continue;
        } else if path.is_dir() {
            walk(&path, files);
        } else if is_source {
            files.push(path);
        }
    }
}

#[test]
fn the_top_of_the_tree_is_what_the_design_says() {
    let listed = Command::new("git").args(["ls-files"]).current_dir(root()).output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        println!("skipped: this is no git checkout");
        return;
    };
    let listed = String::from_utf8(listed.stdout).unwrap();
    let top: BTreeSet<&str> =
        listed.lines().map(|path| path.split('/').next().unwrap()).filter(|name| !name.starts_with('.')).collect();
    let design = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "Makefile",
        "README.md",
        "common",
        "deployment",
        "docker-compose.yaml",
        "idl",
        "server",
        "static",
        "tests",
    ];
    assert_eq!(top, design.into());
}
