//! The whole configuration. `default.toml` holds every key with its default and what it
//! means; a file, then the environment, then what is shared in etcd override it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use common::config::ConfigError;
use common::{discovery, rpc, telemetry, token};
use serde::{Deserialize, Serialize};

/// The defaults, which are also the documentation.
pub const DEFAULTS: &str = include_str!("default.toml");

/// Everything that can be set. See `default.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file that overrode defaults; it is looked at again for dynamic settings.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// Where all data lies.
    pub data_dir: PathBuf,
    /// Logs.
    pub log: telemetry::Settings,
    /// Traces.
    pub traces: telemetry::traces::Settings,
    /// The public listener.
    pub http: Http,
    /// The operators' listener.
    pub ops: Ops,
    /// Calls between processes.
    pub rpc: rpc::Settings,
    /// What signs and verifies access tokens.
    pub access: token::Settings,
    /// Databases.
    pub db: Store,
    /// Blobs.
    pub objects: common::objects::Settings,
    /// The queue of wake-ups.
    pub queue: Store,
    /// Who runs where.
    pub discovery: discovery::Settings,
    /// The user service.
    pub user: user::Settings,
    /// The live service.
    pub live: live::Settings,
    /// The message service.
    pub message: message::Settings,
    /// The lottery service.
    pub lottery: lottery::Settings,
    /// The push service.
    pub push: push::Settings,
    /// The gateway.
    pub gateway: gateway::Settings,
}

/// The public listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections that may be open; more wait to be accepted.
    pub max_connections: usize,
    /// Connections that one address (or IPv6 /64) may have; more are closed at once.
    pub max_connections_per_address: usize,
    /// What the kernel buffers for one client; 0 is the system's choice.
    pub send_buffer_bytes: u32,
    /// A stop waits so long for requests and streams before it cuts them.
    pub stop_grace_ms: u64,
}

/// The operators' listener: metrics and health.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ops {
    /// Whether it is opened.
    pub enabled: bool,
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// A back-end that is chosen by URL.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Which, and where. Printed without its password.
    #[serde(serialize_with = "common::config::without_password")]
    pub url: String,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&common::config::hide_password(&self.url))
    }
}

impl Config {
    /// Defaults < file < environment.
    ///
    /// # Errors
    /// A key is unknown or a value has the wrong type; says which.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let config: Self = common::config::load(DEFAULTS, file)?;
        Ok(Self { file: file.map(Path::to_owned), ..config })
    }

    /// The same from a file's text, with what is shared (TOML) over it.
    ///
    /// # Errors
    /// See [`Self::load`]; or `log.filter` is malformed.
    pub fn read(text: &str, shared: &str) -> anyhow::Result<Self> {
        let config: Self = common::config::read(DEFAULTS, text, shared)?;
        telemetry::check_filter(&config.log.filter)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_whole_and_print_as_they_are_read() {
        let config: Config = common::config::load(DEFAULTS, None).unwrap();
        let printed = toml::to_string(&config).unwrap();
        let again: Config = common::config::load(&printed, None).unwrap();
        assert_eq!(toml::to_string(&again).unwrap(), printed);
    }
}
