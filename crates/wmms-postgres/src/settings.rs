//! The file that names the database and the instances.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::config::{Host, TargetSessionAttrs};
use units::quantity::duration;

use crate::shard::SHARDS;

/// What an operator says of a WMMS that keeps its table in PostgreSQL: JSON.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The connection string (libpq-connect(7)), as keywords or as a URI.
    postgres: String,
    /// The CoAP address of every instance, by its name.
    pub instances: BTreeMap<String, SocketAddrV6>,
    /// After this time without the database an instance answers nobody any more, and after one and a half of it
    /// without a word its shards are others'.
    #[serde(default = "default_lease", with = "duration")]
    pub lease: Duration,
}

fn default_lease() -> Duration {
    Duration::from_secs(2)
}

/// Shortest lease: it is beaten in four times, each of which takes a round trip to the database and a commit.
const SHORTEST_LEASE: Duration = Duration::from_millis(200);

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// They are no JSON of this form.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// The connection string cannot be read.
    #[error("postgres: {0}")]
    Connection(tokio_postgres::Error),
    /// A host of the connection string is a name.
    #[error(
        "postgres: host {0}: the address is expected, or the directory of a Unix socket: names are not looked up"
    )]
    Name(String),
    /// It names no host.
    #[error(
        "postgres: no host: name the address of the database, or the directory of its Unix socket"
    )]
    NoHost,
    /// This node is none of the instances.
    #[error("instances: {0} is not among them: give this node its address there")]
    Unnamed(String),
    /// There are more than shards.
    #[error("instances: {0} of them, at most {SHARDS} are possible")]
    TooMany(usize),
    /// Two have one address.
    #[error("instances: {0} and {1} have the same address")]
    SameAddress(String, String),
    /// The lease is too short.
    #[error("lease: at least {} ms", SHORTEST_LEASE.as_millis())]
    Lease,
}

impl Settings {
    /// Reads them for the instance `own`.
    ///
    /// # Errors
    /// What is wrong with them, without the connection string: it may have a password.
    pub fn from_json(text: &str, own: &str) -> Result<Settings, SettingsError> {
        let settings: Settings = serde_json::from_str(text)?;
        settings.connection()?;
        let instances = &settings.instances;
        if !instances.contains_key(own) {
            return Err(SettingsError::Unnamed(own.to_owned()));
        }
        if instances.len() > SHARDS.into() {
            return Err(SettingsError::TooMany(instances.len()));
        }
        let mut names = BTreeMap::new();
        for (name, address) in instances {
            if let Some(other) = names.insert(address, name) {
                return Err(SettingsError::SameAddress(other.clone(), name.clone()));
            }
        }
        if settings.lease < SHORTEST_LEASE {
            return Err(SettingsError::Lease);
        }
        Ok(settings)
    }

    /// How the database is connected to: with one of several hosts that takes writes, and none that has died is
    /// waited for long, unless the string says otherwise.
    ///
    /// # Errors
    /// When the string cannot be read, or names a host by a name.
    pub(crate) fn connection(&self) -> Result<tokio_postgres::Config, SettingsError> {
        let mut config =
            tokio_postgres::Config::from_str(&self.postgres).map_err(SettingsError::Connection)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(SettingsError::NoHost);
        }
        if config.get_hostaddrs().is_empty() {
            for host in config.get_hosts() {
                if let Host::Tcp(name) = host
                    && name.parse::<IpAddr>().is_err()
                {
                    return Err(SettingsError::Name(name.clone()));
                }
            }
        }
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.application_name("wpanlab");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(self.lease);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(2 * self.lease);
        }
        Ok(config)
    }

    /// Where the database is, for messages: no user and no password.
    pub fn place(&self) -> String {
        let Ok(config) = self.connection() else {
            return "the database".to_owned();
        };
        let (hosts, ports) = (config.get_hosts(), config.get_ports());
        let port = |n: usize| ports.get(n).or(ports.first()).copied().unwrap_or(5432);
        let host = |(n, host): (usize, &Host)| match host {
            Host::Tcp(address) => match address.parse::<IpAddr>() {
                Ok(ip) => SocketAddr::new(ip, port(n)).to_string(),
                Err(_) => format!("{address}:{}", port(n)),
            },
            Host::Unix(path) => format!("{}:{}", path.display(), port(n)),
        };
        let hosts: Vec<String> = hosts.iter().enumerate().map(host).collect();
        format!("PostgreSQL at {}", hosts.join(", "))
    }

    /// The address of `name`.
    pub(crate) fn address(&self, name: &str) -> Option<SocketAddrV6> {
        self.instances.get(name).copied()
    }
}

impl std::fmt::Debug for Settings {
    /// Without the connection string.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("instances", &self.instances)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(postgres: &str) -> Result<Settings, SettingsError> {
        let text = format!(
            r#"{{"postgres": "{postgres}", "instances": {{"a": "[::1]:5683", "b": "[::2]:5683"}}}}"#
        );
        Settings::from_json(&text, "a")
    }

    #[test]
    fn several_hosts_are_tried_for_the_one_that_takes_writes() {
        let settings =
            with("host=10.0.0.1,/run/db port=5432,5433 user=wmms password=secret").unwrap();
        let config = settings.connection().unwrap();
        assert_eq!(config.get_hosts().len(), 2);
        assert_eq!(
            config.get_target_session_attrs(),
            TargetSessionAttrs::ReadWrite
        );
        assert_eq!(config.get_connect_timeout(), Some(&settings.lease));
        assert_eq!(
            settings.place(),
            "PostgreSQL at 10.0.0.1:5432, /run/db:5433"
        );
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn what_cannot_be_is_refused_and_says_what_to_do() {
        let wrong = |result: Result<Settings, SettingsError>| result.unwrap_err().to_string();
        assert!(wrong(with("host=db.example user=wmms")).contains("names are not looked up"));
        assert!(wrong(with("user=wmms")).contains("no host"));
        assert!(wrong(with("nothing")).starts_with("postgres: "));
        let other = r#"{"postgres": "host=::1", "instances": {"b": "[::1]:5683"}}"#;
        assert!(wrong(Settings::from_json(other, "a")).contains("a is not among them"));
        let twice = r#"{"postgres": "host=::1", "instances": {"a": "[::1]:1", "b": "[::1]:1"}}"#;
        assert!(wrong(Settings::from_json(twice, "a")).contains("a and b"));
        let hasty = r#"{"postgres": "host=::1", "instances": {"a": "[::1]:1"}, "lease": "1 ms"}"#;
        assert!(wrong(Settings::from_json(hasty, "a")).starts_with("lease: "));
        let unknown = r#"{"postgres": "host=::1", "instances": {"a": "[::1]:1"}, "leese": "1 s"}"#;
        assert!(wrong(Settings::from_json(unknown, "a")).contains("leese"));
    }

    #[test]
    fn a_name_beside_its_address_is_not_looked_up() {
        assert!(with("host=db.example hostaddr=10.0.0.1 user=wmms").is_ok());
    }
}
