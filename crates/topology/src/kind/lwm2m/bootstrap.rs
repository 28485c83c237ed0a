//! An LwM2M bootstrap server: which servers it gives to whom.

use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

use lwm2m::Path;
use lwm2m::access::SERVER;
use lwm2m::account::PORT;
use lwm2m::client::Account;
use lwm2m::path::Level;
use lwm2m::server::Operation;
use lwm2m::server::bootstrap;
use lwm2m::value::FloatText;
use serde::{Deserialize, Serialize};

use super::client::{AccountPlan, Lwm2mClient, OBJECTS, is_whole};
use super::operation::{Lwm2mOperation, OperationPlan};
use super::sends::unmuted;
use super::server::operations;
use super::{FormatWord, Models, ValuePlan, client_of, is_client};
use crate::decode::{At, Block};
use crate::diagnostic::Span;
use crate::kind::{Node, Serves, ServiceFacts};
use crate::resolve::timers::s;
use crate::resolve::{Context, Resolver, or};

/// What a client loses first: its accounts but the bootstrap server's own, and who may do what.
const DELETED: [&str; 3] = ["/0", "/1", "/2"];

tables! {
    /// LwM2M bootstrap server: clients ask it by their key `bootstrap`, and it gives them their servers.
    pub struct Lwm2mBootstrapServer {
        /// Format that it writes in; default the one that the client prefers, or `tlv`.
        pub write_format: Option<At<FormatWord>>,
        /// Whether it asks by CON, else by NON; default true.
        pub confirmable: Option<At<bool>>,
        /// Files of object models of your own, OMA's XML, relative to this one; `objects/` names every `.xml` of that
        /// directory, in the order of their names; default none.
        pub models: Option<Vec<At<String>>>,
        /// What it gives to whom; of several entries for a client the first; default one entry, for all.
        pub gives: Option<Vec<Lwm2mGift>>,
    }

    /// What a bootstrap server gives to clients.
    pub struct Lwm2mGift {
        /// The clients: nodes with an `lwm2m-client` whose `bootstrap` is this server; default all of them.
        pub to: Option<Vec<At<String>>>,
        /// The servers: nodes with an `lwm2m-server`; their Short Server IDs are 1, 2, … in this order;
        /// default the only one.
        pub servers: Option<Vec<At<String>>>,
        /// Lifetime of a registration; whole seconds; default 86400 s.
        pub lifetime: Option<At<Duration>>,
        /// What is deleted first, objects and instances; the account of the bootstrap server and Device stay;
        /// default `["/0", "/1", "/2"]`.
        pub delete: Option<Vec<At<String>>>,
        /// What it does then, before the end: `write`, `delete`, `discover` and `read`; default nothing.
        pub operations: Option<Vec<Block<Lwm2mOperation>>>,
    }
}

/// An LwM2M bootstrap server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapServerPlan {
    /// Format that it writes in; absent: the one that the client prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_format: Option<FormatWord>,
    /// CON or NON.
    pub confirmable: bool,
    /// Object models of the user's own, OMA's XML.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// What each client gets.
    pub clients: Vec<GiftPlan>,
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiftPlan {
    /// Its Endpoint Client Name.
    pub endpoint: String,
    /// The operations, in this order.
    pub operations: Vec<OperationPlan>,
}

impl Serves for Lwm2mBootstrapServer {
    fn asks(&self) -> bool {
        true
    }
}

impl ServiceFacts for BootstrapServerPlan {
    fn is_coap(&self) -> bool {
        true
    }

    fn paths(&self) -> Vec<&str> {
        vec!["/bs"]
    }

    fn asks(&self) -> bool {
        true
    }

    fn describe(&self) -> Vec<String> {
        let clients = self.clients.iter().map(|gift| gift.endpoint.as_str());
        let clients: Vec<&str> = clients.collect();
        vec![match clients.is_empty() {
            true => "LwM2M bootstrap server".to_owned(),
            false => format!("LwM2M bootstrap server of {}", clients.join(", ")),
        }]
    }
}

