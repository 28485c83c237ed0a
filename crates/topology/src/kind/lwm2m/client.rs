//! An LwM2M client: its name, its servers, and what its objects hold.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use lwm2m::client::{CONNECTIVITY, LOCATION};
use lwm2m::model::Version;
use lwm2m::path::Level;
use lwm2m::{Path, Registry};
use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::location::{LocationPlan, Lwm2mLocation};
use super::sends::{Lwm2mSend, SendPlan, unmuted};
use super::{Floats, FormatWord, Models, ValuePlan, Values, is_yes, yes};
use crate::decode::{At, Block};
use crate::kind::sensors::{ChangesPlan, Source, SourcePlan};
use crate::kind::{Served, Serves, ServiceFacts};
use crate::resolve::timers::s;
use crate::resolve::{Context, Resolver, or};

/// Objects that every client has beside Security, Server, Device and those of its values: Access Control, Batch and
/// Notify.
pub const OBJECTS: [u16; 3] = [2, 2346, 2347];

/// The versions that a client speaks which names none.
const DEFAULT_VERSIONS: [Version; 2] = [Version::V1_1, Version::V1_0];

tables! {
    /// LwM2M client: it registers with its servers, serves its objects and tells those who observe.
    pub struct Lwm2mClient {
        /// The servers: nodes with an `lwm2m-server`; their Short Server IDs are 1, 2, … in this order;
        /// default the only one.
        pub servers: Option<Vec<At<String>>>,
        /// The node with the `lwm2m-bootstrap-server` that gives it its servers, lifetime and access control: it knows
        /// that one alone, and has neither `servers` nor `lifetime`; default it knows its servers itself.
        pub bootstrap: Option<At<String>>,
        /// How long it waits before it asks that: Client Hold Off Time; whole seconds; default 0 s.
        pub hold_off: Option<At<Duration>>,
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
        /// Files of object models of your own, OMA's XML, relative to this one; `objects/` names every `.xml` of that
        /// directory, in the order of their names; default none.
        pub models: Option<Vec<At<String>>>,
        /// What its objects hold, `/3303/0/5700: 21.5`; default nothing.
        pub values: Option<Values>,
        /// Resources that change by themselves.
        pub changes: Option<Vec<Lwm2mChange>>,
        /// Whether it has Connectivity Monitoring (4), as the node has it: its bearer, the power and LQI of its router's frames,
        /// its address and its router; default false.
        pub connectivity: Option<At<bool>>,
        /// Location (6), as the node's position has it; default it has none.
        pub location: Option<Block<Lwm2mLocation>>,
        /// What it sends of its own accord, by LwM2M 1.1 or later; Mute Send, `/1/x/23`, is false then unless
        /// `values` say otherwise; default nothing.
        pub sends: Option<Vec<Lwm2mSend>>,
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
    /// The servers that it knows at its start, in the order of their Short Server IDs from 1 on.
    pub servers: Vec<AccountPlan>,
    /// The bootstrap server that gives it others; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapPlan>,
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
    /// Object models of the user's own, OMA's XML.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// What its objects hold.
    pub values: Vec<ValuePlan>,
    /// Resources that change by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangePlan>,
    /// Whether its Connectivity Monitoring is what the node says; absent: it is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub connectivity: bool,
    /// Its Location, if that is the node's position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Box<LocationPlan>>,
    /// What it sends of its own accord.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sends: Vec<SendPlan>,
}

/// The bootstrap server of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapPlan {
    /// Where it is.
    pub server: AccountPlan,
    /// Client Hold Off Time, whole seconds.
    #[serde(with = "duration")]
    pub hold_off: Duration,
    /// The servers that it gives, in the order of their Short Server IDs from 1 on.
    pub gives: Vec<AccountPlan>,
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
        let fed = self.fed().flat_map(fed_paths).copied();
        let fed = fed.map(|path| Served {
            path,
            observable: true,
            writable: false,
        });
        served.chain(fed).collect()
    }

    fn asks(&self) -> bool {
        true
    }

    fn asked(&self) -> Vec<&str> {
        let servers = self.servers.iter().flatten();
        let named = servers.chain(&self.bootstrap);
        named.map(|name| name.as_str()).collect()
    }
}

impl ServiceFacts for ClientPlan {
    fn is_coap(&self) -> bool {
        true
    }

