//! Finds the `goligoli` binary that cargo built beside this test or benchmark.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::SystemTime;

/// Names another binary to test; nothing is checked then.
const CHOSEN: &str = "TEST_GOLIGOLI";

/// The binary; panics with what to do if it is missing or older than its sources.
pub(crate) fn goligoli() -> &'static Path {
    static FOUND: LazyLock<Result<PathBuf, String>> = LazyLock::new(find);
    match &*FOUND {
        Ok(path) => path,
        // The tests of debug builds kill the server at named points; a release has none.
        Err(why) if cfg!(debug_assertions) => {
            panic!("{why}; build it first: cargo build -p goligoli --features failpoints")
        }
        Err(why) => panic!("{why}; build it first: cargo build --release -p goligoli"),
    }
}

fn find() -> Result<PathBuf, String> {
    if let Some(chosen) = std::env::var_os(CHOSEN) {
        return Ok(chosen.into());
    }
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    // target/debug/deps/it-… → target/debug/goligoli, and target/release/bench-… → its neighbour.
    let folder = this.parent().ok_or("a binary lies in a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().ok_or("deps lies in a folder")? } else { folder };
    let binary = folder.join("goligoli");
    let built = changed_at(&binary).ok_or_else(|| format!("there is no {}", binary.display()))?;
    match sources(&binary).into_iter().find(|source| changed_at(source).is_some_and(|at| at > built)) {
        Some(newer) => Err(format!("{} is older than {}", binary.display(), newer.display())),
        None => Ok(binary),
    }
}

/// What the binary was built from: cargo writes it beside it, as a makefile's rule.
fn sources(binary: &Path) -> Vec<PathBuf> {
    let rule = std::fs::read_to_string(binary.with_extension("d")).unwrap_or_default();
    let (_, sources) = rule.split_once(": ").unwrap_or_default();
    // A space in a path is written "\ ".
    let marked = sources.trim().replace("\\ ", "\0");
    marked.split(' ').filter(|path| !path.is_empty()).map(|path| path.replace('\0', " ").into()).collect()
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}