impl Lwm2mBootstrapServer {
    /// The plan of the service at `path`.
    pub(crate) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> BootstrapServerPlan {
        let models = r.lwm2m_models(path, self.models.as_deref());
        let given: Vec<Given> = match &self.gives {
            None => vec![Lwm2mGift::DEFAULT.given(r, context, &models, path)],
            Some(gives) => (gives.iter().enumerate())
                .map(|(i, gift)| gift.given(r, context, &models, &format!("{path}.gives[{i}]")))
                .collect(),
        };
        let mut clients = Vec::new();
        let all: Vec<&str> = r.running(is_client).collect();
        for name in all {
            let Some(client) = r.lwm2m_client(name) else {
                continue;
            };
            if client.bootstrap.as_ref().map(|of| of.as_str()) != Some(context.name) {
                continue;
            }
            let Some(given) = self.place_of(name).and_then(|place| given.get(place)) else {
                let span = r.span_of(name);
                let message = format!("`{path}.gives`: there is nothing in it for `{name}`");
                r.problem(span, message);
                continue;
            };
            let at = (path, r.span_of(context.name));
            let accounts = accounts(r, &models, at, client, given);
            let (first, last) = (given.deletes.iter(), given.operations.iter());
            clients.push(GiftPlan {
                endpoint: client.endpoint(name).to_owned(),
                operations: first.chain(&accounts).chain(last).cloned().collect(),
            });
        }
        BootstrapServerPlan {
            write_format: self.write_format.map(|format| format.value),
            confirmable: or(self.confirmable, true),
            models: models.texts,
            clients,
        }
    }

    /// The place of the entry for a client; none if none is for it. Without `gives` it is as if there were one for all.
    fn place_of(&self, client: &str) -> Option<usize> {
        match &self.gives {
            None => Some(0),
            Some(gives) => gives.iter().position(|gift| gift.is_for(client)),
        }
    }

    /// The servers that a client gets; none: the only one.
    pub(super) fn servers_of(&self, client: &str) -> Option<&[At<String>]> {
        let gift = self.gives.as_ref()?.get(self.place_of(client)?)?;
        gift.servers.as_deref()
    }
}

impl Lwm2mGift {
    /// Without any key.
    const DEFAULT: Lwm2mGift = Lwm2mGift {
        to: None,
        servers: None,
        lifetime: None,
        delete: None,
        operations: None,
    };

    fn is_for(&self, client: &str) -> bool {
        let named = self.to.as_ref();
        named.is_none_or(|names| names.iter().any(|name| name.as_str() == client))
    }

    /// Reports what is wrong whomever it is for: the names of clients, and operations.
    fn check(&self, r: &mut Resolver<'_>, own: &str, path: &str) {
        for (i, name) in self.to.iter().flatten().enumerate() {
            let key = format!("{path}.to[{i}]");
            let wanted = "a node with an `lwm2m-client`";
            let found = r.named(&key, name, wanted, |node| node.runs(is_client));
            let asks = |(_, node): (&str, &Node)| {
                let client = client_of(node);
                let of = client.and_then(|client| client.bootstrap.as_ref());
                of.is_some_and(|of| of.as_str() == own)
            };
            if found.is_some_and(|found| !asks(found)) {
                let message = format!(
                    "`{key}`: the client of `{}` has not `bootstrap: {own}`; add it",
                    name.value
                );
                r.problem(name.span, message);
            }
        }
        for (i, block) in self.operations.iter().flatten().enumerate() {
            if !is_of_bootstrap(&block.table) {
                let message = format!(
                    "`{path}.operations[{i}]`: no operation of a bootstrap server; expected `write`, `delete`, \
                     `discover` or `read`"
                );
                r.problem(block.span, message);
            }
        }
    }

