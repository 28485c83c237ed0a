//! Which servers a client knows, or is given.

use super::client::{AccountPlan, Lwm2mClient};
use super::{bootstrap_server_of, client_of, is_bootstrap_server, is_server};
use crate::decode::At;
use crate::kind::Node;
use crate::resolve::{Context, Resolver};

/// The servers of a client by their names; none: the only one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Servers<'t>(Option<&'t [At<String>]>);

impl Servers<'_> {
    /// Whether the node `server` is one of them.
    pub(super) fn have(self, server: &str) -> bool {
        let named = self.0;
        named.is_none_or(|servers| servers.iter().any(|name| name.as_str() == server))
    }
}

impl<'t> Resolver<'t> {
    /// The client on a node.
    pub(super) fn lwm2m_client(&self, name: &str) -> Option<&'t Lwm2mClient> {
        let (_, node) = self.nodes.get(name)?;
        client_of(node)
    }

    /// The servers of the client on a node: those that it names, or that its bootstrap server gives it.
    pub(super) fn lwm2m_servers(&self, name: &str) -> Option<Servers<'t>> {
        let client = self.lwm2m_client(name)?;
        let Some(bootstrap) = &client.bootstrap else {
            return Some(Servers(client.servers.as_deref()));
        };
        let (_, node) = self.nodes.get(bootstrap.as_str())?;
        let given = bootstrap_server_of(node)?.servers_of(name);
        Some(Servers(given))
    }

    /// The accounts of the servers that are named as the key `servers` of the table at `path`, or of the only one.
    pub(super) fn lwm2m_accounts(
        &mut self,
        context: &Context<'_, 't>,
        path: &str,
        named: Option<&[At<String>]>,
    ) -> Vec<AccountPlan> {
        let given: Vec<At<String>> = match named {
            Some(servers) => servers.to_vec(),
            None => {
                let there: Vec<&str> = self.running(is_server).collect();
                let [only] = there.as_slice() else {
                    let message = match there.len() {
                        0 => format!("`{path}`: there is no node with an `lwm2m-server`; add one"),
                        _ => format!(
                            "`{path}.servers` is missing: there are several; name those that it registers with"
                        ),
                    };
                    self.problem(self.span_of(context.name), message);
                    return Vec::new();
                };
                let span = self.span_of(context.name);
                let value = (*only).to_owned();
                vec![At { value, span }]
            }
        };
        let mut accounts = Vec::new();
        for (i, name) in given.iter().enumerate() {
            let path = format!("{path}.servers[{i}]");
            let fits = |node: &Node| node.runs(is_server);
            let found = self.named(&path, name, "a node with an `lwm2m-server`", fits);
            accounts.extend(found.map(|found| account(context, found)));
        }
        accounts
    }

    /// The accounts that the bootstrap server of `context`'s client gives it. What is wrong with them is said of the
    /// bootstrap server.
    pub(super) fn lwm2m_given(&self, context: &Context<'_, 't>) -> Vec<AccountPlan> {
        let names: Vec<&str> = match self.lwm2m_servers(context.name) {
            Some(Servers(Some(named))) => named.iter().map(|name| name.as_str()).collect(),
            Some(Servers(None)) => self.running(is_server).collect(),
            None => Vec::new(),
        };
        let found = names.into_iter().filter_map(|name| {
            let (name, (_, node)) = self.nodes.get_key_value(name)?;
            node.runs(is_server).then(|| account(context, (name, node)))
        });
        found.collect()
    }

    /// The account of the bootstrap server that is named.
    pub(super) fn lwm2m_bootstrap_server(
        &mut self,
        context: &Context<'_, 't>,
        path: &str,
        name: &At<String>,
    ) -> Option<AccountPlan> {
        let wanted = "a node with an `lwm2m-bootstrap-server`";
        let found = self.named(path, name, wanted, |node| node.runs(is_bootstrap_server));
        found.map(|found| account(context, found))
    }
}

fn account(context: &Context<'_, '_>, (name, node): (&str, &Node)) -> AccountPlan {
    AccountPlan {
        node: name.to_owned(),
        address: context.network.address_of(name),
        located: node.mobility.is_located(),
    }
}
