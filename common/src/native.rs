//! The real servers that tests run against: MariaDB, Redis, nsqd, etcd, an S3 server.
//!
//! `deployment/native/stack.sh` starts them and prints the variables that name them. For
//! tests only; nothing else reads these variables.

mod own_etcd;

pub use own_etcd::OwnEtcd;

/// The value of a variable that names a server (`NATIVE_REDIS_URL`), if it is set.
///
/// Without it a test that needs the server has nothing to say and returns; where all servers
/// must be there (`NATIVE_REQUIRED=1`, as in CI) it fails instead.
///
/// # Panics
/// The variable is missing, and `NATIVE_REQUIRED` is `1`.
#[must_use]
pub fn server(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        let required = std::env::var("NATIVE_REQUIRED").is_ok_and(|required| required == "1");
        assert!(!required, "{variable} names no server; `deployment/native/stack.sh env` would");
        eprintln!("skipped: {variable} names no server");
    }
    url
}