    /// What of it is the same for all whom it is for.
    fn given<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        models: &Models,
        path: &str,
    ) -> Given {
        self.check(r, context.name, path);
        let servers = r.lwm2m_accounts(context, path, self.servers.as_deref());
        let lifetime = r.duration(
            &format!("{path}.lifetime"),
            self.lifetime,
            s(86_400),
            is_whole,
            "whole seconds, at least 1",
        );
        let last = self.operations.as_deref().unwrap_or_default();
        Given {
            deletes: self.deletes(r, path),
            servers,
            lifetime,
            operations: operations(r, models, &format!("{path}.operations"), last),
        }
    }

    fn deletes(&self, r: &mut Resolver<'_>, path: &str) -> Vec<OperationPlan> {
        let Some(given) = &self.delete else {
            let deleted = DELETED.map(|path| OperationPlan::Delete(path.to_owned()));
            return deleted.to_vec();
        };
        let mut deletes = Vec::new();
        for (i, text) in given.iter().enumerate() {
            let key = format!("{path}.delete[{i}]");
            let Some(parsed) = r.lwm2m_path(&key, text, text.span) else {
                continue;
            };
            if parsed.level() > Level::Instance {
                let message = format!("`{key}`: `{parsed}` is neither an object nor an instance");
                r.problem(text.span, message);
            }
            deletes.push(OperationPlan::Delete(parsed.to_string()));
        }
        deletes
    }
}

/// What all get whom an entry is for.
struct Given {
    deletes: Vec<OperationPlan>,
    servers: Vec<AccountPlan>,
    lifetime: Duration,
    /// What follows the accounts.
    operations: Vec<OperationPlan>,
}

/// Whether it is an operation of the bootstrap interface (LwM2M 1.1 Core §6.1.7).
fn is_of_bootstrap(operation: &Lwm2mOperation) -> bool {
    matches!(
        operation,
        Lwm2mOperation::Write(_)
            | Lwm2mOperation::Delete(_)
            | Lwm2mOperation::Discover(_)
            | Lwm2mOperation::Read(_)
    )
}

/// The writes that bring a client its accounts; what cannot be is reported as of the key at `path`.
fn accounts(
    r: &mut Resolver<'_>,
    models: &Models,
    (path, span): (&str, Span),
    client: &Lwm2mClient,
    given: &Given,
) -> Vec<OperationPlan> {
    let accounts = (1..).zip(&given.servers).map(|(server, account)| Account {
        server,
        address: SocketAddrV6::new(account.address, PORT, 0, 0),
        lifetime: given.lifetime,
        pmin: None,
        pmax: None,
    });
    let accounts: Vec<Account> = accounts.collect();
    let instances = client.instances(models.registry());
    let of_values = instances.iter().filter_map(Path::object_id);
    let objects: Vec<u16> = OBJECTS
        .into_iter()
        .chain(of_values)
        .chain(client.named_objects(models.registry()))
        .collect();
    let writes = bootstrap::accounts(
        Arc::clone(models.registry()),
        &accounts,
        &objects,
        &instances,
    );
    let writes = match writes {
        Ok(writes) => writes,
        Err(error) => {
            r.problem(span, format!("`{path}`: {error}"));
            return Vec::new();
        }
    };
    let plan = |operation| match operation {
        Operation::Write { path, records, .. } => {
            let text = |record: lwm2m::Record| {
                let value = record.value?.to_text(FloatText::Shortest);
                let path = record.path.to_string();
                Some(ValuePlan { path, value })
            };
            let mut values: Vec<ValuePlan> = records.into_iter().filter_map(text).collect();
            if path == Path::object(SERVER) && client.sends() {
                values.extend(unmuted(given.servers.len(), &values));
            }
            Some(OperationPlan::Write {
                path: path.to_string(),
                replace: true,
                values,
            })
        }
        _ => None,
    };
    writes.into_iter().filter_map(plan).collect()
}
