//! What nodes serve and what they poll.

use units::ByteSize;

use super::identity::Network;
use super::roles::s;
use super::{Resolver, or};
use crate::decode::At;
use crate::diagnostic::alternatives;
use crate::file::{self, Node};
use crate::plan::{Arrivals, HoldQueuePlan, PollPlan, ResourcePlan};

/// The resource of a mobile node that names none.
const DEFAULT_PATH: &str = "/temperature";
/// Size of a resource that names none.
const DEFAULT_SIZE: ByteSize = ByteSize(16);
/// As much as a client puts together from blocks.
const MAX_SIZE: ByteSize = ByteSize(65_000);

/// The resource of a mobile node that names none.
pub(super) fn default_resource() -> ResourcePlan {
    ResourcePlan {
        path: DEFAULT_PATH.to_owned(),
        size: DEFAULT_SIZE,
        changes_every: None,
    }
}

/// The resources that a node names; nothing if it serves none.
fn served(node: &Node) -> Option<Option<&[file::Resource]>> {
    match node {
        Node::MobileNode(node) => Some(node.resources.as_deref()),
        Node::Client(client) => client.resources.as_deref().map(Some),
        _ => None,
    }
}

impl<'t> Resolver<'t> {
    /// The polls of `name`.
    pub(super) fn polls(
        &mut self,
        name: &str,
        polls: Option<&[file::Poll]>,
        network: &Network<'t>,
    ) -> Vec<PollPlan> {
        let mut plans = Vec::new();
        for (i, poll) in polls.unwrap_or_default().iter().enumerate() {
            let path = format!("nodes.{name}.polls[{i}]");
            plans.extend(self.polls_of(name, &path, poll, network));
        }
        plans
    }

    /// Bounds of the hold queue of the client at `path`.
    pub(super) fn hold_queue(
        &mut self,
        path: &str,
        queue: Option<&file::HoldQueue>,
    ) -> HoldQueuePlan {
        HoldQueuePlan {
            capacity: self.at_least_one(
                &format!("{path}.hold_queue.capacity"),
                queue.and_then(|q| q.capacity),
                1000,
            ),
            timeout: self.positive(
                &format!("{path}.hold_queue.timeout"),
                queue.and_then(|q| q.timeout),
                s(10),
            ),
        }
    }

    /// The hold queue of a mobile node that polls.
    pub(super) fn hold_queue_of_asking(
        &mut self,
        path: &str,
        file: &file::MobileNode,
    ) -> Option<HoldQueuePlan> {
        let queue = self.hold_queue(path, file.hold_queue.as_ref());
        let asks = file.polls.as_ref().is_some_and(|polls| !polls.is_empty());
        let given = file.hold_queue.as_ref();
        let at = given.and_then(|q| q.capacity.map(|c| c.span).or(q.timeout.map(|t| t.span)));
        if let Some(span) = at.filter(|_| !asks) {
            let message = format!(
                "`{path}.hold_queue`: without `polls` there is nothing to keep back; add `polls`, \
                 or remove it"
            );
            self.problem(span, message);
        }
        asks.then_some(queue)
    }

    /// A poll; of a group, one of each of its nodes but `name`.
    fn polls_of(
        &mut self,
        name: &str,
        path: &str,
        poll: &file::Poll,
        network: &Network<'t>,
    ) -> Vec<PollPlan> {
        let groups = self.groups;
        if poll.node.as_str() == name {
            let message = format!("`{path}.node`: `{name}` would poll itself; name another node");
            self.problem(poll.node.span, message);
            return Vec::new();
        }
        let Some(members) = groups.get(poll.node.as_str()) else {
            return Vec::from_iter(self.poll(path, poll, &poll.node, network));
        };
        let member = |name: &String| At {
            value: name.clone(),
            span: poll.node.span,
        };
        let others = members.iter().filter(|member| *member != name);
        let members = others.map(member);
        members
            .filter_map(|node| self.poll(path, poll, &node, network))
            .collect()
    }

