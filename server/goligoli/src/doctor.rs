//! `goligoli doctor`: asks each back-end of the configuration whether it can be used.

use std::process::ExitCode;
use std::time::Duration;

use common::data_dir::DataDir;
use common::discovery::Discovery;
use common::objects::Objects;
use common::queue::Queue;
use common::rpc::Trust;
use common::{Lifecycle, telemetry};
use tokio::time::timeout;

use crate::fresh_keys::ensure_pair;
use crate::{Config, migrate};

/// What one back-end may take: then it does not answer.
const MOST: Duration = Duration::from_secs(15);

/// What was found of one key: fine, with remarks, or the reason why it can't be used.
type Finding = anyhow::Result<Vec<String>>;

/// Prints a line for each back-end, and one for each remark. Changes nothing, and may be run
/// beside running services.
pub(crate) async fn run(config: &Config) -> ExitCode {
    let lifecycle = Lifecycle::new();
    let findings = [
        ("data_dir", of("data_dir", async { folder(config) }).await),
        ("db.url", of("db.url", databases(config)).await),
        ("objects.url", of("objects.url", objects(config, &lifecycle)).await),
        ("queue.url", of("queue.url", queue(config, &lifecycle)).await),
        ("push.feeds", of("push.feeds", push::examine(&config.push.feeds)).await),
        ("discovery.url", of("discovery.url", discovery(config, &lifecycle)).await),
        ("rpc", of("rpc", async { calls(config) }).await),
        ("access", of("access", async { ensure_pair(config).map(|()| Vec::new()) }).await),
        ("traces.url", of("traces", traces(config)).await),
    ];
    lifecycle.stop(Duration::from_secs(1)).await;
    let mut ill = false;
    for (key, finding) in findings {
        match finding {
            Ok(remarks) => {
                println!("ok       {key}");
                remarks.iter().for_each(|remark| println!("remark   {remark}"));
            }
            Err(error) => {
                ill = true;
                println!("problem  {}", format!("{error:#}").replace('\n', " "));
            }
        }
    }
    if ill { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A finding that comes in time and names its key.
async fn of(key: &str, asking: impl Future<Output = Finding>) -> Finding {
    match timeout(MOST, asking).await {
        Err(_) => anyhow::bail!("{key}: no answer within {MOST:?}"),
        Ok(Err(error)) => {
            let said = format!("{error:#}");
            Err(if said.starts_with(key) { anyhow::anyhow!(said) } else { anyhow::anyhow!("{key}: {said}") })
        }
        Ok(fine) => fine,
    }
}

fn folder(config: &Config) -> Finding {
    let folder = &config.data_dir;
    if !folder.exists() {
        return Ok(vec![format!("data_dir: {} is not there yet; it is made at the first start", folder.display())]);
    }
    // Its lock says whether a server runs on it, which is no illness.
    match DataDir::lock(folder) {
        Ok(_) => Ok(Vec::new()),
        Err(error) => Ok(vec![format!("data_dir: {error:#}")]),
    }
}

async fn databases(config: &Config) -> Finding {
    let mut remarks = Vec::new();
    for (service, migrations) in migrate::DATABASES {
        let Some(db) = common::Db::open_existing(&config.db.url, &config.data_dir, service).await? else {
            remarks.push(format!("db.url: there is no database of {service} yet; it is made at the first start"));
            continue;
        };
        let applied = migrate::version_of(&db).await;
        db.close().await;
        let (applied, newest) = (applied?, migrate::newest(migrations));
        anyhow::ensure!(
            applied != common::Db::MOVE_MARK,
            "a site is being moved into the database of {service}; if that was cut short, run it again"
        );
        anyhow::ensure!(applied <= newest, "the database of {service} is of a newer goligoli (migration {applied})");
        if applied < newest {
            remarks.push(format!(
                "db.url: the database of {service} is at migration {applied} of {newest}; a start, or goligoli migrate, \
                 brings it up to date"
            ));
        }
    }
    Ok(remarks)
}

async fn objects(config: &Config, lifecycle: &Lifecycle) -> Finding {
    Objects::connect(&config.objects, &config.data_dir, lifecycle).await?.check().await?;
    Ok(Vec::new())
}

async fn queue(config: &Config, lifecycle: &Lifecycle) -> Finding {
    Queue::connect(&config.queue.url, lifecycle)?.check().await?;
    Ok(Vec::new())
}

async fn discovery(config: &Config, lifecycle: &Lifecycle) -> Finding {
    let discovery = Discovery::open(&config.discovery, lifecycle).await?;
    drop(discovery);
    Ok(Vec::new())
}

/// What proves to other processes that this one belongs to the site; without others it may be
/// left out.
fn calls(config: &Config) -> Finding {
    let (rpc, tls) = (&config.rpc, &config.rpc.tls);
    let files = [&tls.ca, &tls.certificate, &tls.key];
    let is_alone = rpc.listen.is_empty() && rpc.secret.is_empty() && rpc.previous_secret.is_empty();
    if !is_alone || files.iter().any(|file| !file.as_os_str().is_empty()) {
        Trust::open(rpc)?;
    }
    Ok(Vec::new())
}

async fn traces(config: &Config) -> Finding {
    telemetry::traces::examine(&config.traces).await?;
    Ok(Vec::new())
}
