//! For commands that need all processes of a cluster to be stopped.

use clap::ValueEnum as _;
use common::Lifecycle;
use common::discovery::Discovery;

use crate::peers::WHOLE_SITE;
use crate::{Config, Service};

/// Refuses if a process of the site is registered where `discovery.url` says. With fixed
/// addresses nobody is, and whoever runs the command has to know.
///
/// # Errors
/// One is, or the registry can't be read; in one line.
pub(crate) async fn ensure(config: &Config, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    if config.discovery.url == "fixed:" {
        return Ok(());
    }
    let discovery = Discovery::open(&config.discovery, lifecycle).await?;
    let mut running = Vec::new();
    for name in Service::value_variants().iter().map(|service| service.name()).chain([WHOLE_SITE]) {
        let instances = discovery.instances(name);
        running.extend(instances.borrow().iter().map(|instance| format!("{name} {}", instance.id)));
    }
    anyhow::ensure!(
        running.is_empty(),
        "stop all processes of the site first: {} in discovery.url (who was killed is gone after ten seconds)",
        running.join(", ")
    );
    Ok(())
}
