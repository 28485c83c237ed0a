//! An LwM2M server: what it does when a client registers, and at its times.

use std::net::Ipv6Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::operation::{Lwm2mOperation, OperationPlan};
use super::{FormatWord, Models, client_of, is_client, is_yes, yes};
use crate::decode::{At, Block};
use crate::kind::http::{Http, HttpPlan};
use crate::kind::{Node, Serves, ServiceFacts};
use crate::resolve::timers::s;
use crate::resolve::{Context, Resolver, or};

/// Clients of LwM2M say nothing of how long a value is fresh, and an observation lasts as long as the registration,
/// whose default lifetime this is (LwM2M 1.1 Core §6.4).
const PATIENCE: Duration = Duration::from_secs(86_400);

tables! {
    /// LwM2M server: clients register with it, and it reads, writes and observes them.
    pub struct Lwm2mServer {
        /// Format that it asks for; default by the client's version.
        pub read_format: Option<At<FormatWord>>,
        /// Format that it writes in; default by the client's version.
        pub write_format: Option<At<FormatWord>>,
        /// Whether floats that it writes have 8 bytes always, as those of servers do which hold a double; default
        /// as few as give the same number.
        pub doubles: Option<At<bool>>,
        /// Whether it asks by CON, else by NON; default true.
        pub confirmable: Option<At<bool>>,
        /// Whether registrations, observations and what waits for clients outlive a crash of the node; default true.
        pub persistent: Option<At<bool>>,
        /// Files of object models of your own, OMA's XML, relative to this one; `objects/` names every `.xml` of that
        /// directory, in the order of their names; default none.
        pub models: Option<Vec<At<String>>>,
        /// Paths to which clients PUT what their Notify instances (2347) say; those that the server hands out,
        /// `/n/ID/INSTANCE`, are taken anyway.
        pub reports: Option<Vec<Lwm2mReport>>,
        /// What it does to each client that has registered, one after the other.
        pub upon_registration: Option<Vec<Block<Lwm2mOperation>>>,
        /// What it does at its times.
        pub polls: Option<Vec<Lwm2mPoll>>,
        /// HTTP for people and scripts: a TCP port, or a table; default none.
        pub http: Option<Http>,
    }

    /// A path to which clients report.
    pub struct Lwm2mReport {
        /// The path, `/up`.
        pub path: At<String>,
        /// What is reported there, `/2346/0/5914`: without it a format that does not name what it holds,
        /// `tlv`, is counted and not read.
        pub of: Option<At<String>>,
    }

    /// Operations on one client, again and again.
    pub struct Lwm2mPoll {
        /// The node, one with an `lwm2m-client`.
        pub client: At<String>,
        /// What is done, one after the other.
        pub operations: Vec<Block<Lwm2mOperation>>,
        /// Scenario time of the first time; default `every`.
        pub first: Option<At<Duration>>,
        /// And so often from then on; over 0 s; default once.
        pub every: Option<At<Duration>>,
        /// So many times; at least 1; default until the end.
        pub times: Option<At<u32>>,
    }
}

/// An LwM2M server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerPlan {
    /// Format that it asks for; absent: by the client's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_format: Option<FormatWord>,
    /// Format that it writes in; absent: by the client's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_format: Option<FormatWord>,
    /// Whether floats have 8 bytes always.
    pub doubles: bool,
    /// CON or NON.
    pub confirmable: bool,
    /// Whether what it knows outlives a crash; absent: it does.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub persistent: bool,
    /// Object models of the user's own, OMA's XML.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Clients that it asks at a permanent address, and not where their messages come from: those that only nodes of their
    /// own mobility find.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permanent: Vec<PermanentPlan>,
    /// Paths to which clients report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<ReportPlan>,
    /// What it does to a client that has registered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upon_registration: Vec<OperationPlan>,
    /// What it does at its times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub polls: Vec<PollPlan>,
    /// HTTP for people and scripts; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpPlan>,
}

/// A client with a permanent address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermanentPlan {
    /// Its Endpoint Client Name.
    pub endpoint: String,
    /// Its permanent address, at which the server's mobility locates it.
    pub address: Ipv6Addr,
}