    fn asks_at(&self) -> Vec<Ipv6Addr> {
        self.accounts().map(|account| account.address).collect()
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

    fn tells_signal(&self) -> bool {
        self.connectivity
    }

    fn tells_position(&self) -> bool {
        self.location.is_some()
    }

    fn describe(&self) -> Vec<String> {
        let named = |accounts: &[AccountPlan]| {
            let names: Vec<&str> = accounts.iter().map(|a| a.node.as_str()).collect();
            names.join(", ")
        };
        let of = match &self.bootstrap {
            None => named(&self.servers),
            Some(bootstrap) => {
                format!("{}, by {}", named(&bootstrap.gives), bootstrap.server.node)
            }
        };
        vec![format!("LwM2M client {} of {of}", self.endpoint)]
    }
}

impl ClientPlan {
    /// The objects of which the node itself says what they have, [`CONNECTIVITY`] and [`LOCATION`].
    pub fn fed(&self) -> impl Iterator<Item = u16> {
        fed(self.connectivity, self.location.is_some())
    }

    /// Whom it asks: its bootstrap server, and the servers that it knows or is given.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountPlan> {
        let bootstrap = self.bootstrap.iter();
        let given = bootstrap.flat_map(|b| std::iter::once(&b.server).chain(&b.gives));
        self.servers.iter().chain(given)
    }
}

/// The objects that the node of a client feeds.
fn fed(connectivity: bool, location: bool) -> impl Iterator<Item = u16> {
    let connectivity = connectivity.then_some(CONNECTIVITY);
    connectivity.into_iter().chain(location.then_some(LOCATION))
}

/// The paths of what the node says of an object.
fn fed_paths(object: u16) -> &'static [&'static str] {
    match object {
        CONNECTIVITY => &["/4/0/0", "/4/0/1", "/4/0/2", "/4/0/3", "/4/0/4", "/4/0/5"],
        LOCATION => &["/6/0/0", "/6/0/1", "/6/0/5", "/6/0/6"],
        _ => &[],
    }
}

/// Whether it is what a lifetime and other periods of LwM2M are: whole seconds.
pub(super) fn is_whole(time: Duration) -> bool {
    time.subsec_nanos() == 0 && (1..=u64::from(u32::MAX)).contains(&time.as_secs())
}

impl Lwm2mClient {
    /// The plan of the service at `path`.
    pub(crate) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> ClientPlan {
        let models = r.lwm2m_models(path, self.models.as_deref());
        let values = self.values.as_ref();
        let values = values
            .map(|values| r.lwm2m_values(&models, &format!("{path}.values"), values, Path::ROOT));
        let mut values = values.unwrap_or_default();
        let changes = self.changes.iter().flatten().enumerate();
        let changes = changes
            .filter_map(|(i, change)| change.plan(r, &format!("{path}.changes[{i}]"), &values));
        let changes = changes.collect();
        self.check_fed(r, path);
        let location = self.location.as_ref();
        let location = location.map(|location| location.plan(r, &format!("{path}.location")));
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
        let bootstrap = self.bootstrapped(r, context, path);
        let servers = match self.bootstrap {
            Some(_) => Vec::new(),
            None => r.lwm2m_accounts(context, path, self.servers.as_deref()),
        };
        let given = bootstrap.as_ref().map(|bootstrap| &*bootstrap.gives);
        let sends = self.sends_to(r, &models, path, given.unwrap_or(&servers));
        let objects = self.objects(r, &models, path, &values);
        if !sends.is_empty() {
            values.extend(unmuted(servers.len(), &values));
        }
        ClientPlan {
            endpoint: self.endpoint(context.name).to_owned(),
            servers,
            bootstrap,
            versions: self.versions(r, path),
            lifetime: r.duration(
                &format!("{path}.lifetime"),
                self.lifetime,
                s(86_400),
                is_whole,
                "whole seconds, at least 1",
            ),
            queue: or(self.queue, false),
            persistent: or(self.persistent, true),
            format: self.format.map(|format| format.value),
            floats: or(self.floats, Floats::default()),
            no_response: u8::try_from(no_response).unwrap_or(26),
            objects,
            models: models.texts,
            values,
            changes,
            connectivity: or(self.connectivity, false),
            location: location.map(Box::new),
            sends,
        }
    }

    /// Whether it sends something of its own accord.
    pub(super) fn sends(&self) -> bool {
        self.sends.as_ref().is_some_and(|sends| !sends.is_empty())
    }

