//! An LwM2M client: its name, its servers, and what its objects hold.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use lwm2m::Path;
use lwm2m::model::Version;
use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::{
    Floats, FormatWord, ValuePlan, Values, is_server, is_yes, known_objects, registry, yes,
};
use crate::decode::{At, Block};
use crate::kind::sensors::{ChangesPlan, Source, SourcePlan};
use crate::kind::{Served, Serves, ServiceFacts};
use crate::resolve::timers::s;
use crate::resolve::{Context, Resolver, or};

/// The versions that a client speaks which names none.
const DEFAULT_VERSIONS: [Version; 2] = [Version::V1_1, Version::V1_0];

tables! {
    /// LwM2M client: it registers with its servers, serves its objects and tells those who observe.
    pub struct Lwm2mClient {
        /// The servers: nodes with an `lwm2m-server`; their Short Server IDs are 1, 2, … in this order;
        /// default the only one.
        pub servers: Option<Vec<At<String>>>,
        /// Endpoint Client Name; default the name of the node.
        pub endpoint: Option<At<String>>,
        /// Versions of LwM2M, the best first: after a 4.12 the next is tried; default `["1.1", "1.0"]`.
        pub versions: Option<Vec<At<String>>>,
        /// Lifetime of a registration; whole seconds; default 86400 s.
        pub lifetime: Option<At<Duration>>,
        /// Whether servers keep what they have for it until it is heard (Queue Mode); default false.
        pub queue: Option<At<bool>>,
        /// Whether its objects, with what servers wrote and attached, outlive a crash of the node; default true.
        pub persistent: Option<At<bool>>,
        /// Format of what it sends by itself; default by the version: `tlv`, from 1.1 on `senml-cbor`.
        pub format: Option<At<FormatWord>>,
        /// How floats are written in text formats; default `shortest`.
        pub floats: Option<At<Floats>>,
        /// Value of the No-Response option (RFC 7967) of a Notify that wants none: a sum of 2, 8 and 16; default 26.
        pub no_response: Option<At<u32>>,
        /// Objects that it has beside those of `values` and Security (0), Server (1), Access Control (2),
        /// Device (3), Batch (2346) and Notify (2347), without an instance; default none.
        pub objects: Option<Vec<At<u32>>>,
        /// What its objects hold, `/3303/0/5700: 21.5`; default nothing.
        pub values: Option<Values>,
        /// Resources that change by themselves.
        pub changes: Option<Vec<Lwm2mChange>>,
    }

    /// A resource that changes by itself, one of those with a value.
    pub struct Lwm2mChange {
        /// Its path, `/3303/0/5700`.
        pub path: At<String>,
        /// Where its values come from; `constant` and `file` do not change.
        pub value: Block<Source>,
        /// Period; over 0 s; default 1 s. A `replay` has its own instants.
        pub every: Option<At<Duration>>,
        /// From the start of the scenario to the first change; over 0 s and at most `every`; default
        /// from the seed.
        pub phase: Option<At<Duration>>,
    }
}

/// An LwM2M client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientPlan {
    /// Endpoint Client Name.
    pub endpoint: String,
    /// Its servers, in the order of their Short Server IDs from 1 on.
    pub servers: Vec<AccountPlan>,
    /// Versions of LwM2M, the best first.
    pub versions: Vec<String>,
    /// Lifetime of a registration, whole seconds.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// Queue Mode.
    pub queue: bool,
    /// Whether its tree outlives a crash; absent: it does.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub persistent: bool,
    /// Format of what it sends by itself; absent: by the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FormatWord>,
    /// How floats are written in text formats.
    pub floats: Floats,
    /// Value of the No-Response option of a Notify that wants no response.
    pub no_response: u8,
    /// Its objects, without those that every client has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<u16>,
    /// What its objects hold.
    pub values: Vec<ValuePlan>,
    /// Resources that change by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangePlan>,
}

/// A server of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountPlan {
    /// The node.
    pub node: String,
    /// Its address.
    pub address: Ipv6Addr,
    /// Whether that has to be located by the client's mobility.
    pub located: bool,
}

/// A resource that changes by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangePlan {
    /// Its path.
    pub path: String,
    /// Where its values come from.
    pub value: SourcePlan,
    /// When it changes; absent: when its source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<ChangesPlan>,
}

impl Serves for Lwm2mClient {
    fn served(&self) -> Vec<Served<'_>> {
        let values = self.values.iter().flat_map(|values| &values.0.0);
        let served = values.map(|(name, _)| Served {
            path: &name.value,
            observable: true,
            writable: true,
        });
        served.collect()
    }

    fn asks(&self) -> bool {
        true
    }

    fn asked(&self) -> Vec<&str> {
        self.servers
            .iter()
            .flatten()
            .map(|name| name.as_str())
            .collect()
    }
}

impl ServiceFacts for ClientPlan {
    fn is_coap(&self) -> bool {
        true
    }

    fn asks_at(&self) -> Vec<Ipv6Addr> {
        self.servers.iter().map(|account| account.address).collect()
    }

    fn paths(&self) -> Vec<&str> {
        self.values
            .iter()
            .map(|value| value.path.as_str())
            .collect()
    }

    fn asks(&self) -> bool {
        true
    }

    fn describe(&self) -> Vec<String> {
        let servers = self.servers.iter().map(|account| account.node.as_str());
        let servers: Vec<&str> = servers.collect();
        vec![format!(
            "LwM2M client {} of {}",
            self.endpoint,
            servers.join(", ")
        )]
    }
}

