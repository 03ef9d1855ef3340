//! The real servers that tests run against: MariaDB, Redis, nsqd, etcd, an S3 server.
//!
//! `deployment/native/stack.sh` starts them and prints the variables that name them. For
//! tests only; nothing else reads these variables.

mod own_etcd;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

pub use own_etcd::OwnEtcd;

/// The `db.url` of a test whose data lie in `folder`: the embedded one, or with `TEST_DB_URL`
/// (`mysql://user:password@host:port/`) schemas of its own on that server. The same folder
/// has the same schemas. They begin with `test_`; `tests/mysql.sh` drops them afterwards.
#[must_use]
pub fn db_url(folder: &Path) -> String {
    let Some(server) = std::env::var("TEST_DB_URL").ok().filter(|url| !url.is_empty()) else {
        return "sqlite:".to_owned();
    };
    let mut hasher = DefaultHasher::new();
    (std::process::id(), folder).hash(&mut hasher);
    format!("{}/test_{:016x}", server.trim_end_matches('/'), hasher.finish())
}

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