    fn sends_to(
        &self,
        r: &mut Resolver<'_>,
        models: &Models,
        path: &str,
        servers: &[AccountPlan],
    ) -> Vec<SendPlan> {
        let sends = self.sends.iter().flatten().enumerate();
        let sends = sends
            .filter_map(|(i, send)| send.plan(r, models, &format!("{path}.sends[{i}]"), servers));
        let sends = sends.collect();
        let is_old = |version: &At<String>| version.value == Version::V1_0.to_string();
        let old = self.versions.as_ref().filter(|all| all.iter().all(is_old));
        if let Some(first) = old.and_then(|old| old.first()).filter(|_| self.sends()) {
            let message = format!(
                "`{path}.versions`: LwM2M 1.0 has no Send; add a later one, or remove `sends`"
            );
            r.problem(first.span, message);
        }
        sends
    }

    /// The objects that are named, and those of the values.
    fn objects(
        &self,
        r: &mut Resolver<'_>,
        models: &Models,
        path: &str,
        values: &[ValuePlan],
    ) -> Vec<u16> {
        let parsed = values
            .iter()
            .filter_map(|value| value.path.parse::<Path>().ok());
        let mut objects: BTreeSet<u16> = parsed.filter_map(|path| path.object_id()).collect();
        objects.extend(self.fed());
        for (i, given) in self.objects.iter().flatten().enumerate() {
            let id = u16::try_from(given.value).ok();
            match id.filter(|id| models.registry().object(*id).is_some()) {
                Some(id) => drop(objects.insert(id)),
                None if models.faulty => {}
                None => {
                    let known = models.known();
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

    /// The objects that the node feeds.
    fn fed(&self) -> impl Iterator<Item = u16> {
        fed(or(self.connectivity, false), self.location.is_some())
    }

    /// Reports values of objects that the node feeds.
    fn check_fed(&self, r: &mut Resolver<'_>, path: &str) {
        for (name, _) in self.values.iter().flat_map(|values| &values.0.0) {
            let object = name.value.parse::<Path>().ok().and_then(|p| p.object_id());
            if let Some(object) = self.fed().find(|fed| Some(*fed) == object) {
                let message = format!(
                    "`{path}.values.{}`: the node itself says what object {object} has; leave it out",
                    name.value
                );
                r.problem(name.span, message);
            }
        }
    }

    /// The instances of its values and of what the node feeds, as far as the file has their paths right.
    pub(super) fn instances(&self, registry: &Registry) -> Vec<Path> {
        let values = self.values.iter().flat_map(|values| &values.0.0);
        let parsed = values.filter_map(|(name, _)| name.value.parse::<Path>().ok());
        let known = parsed.filter(|path| registry.resource(path).is_some());
        let known = known.map(|path| path.truncated(Level::Instance));
        let fed = self.fed().map(|object| Path::instance(object, 0));
        let instances: BTreeSet<Path> = known.chain(fed).collect();
        instances.into_iter().collect()
    }

    /// The objects that it names, and that are known.
    pub(super) fn named_objects(&self, registry: &Registry) -> impl Iterator<Item = u16> {
        let named = self.objects.iter().flatten();
        let ids = named.filter_map(|given| u16::try_from(given.value).ok());
        ids.filter(|id| registry.object(*id).is_some())
    }

    /// Its Endpoint Client Name, on the node `node`.
    pub(super) fn endpoint<'n>(&'n self, node: &'n str) -> &'n str {
        self.endpoint.as_ref().map_or(node, |given| given.as_str())
    }

    /// Its bootstrap server, and what that gives it. What that says is not said here.
    fn bootstrapped<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> Option<BootstrapPlan> {
        let Some(bootstrap) = &self.bootstrap else {
            if let Some(given) = self.hold_off {
                let message =
                    format!("`{path}.hold_off`: there is no `bootstrap` to wait for; remove it");
                r.problem(given.span, message);
            }
            return None;
        };
        let servers = self.servers.as_ref().and_then(|servers| servers.first());
        let servers = servers.map(|first| ("servers", first.span));
        let lifetime = self.lifetime.map(|given| ("lifetime", given.span));
        for (key, span) in servers.into_iter().chain(lifetime) {
            let message = format!(
                "`{path}.{key}`: a client with `bootstrap` has that from its bootstrap server; write it \
                 under `gives` of `{}`",
                bootstrap.value
            );
            r.problem(span, message);
        }
        let server = r.lwm2m_bootstrap_server(context, &format!("{path}.bootstrap"), bootstrap)?;
        let hold_off = r.duration(
            &format!("{path}.hold_off"),
            self.hold_off,
            Duration::ZERO,
            |time| time.is_zero() || is_whole(time),
            "whole seconds",
        );
        Some(BootstrapPlan {
            server,
            hold_off,
            gives: r.lwm2m_given(context),
        })
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
