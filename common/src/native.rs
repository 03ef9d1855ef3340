//! The real servers that tests run against: MariaDB, Redis, nsqd, etcd, an S3 server.
//!
//! `deployment/native/stack.sh` starts them and prints the variables that name them. For
//! tests only; nothing else reads these variables.

mod own_etcd;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Once;

use sqlx::{Connection as _, Executor as _, Row as _};

pub use own_etcd::OwnEtcd;

use crate::data_dir::FreeSpace;
use crate::health::Health;
use crate::objects::Objects;
use crate::queue::Queue;
use crate::revocation::Revocations;
use crate::token::Signer;
use crate::{Clock, Lifecycle, Platform};

/// The `db.url` of a test whose data lie in `folder`: the embedded one, or with `TEST_DB_URL`
/// (`mysql://user:password@host:port/`) schemas of its own on that server. The same folder
/// has the same schemas.
#[must_use]
pub fn db_url(folder: &Path) -> String {
    let server = std::env::var("TEST_DB_URL").ok().filter(|url| !url.is_empty());
    server.map_or_else(|| "sqlite:".to_owned(), |server| db_url_on(&server, folder))
}

/// The same, on this server. What earlier test processes have left there is dropped meanwhile.
#[must_use]
pub fn db_url_on(server: &str, folder: &Path) -> String {
    static SWEEP: Once = Once::new();
    let server = server.trim_end_matches('/').to_owned();
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    let url = format!("{server}/{TEST_PREFIX}{}_{:016x}", std::process::id(), hasher.finish());
    SWEEP.call_once(|| _ = std::thread::spawn(move || drop_old_schemas(&server)));
    url
}

/// A platform for a service's tests: embedded back-ends in `folder`, its database by [`db_url`],
/// nobody logged out.
///
/// # Panics
/// The folder can't be used.
#[must_use]
pub fn platform(folder: &Path, clock: &Clock, lifecycle: &Lifecycle, signer: &Signer) -> Platform {
    Platform {
        data_dir: folder.to_owned(),
        db_url: db_url(folder),
        objects: Objects::open("folder:", folder).expect("a folder"),
        queue: Queue::open("process:").expect("a queue"),
        clock: clock.clone(),
        lifecycle: lifecycle.clone(),
        health: Health::default(),
        space: FreeSpace::default(),
        verifier: signer.verifier(Revocations::default()),
    }
}

const TEST_PREFIX: &str = "test_";

/// Drops the schemas of test processes of this machine that have ended. What fails is left to
/// the next one.
fn drop_old_schemas(server: &str) {
    const ALL: &str = "SELECT schema_name FROM information_schema.schemata";
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let drop_all = async {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(server).await?;
        for row in sqlx::query(ALL).fetch_all(&mut connection).await? {
            let schema: String = row.try_get(0)?;
            let process = schema.strip_prefix(TEST_PREFIX).and_then(|rest| rest.split('_').next());
            let has_ended = |process: &str| !Path::new("/proc").join(process).exists();
            if process.is_some_and(|process| process.parse::<u32>().is_ok() && has_ended(process)) {
                connection.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE IF EXISTS {schema}"))).await?;
            }
        }
        connection.close().await
    };
    if let Err(error) = runtime.block_on(drop_all) {
        eprintln!("old test schemas were not dropped: {error}");
    }
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