impl Lwm2mClient {
    /// The plan of the service at `path`.
    pub(crate) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> ClientPlan {
        let values = self.values.as_ref();
        let values =
            values.map(|values| r.lwm2m_values(&format!("{path}.values"), values, Path::ROOT));
        let values = values.unwrap_or_default();
        let changes = self.changes.iter().flatten().enumerate();
        let changes = changes
            .filter_map(|(i, change)| change.plan(r, &format!("{path}.changes[{i}]"), &values));
        let changes = changes.collect();
        let whole = |time: Duration| {
            time.subsec_nanos() == 0 && (1..=u64::from(u32::MAX)).contains(&time.as_secs())
        };
        let no_response = self.no_response.map_or(26, |given| given.value);
        if let Some(given) = self
            .no_response
            .filter(|given| given.value > 26 || given.value & !26 != 0)
        {
            let message = format!(
                "`{path}.no_response`: `{}` is no sum of 2, 8 and 16",
                given.value
            );
            r.problem(given.span, message);
        }
        ClientPlan {
            endpoint: self.endpoint(context.name).to_owned(),
            servers: self.accounts(r, context, path),
            versions: self.versions(r, path),
            lifetime: r.duration(
                &format!("{path}.lifetime"),
                self.lifetime,
                s(86_400),
                whole,
                "whole seconds, at least 1",
            ),
            queue: or(self.queue, false),
            persistent: or(self.persistent, true),
            format: self.format.map(|format| format.value),
            floats: or(self.floats, Floats::default()),
            no_response: u8::try_from(no_response).unwrap_or(26),
            objects: self.objects(r, path, &values),
            values,
            changes,
        }
    }

    /// The objects that are named, and those of the values.
    fn objects(&self, r: &mut Resolver<'_>, path: &str, values: &[ValuePlan]) -> Vec<u16> {
        let parsed = values
            .iter()
            .filter_map(|value| value.path.parse::<Path>().ok());
        let mut objects: BTreeSet<u16> = parsed.filter_map(|path| path.object_id()).collect();
        for (i, given) in self.objects.iter().flatten().enumerate() {
            let id = u16::try_from(given.value).ok();
            match id.filter(|id| registry().object(*id).is_some()) {
                Some(id) => drop(objects.insert(id)),
                None => {
                    let known = known_objects();
                    let message = format!(
                        "`{path}.objects[{i}]`: `{}` is not known here; there are {known}",
                        given.value
                    );
                    r.problem(given.span, message);
                }
            }
        }
        objects.into_iter().collect()
    }

    /// Whether it registers with the server on the node `server`.
    pub(super) fn has_server(&self, server: &str) -> bool {
        let named = self.servers.as_ref();
        named.is_none_or(|servers| servers.iter().any(|name| name.as_str() == server))
    }

    /// Its Endpoint Client Name, on the node `node`.
    pub(super) fn endpoint<'n>(&'n self, node: &'n str) -> &'n str {
        self.endpoint.as_ref().map_or(node, |given| given.as_str())
    }

    fn accounts<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> Vec<AccountPlan> {
        let given: Vec<At<String>> = match &self.servers {
            Some(servers) => servers.clone(),
            None => {
                let there: Vec<&str> = r.running(is_server).collect();
                let [only] = there.as_slice() else {
                    let message = match there.len() {
                        0 => format!("`{path}`: there is no node with an `lwm2m-server`; add one"),
                        _ => format!(
                            "`{path}.servers` is missing: there are several; name those that it registers with"
                        ),
                    };
                    r.problem(r.span_of(context.name), message);
                    return Vec::new();
                };
                let span = r.span_of(context.name);
                let value = (*only).to_owned();
                vec![At { value, span }]
            }
        };
        let mut accounts = Vec::new();
        for (i, name) in given.iter().enumerate() {
            let path = format!("{path}.servers[{i}]");
            let fits = |node: &crate::kind::Node| node.runs(is_server);
            let Some((node, target)) = r.named(&path, name, "a node with an `lwm2m-server`", fits)
            else {
                continue;
            };
            accounts.push(AccountPlan {
                node: node.to_owned(),
                address: context.network.address_of(node),
                located: target.mobility.is_located(),
            });
        }
        accounts
    }

    fn versions(&self, r: &mut Resolver<'_>, path: &str) -> Vec<String> {
        let Some(given) = &self.versions else {
            return DEFAULT_VERSIONS.map(|version| version.to_string()).to_vec();
        };
        for (i, version) in given.iter().enumerate() {
            let known = version.parse::<Version>();
            let known = known.is_ok_and(|v| (Version::V1_0..=Version::V1_2).contains(&v));
            if !known {
                let message = format!(
                    "`{path}.versions[{i}]`: `{}` is not 1.0, 1.1 or 1.2",
                    version.value
                );
                r.problem(version.span, message);
            }
        }
        given.iter().map(|version| version.value.clone()).collect()
    }
}

impl Lwm2mChange {
    fn plan(&self, r: &mut Resolver<'_>, path: &str, values: &[ValuePlan]) -> Option<ChangePlan> {
        if !values.iter().any(|value| value.path == self.path.value) {
            let message = format!(
                "`{path}.path`: `{}` has no value to begin with; add it to `values`",
                self.path.value
            );
            r.problem(self.path.span, message);
        }
        let value = self.value.table.plan(r, &format!("{path}.value"))?;
        if matches!(value, SourcePlan::Constant(_)) {
            let message =
                format!("`{path}.value`: it does not change; write it under `values` alone");
            r.problem(self.value.span, message);
        }
        let by_itself = matches!(value, SourcePlan::Replay { .. });
        let every = r.positive(&format!("{path}.every"), self.every, s(1));
        let phase = r.phase_after(&format!("{path}.phase"), self.phase, every);
        Some(ChangePlan {
            path: self.path.value.clone(),
            value,
            changes: (!by_itself || self.every.is_some()).then_some(ChangesPlan { every, phase }),
        })
    }
}
