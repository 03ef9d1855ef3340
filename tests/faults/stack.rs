//! The native stack, whose servers are ended and started again.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use goligoli_tests::in_time;
use tokio::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deployment/native/stack.sh");

/// `stack.sh VERB NAME`.
pub(crate) async fn stack(verb: &str, name: &str) {
    assert!(std::env::var_os("NATIVE_DIR").is_some(), "NATIVE_DIR names the stack whose servers may be ended");
    let run = Command::new(Path::new(SCRIPT)).args([verb, name]).stdin(Stdio::null()).kill_on_drop(true).output();
    let ran = in_time(Duration::from_secs(60), "the stack's script ends", run).await.unwrap();
    assert!(ran.status.success(), "stack.sh {verb} {name}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// Whether what waits long is left out.
pub(crate) fn is_short() -> bool {
    std::env::var("FAULTS").is_ok_and(|faults| faults == "short")
}

/// The dice of this run: `FAULTS_SEED`, or new ones.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("FAULTS_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("FAULTS_SEED={seed}");
    seed
}
