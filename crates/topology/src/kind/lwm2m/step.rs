//! A step of the scenario: a server does something to a client.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::{Lwm2mOperation, OperationPlan};
use super::server::operations;
use super::{client_of, is_client, is_server};
use crate::decode::{At, Block};
use crate::kind::Node;
use crate::resolve::Resolver;

/// What a server does to a client in a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatePlan {
    /// The server's node.
    pub node: String,
    /// The client's node.
    pub client: String,
    /// Its Endpoint Client Name.
    pub endpoint: String,
    /// What is done, one after the other.
    pub operations: Vec<OperationPlan>,
}

impl fmt::Display for OperatePlan {
    /// `server: read /3/0/9, execute /3/0/4 on device`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations: Vec<String> = self.operations.iter().map(ToString::to_string).collect();
        write!(
            f,
            "{}: {} on {}",
            self.node,
            operations.join(", "),
            self.client
        )
    }
}

impl Resolver<'_> {
    /// The operations of a step that stands at `path`; none if something of it cannot be, which is reported. Without a
    /// `client` it is about the only one of the server's.
    pub(crate) fn operate(
        &mut self,
        path: &str,
        server: &At<String>,
        client: Option<&At<String>>,
        given: &[Block<Lwm2mOperation>],
    ) -> Option<OperatePlan> {
        let fits = |node: &Node| node.runs(is_server);
        let wanted = "a node with an `lwm2m-server`";
        let named = self.named(&format!("{path}.operate"), server, wanted, fits);
        let models = self.lwm2m_models_of_server(server);
        let operations = operations(self, &models, &format!("{path}.operations"), given);
        let (node, _) = named?;
        let (client, plan) = self.client_of_step(path, (node, server), client)?;
        Some(OperatePlan {
            node: node.to_owned(),
            endpoint: client_of(plan)?.endpoint(client).to_owned(),
            client: client.to_owned(),
            operations,
        })
    }
}

impl<'t> Resolver<'t> {
    /// Whether the client on the node `client` registers with the server on the node `server`.
    fn registers(&self, client: &str, server: &str) -> bool {
        let servers = self.lwm2m_servers(client);
        servers.is_some_and(|servers| servers.have(server))
    }

    /// The client that is named, or the only one of the server's.
    fn client_of_step(
        &mut self,
        path: &str,
        (node, server): (&str, &At<String>),
        named: Option<&At<String>>,
    ) -> Option<(&'t str, &'t Node)> {
        if let Some(named) = named {
            let key = format!("{path}.client");
            let wanted = "a node with an `lwm2m-client`";
            let found = self.named(&key, named, wanted, |client| client.runs(is_client))?;
            if !self.registers(found.0, node) {
                let message = format!(
                    "`{key}`: `{}` does not register with `{node}`; add that to its `servers`",
                    found.0
                );
                self.problem(named.span, message);
                return None;
            }
            return Some(found);
        }
        let there: Vec<&'t str> = self.running(is_client).collect();
        let there = there.into_iter().filter_map(|name| {
            let (key, (_, client)) = self.nodes.get_key_value(name)?;
            self.registers(key, node).then_some((*key, *client))
        });
        let there: Vec<(&'t str, &'t Node)> = there.collect();
        match there.as_slice() {
            [only] => Some(*only),
            [] => {
                let message =
                    format!("`{path}`: no node registers with `{node}`; add an `lwm2m-client`");
                self.problem(server.span, message);
                None
            }
            [(first, _), ..] => {
                let message = format!(
                    "`{path}.client` is missing: several register with `{node}`; name one, such as \
                     `client: {first}`"
                );
                self.problem(server.span, message);
                None
            }
        }
    }
}