    /// The poll of one node.
    fn poll(
        &mut self,
        path: &str,
        poll: &file::Poll,
        node: &At<String>,
        network: &Network<'t>,
    ) -> Option<PollPlan> {
        let every = self.positive(&format!("{path}.every"), poll.every, s(1));
        let fits = |node: &Node| served(node).is_some();
        let path_node = format!("{path}.node");
        let wanted = "a mobile-node, or a client with `resources`";
        let (node, target) = self.named(&path_node, node, wanted, fits)?;
        let resources = served(target).flatten();
        let served: Vec<&str> = match resources {
            Some(resources) => resources.iter().map(|r| r.path.as_str()).collect(),
            None => vec![DEFAULT_PATH],
        };
        let resource = match (&poll.path, served.as_slice()) {
            (Some(given), served) if served.contains(&given.as_str()) => given.value.clone(),
            (None, [only]) => (*only).to_owned(),
            (given, served) => {
                let known = alternatives(served.iter().copied());
                let (span, found) = match given {
                    Some(given) => (given.span, format!("`{}`", given.value)),
                    None => (poll.node.span, "nothing".to_owned()),
                };
                let message = format!(
                    "`{path}.path`: {found} is not a resource of `{}`, which serves {known}",
                    poll.node.value
                );
                self.problem(span, message);
                return None;
            }
        };
        let observe = self.observed(path, poll, resources.unwrap_or_default(), &resource);
        Some(PollPlan {
            node: node.to_owned(),
            p_addr: match target {
                Node::Client(client) => or(client.p_addr, network.address_of(node)),
                _ => network.address_of(node),
            },
            path: resource,
            every,
            arrivals: or(poll.arrivals, Arrivals::Periodic),
            confirmable: or(poll.confirmable, true),
            observe,
        })
    }

    /// Whether a poll observes `resource`, which has to be possible.
    fn observed(
        &mut self,
        path: &str,
        poll: &file::Poll,
        resources: &[file::Resource],
        resource: &str,
    ) -> bool {
        let Some(observe) = poll.observe.filter(|observe| observe.value) else {
            return false;
        };
        if !resources
            .iter()
            .any(|r| r.path.value == resource && r.changes_every.is_some())
        {
            let node = &poll.node.value;
            let message = format!(
                "`{path}.observe`: {resource} of `{node}` does not change by itself; give it a `changes_every`"
            );
            self.problem(observe.span, message);
        }
        if let Some(every) = poll.every {
            let message = format!(
                "`{path}.every`: an observed resource is not asked periodically; leave `every` out and say `changes_every` at the resource"
            );
            self.problem(every.span, message);
        }
        true
    }

    /// The resources that a node names.
    pub(super) fn resources(
        &mut self,
        path: &str,
        resources: &[file::Resource],
    ) -> Vec<ResourcePlan> {
        let mut plans: Vec<ResourcePlan> = Vec::new();
        for (i, resource) in resources.iter().enumerate() {
            let path = format!("{path}.resources[{i}]");
            let uri = &resource.path;
            if let Some(right) = wrong_path(uri) {
                let message = format!("`{path}.path`: `{}` {right}", uri.value);
                self.problem(uri.span, message);
            }
            if plans.iter().any(|plan| plan.path == uri.value) {
                let message = format!(
                    "`{path}.path`: duplicate path `{}`; give each resource its own",
                    uri.value
                );
                self.problem(uri.span, message);
            }
            let size = self.checked(
                &format!("{path}.size"),
                resource.size,
                DEFAULT_SIZE,
                |size| size.to_string(),
                |size| size <= MAX_SIZE,
                "a size up to 65000 B, which a client puts together from blocks",
            );
            let at = format!("{path}.changes_every");
            let changes_every = resource
                .changes_every
                .map(|every| self.positive(&at, Some(every), s(1)));
            plans.push(ResourcePlan {
                path: uri.value.clone(),
                size,
                changes_every,
            });
        }
        plans
    }
}

/// What a resource's path must be, if it is not.
fn wrong_path(path: &str) -> Option<&'static str> {
    let Some(rest) = path.strip_prefix('/') else {
        return Some("is not a path; write `/temperature`");
    };
    if rest == "comp" {
        Some("is CoMP's own resource; choose another")
    } else if rest.split('/').any(|segment| {
        // RFC 7252 §5.10: Uri-Path is 0 to 255 bytes; an empty segment would not be seen.
        segment.is_empty() || segment.len() > 255 || segment.contains(['?', '#', ' '])
    }) {
        Some("has an empty, long or unprintable segment; write `/temperature`")
    } else {
        None
    }
}