/// A path to which clients report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportPlan {
    /// The path.
    pub path: String,
    /// What is reported there, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// Operations on one client, again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollPlan {
    /// The node.
    pub client: String,
    /// Its Endpoint Client Name.
    pub endpoint: String,
    /// What is done, one after the other.
    pub operations: Vec<OperationPlan>,
    /// Scenario time of the first time.
    #[serde(with = "duration")]
    pub first: Duration,
    /// Period; zero: once.
    #[serde(with = "duration")]
    pub every: Duration,
    /// So many times; absent: until the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl Serves for Lwm2mServer {
    fn asks(&self) -> bool {
        true
    }

    fn asked(&self) -> Vec<&str> {
        self.polls
            .iter()
            .flatten()
            .map(|poll| poll.client.as_str())
            .collect()
    }
}

impl ServiceFacts for ServerPlan {
    fn is_coap(&self) -> bool {
        true
    }

    fn paths(&self) -> Vec<&str> {
        let reports = self.reports.iter().map(|report| report.path.as_str());
        ["/rd", "/dp"].into_iter().chain(reports).collect()
    }

    fn asks(&self) -> bool {
        true
    }

    fn patience(&self) -> Option<Duration> {
        Some(PATIENCE)
    }

    fn describe(&self) -> Vec<String> {
        vec!["LwM2M server".to_owned()]
    }
}

impl Lwm2mServer {
    /// The plan of the service at `path`.
    pub(crate) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> ServerPlan {
        let mut reports = Vec::new();
        for (i, report) in self.reports.iter().flatten().enumerate() {
            let path = format!("{path}.reports[{i}]");
            r.check_uri_path(&format!("{path}.path"), &report.path);
            let of = report.of.as_ref();
            let of = of.and_then(|of| r.lwm2m_path(&format!("{path}.of"), of, of.span));
            reports.push(ReportPlan {
                path: report.path.value.clone(),
                of: of.map(|of| of.to_string()),
            });
        }
        let models = r.lwm2m_models(path, self.models.as_deref());
        let upon = self.upon_registration.as_deref().unwrap_or_default();
        let polls = self.polls.iter().flatten().enumerate();
        ServerPlan {
            read_format: self.read_format.map(|format| format.value),
            write_format: self.write_format.map(|format| format.value),
            doubles: or(self.doubles, false),
            confirmable: or(self.confirmable, true),
            persistent: or(self.persistent, true),
            permanent: permanent(r, context),
            reports,
            upon_registration: operations(r, &models, &format!("{path}.upon_registration"), upon),
            polls: polls
                .filter_map(|(i, poll)| poll.plan(r, &models, &format!("{path}.polls[{i}]")))
                .collect(),
            http: self
                .http
                .as_ref()
                .map(|http| http.plan(r, &format!("{path}.http"))),
            models: models.texts,
        }
    }
}

impl Lwm2mPoll {
    fn plan(&self, r: &mut Resolver<'_>, models: &Models, path: &str) -> Option<PollPlan> {
        let fits = |node: &Node| node.runs(is_client);
        let wanted = "a node with an `lwm2m-client`";
        let (name, node) = r.named(&format!("{path}.client"), &self.client, wanted, fits)?;
        let every = self
            .every
            .map(|given| r.positive(&format!("{path}.every"), Some(given), s(1)));
        let lasts = r.topology.scenario.duration.value;
        let default = every.unwrap_or_default();
        let first = r.duration(
            &format!("{path}.first"),
            self.first,
            default,
            |at| at <= lasts,
            "in the scenario: it ends before",
        );
        let times = self
            .times
            .map(|given| r.at_least_one(&format!("{path}.times"), Some(given), 1));
        Some(PollPlan {
            client: name.to_owned(),
            endpoint: client_of(node)?.endpoint(name).to_owned(),
            operations: operations(r, models, &format!("{path}.operations"), &self.operations),
            first,
            every: every.unwrap_or_default(),
            times,
        })
    }
}

/// The clients that the server's mobility locates.
fn permanent(r: &Resolver<'_>, context: &Context<'_, '_>) -> Vec<PermanentPlan> {
    let mut permanent = Vec::new();
    for name in r.running(is_client) {
        let Some((_, (_, node))) = r.nodes.get_key_value(name) else {
            continue;
        };
        if let Some(client) = client_of(node).filter(|_| node.mobility.is_located()) {
            permanent.push(PermanentPlan {
                endpoint: client.endpoint(name).to_owned(),
                address: context.network.address_of(name),
            });
        }
    }
    permanent
}

pub(super) fn operations(
    r: &mut Resolver<'_>,
    models: &Models,
    path: &str,
    given: &[Block<Lwm2mOperation>],
) -> Vec<OperationPlan> {
    let given = given.iter().enumerate();
    given
        .filter_map(|(i, block)| block.table.plan(r, models, &format!("{path}[{i}]")))
        .collect()
}
