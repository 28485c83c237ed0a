//! LwM2M clients and servers: the plan in the words of their cores.
//!
//! | module | holds |
//! | --- | --- |
//! | `kept` | a text that outlives the daemon |
//! | `device` | a client whose tree does |
//! | `position` | where a client is |
//! | `told` | a server whose registrations do, and its log |
//! | `web` | what a server has for people and scripts, by HTTP |
//! | `bootstrapper` | a bootstrap server and its log |

/// Methods of a [`service::Service`] that looks on another one, its field of this name: what is asked goes to that one.
macro_rules! look_on {
    ($looked_on:ident) => {
        fn serves(&self, path: &str) -> bool {
            self.$looked_on.serves(path)
        }

        fn known_critical(&self) -> &'static [u16] {
            self.$looked_on.known_critical()
        }

        fn links(&self) -> Vec<::coap::link::Link> {
            self.$looked_on.links()
        }

        fn is_drained(&self) -> bool {
            self.$looked_on.is_drained()
        }

        fn tally(&self) -> ::service::Tally {
            self.$looked_on.tally()
        }
    };
}

mod bootstrapper;
mod device;
mod kept;
mod position;
#[cfg(test)]
mod tests;
mod told;
mod web;

use std::collections::BTreeMap;
use std::net::SocketAddrV6;
use std::sync::Arc;

use anyhow::{Context, Result};
use coap::Reliability;
use coap::message::PORT;
use lwm2m::client::{self, Account, Client, Config};
use lwm2m::format::{Creation, FloatSize, Style};
use lwm2m::operations::Mode;
use lwm2m::path::Level;
use lwm2m::server::bootstrap::{Bootstrap, Plans};
use lwm2m::server::{self, Operation, ReadFormat, ReportPath, Scripted, Server};
use lwm2m::value::FloatText;
use lwm2m::{Path, Record, Registry, Value};
use propagation::Waypoint;
use service::sensors::{Changes, Feed};
use topology::kind::http::{HttpAddress, HttpPlan};
use topology::kind::lwm2m::bootstrap::BootstrapServerPlan;
use topology::kind::lwm2m::client::{ChangePlan, ClientPlan, OBJECTS};
use topology::kind::lwm2m::operation::OperationPlan;
use topology::kind::lwm2m::sends::SendPlan;
use topology::kind::lwm2m::server::ServerPlan;
use topology::kind::lwm2m::{Floats, FormatWord, ValuePlan, registry};
use topology::plan::{Action, StepPlan};
use units::Rng;

use crate::host::{Host, now};
use crate::services::source;
use crate::web::{Bell, Door, Settings};

use bootstrapper::Bootstrapper;
use device::Device;
use kept::Kept;
use told::Told;
use web::Site;

/// Where a service stands: its node, which service of LwM2M it is there, and the steps of the scenario that its node
/// has to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'a> {
    pub(crate) host: &'a Host,
    pub(crate) place: usize,
    pub(crate) steps: &'a [StepPlan],
    /// Where the node is in the scenario, if it has to know.
    pub(crate) track: &'a [Waypoint],
}

impl Standing<'_> {
    /// What outlives this daemon of the service, if that is wanted. In a run nothing is written that nobody will read: of
    /// a node that its scenario never crashes.
    fn kept(&self, wanted: bool, what: &str) -> Result<Option<Kept>> {
        let crashes = |step: &StepPlan| matches!(step.action, Action::Crash { .. });
        let is_read = self.host.is_alone() || self.steps.iter().any(crashes);
        let open = || Kept::open(self.host, what, self.place);
        (wanted && is_read).then(open).transpose()
    }
}

/// The client of a node.
///
/// # Errors
/// When a value is none of its resource, or the tree of an earlier life cannot be read.
pub(crate) fn client(
    standing: Standing<'_>,
    plan: &ClientPlan,
    mut stream: impl FnMut(&str) -> Rng,
) -> Result<Device> {
    let kept = standing.kept(plan.persistent, "lwm2m-client")?;
    let config = client_config(plan)?;
    let registry = registry(&plan.models)?;
    let rng = stream("client");
    let mut client = match kept.as_ref().and_then(Kept::earlier) {
        Some(text) => Client::restore(config, registry, rng, text)
            .with_context(|| kept::unreadable(kept.as_ref()))?,
        None => new_client(config, registry, plan, rng)?,
    };
    for change in &plan.changes {
        let (path, feed) =
            feed(change, &mut stream).with_context(|| format!("changes of {}", change.path))?;
        client = client.with_feed(path, feed);
    }
    if plan.connectivity {
        client = client.with_connectivity();
    }
    if let Some(location) = &plan.location {
        client = client.with_location(position::locating(standing, location)?);
    }
    Ok(Device::new(client, kept))
}

/// The client of a device that was never on before.
fn new_client(
    config: Config,
    registry: Arc<Registry>,
    plan: &ClientPlan,
    rng: Rng,
) -> Result<Client> {
    let accounts = (1..).zip(&plan.servers).map(|(server, account)| Account {
        server,
        address: SocketAddrV6::new(account.address, PORT, 0, 0),
        lifetime: plan.lifetime,
        pmin: None,
        pmax: None,
    });
    let accounts: Vec<Account> = accounts.collect();
    let values = values(&registry, &plan.values)?;
    let objects: Vec<u16> = OBJECTS
        .into_iter()
        .chain(plan.objects.iter().copied())
        .collect();
    let tree = Client::tree(registry, &accounts, &objects)?;
    let mut client = Client::new(config, tree, rng, false);
    let mut instances: BTreeMap<Path, Vec<(Path, Value)>> = BTreeMap::new();
    for (path, value) in values {
        let instance = path.truncated(Level::Instance);
        instances.entry(instance).or_default().push((path, value));
    }
    for (instance, values) in instances {
        client
            .add(instance, &values)
            .with_context(|| format!("values of {instance}"))?;
    }
    for object in plan.fed() {
        let instance = Path::instance(object, 0);
        (client.add(instance, &[])).with_context(|| format!("{instance}"))?;
    }
    client.share().context("access of several servers")?;
    if let Some(bootstrap) = &plan.bootstrap {
        let address = SocketAddrV6::new(bootstrap.server.address, PORT, 0, 0);
        let added = client.add_bootstrap_server(address, bootstrap.hold_off);
        added.context("the account of the bootstrap server")?;
    }
    Ok(client)
}

fn client_config(plan: &ClientPlan) -> Result<Config> {
    let versions = plan.versions.iter().map(|version| version.parse());
    Ok(Config {
        endpoint: plan.endpoint.clone(),
        versions: versions.collect::<Result<_, _>>()?,
        queue: plan.queue,
        style: Style {
            float_text: match plan.floats {
                Floats::Shortest => FloatText::Shortest,
                Floats::SixDecimals => FloatText::SixDecimals,
            },
            float_size: FloatSize::Shortest,
        },
        format: plan.format.map(FormatWord::format),
        no_response: plan.no_response,
        located: (plan.accounts())
            .filter(|account| account.located)
            .map(|account| account.address)
            .collect(),
        sends: plan.sends.iter().map(sends).collect::<Result<_>>()?,
        epoch_s: None,
    })
}

fn sends(plan: &SendPlan) -> Result<client::SendPlan> {
    let paths = plan.paths.iter().map(|path| path.parse::<Path>());
    Ok(client::SendPlan {
        server: plan.server,
        paths: paths.collect::<Result<_, _>>()?,
        phase: plan.first,
        every: plan.every,
        sample: Some(plan.sample).filter(|sample| !sample.is_zero()),
        reliability: reliability(plan.confirmable),
        format: plan.format.map(FormatWord::format),
    })
}

fn feed(plan: &ChangePlan, stream: &mut impl FnMut(&str) -> Rng) -> Result<(Path, Feed)> {
    let changes = plan.changes.as_ref().map(|changes| Changes {
        every: changes.every,
        phase: changes.phase,
    });
    let named = |name: &str| stream(&format!("{name} {}", plan.path));
    let feed = Feed::new(&source(&plan.value)?, changes, named);
    Ok((plan.path.parse()?, feed))
}

/// The values with the types of their resources.
fn values(registry: &Registry, plans: &[ValuePlan]) -> Result<Vec<(Path, Value)>> {
    let value = |plan: &ValuePlan| {
        let path: Path = plan.path.parse()?;
        let ty = registry
            .type_of(&path)
            .with_context(|| format!("{path} has no value"))?;
        let value =
            Value::from_text(&plan.value, ty).with_context(|| format!("the value of {path}"))?;
        Ok((path, value))
    };
    plans.iter().map(value).collect()
}

fn records(registry: &Registry, plans: &[ValuePlan]) -> Result<Vec<Record>> {
    let values = values(registry, plans)?.into_iter();
    Ok(values
        .map(|(path, value)| Record::new(path, value))
        .collect())
}

/// The server of a node, which rings `bell` when somebody asks it something by HTTP. `permanent`: clients that are asked
/// at a permanent address, by their endpoint names.
///
/// # Errors
/// When a path or a value is none, what an earlier life knew cannot be read, or HTTP's port is not to be had.
pub(crate) fn server(
    standing: Standing<'_>,
    plan: &ServerPlan,
    rng: Rng,
    bell: &Bell,
) -> Result<Told> {
    let kept = standing.kept(plan.persistent, "lwm2m-server")?;
    let registry = registry(&plan.models)?;
    let config = server_config(&registry, plan)?;
    let server = match kept.as_ref().and_then(Kept::earlier) {
        Some(text) => {
            Server::restore(config, rng, text).with_context(|| kept::unreadable(kept.as_ref()))?
        }
        None => Server::new(config, rng),
    };
    let mut steps = BTreeMap::new();
    for (number, step) in standing.steps.iter().enumerate() {
        if let Action::Operate(plan) = &step.action {
            let operations = plan
                .operations
                .iter()
                .map(|plan| operation(&registry, plan));
            let operations = operations.collect::<Result<Vec<Operation>>>()?;
            steps.insert(number, (plan.endpoint.clone(), operations));
        }
    }
    let site = (plan.http.as_ref()).map(|http| site(standing, http, bell));
    Ok(Told::new(server, steps, kept, site.transpose()?))
}

fn site(standing: Standing<'_>, plan: &HttpPlan, bell: &Bell) -> Result<Site> {
    let settings = Settings {
        port: plan.port,
        everywhere: plan.address == HttpAddress::Any,
        sockets: None,
    };
    let door = Door::open(settings, bell.clone(), &[&standing.host.name])?;
    tracing::info!(at = ?door.at, write = plan.write, "HTTP");
    Ok(Site::new(door, plan.write, now()))
}

/// The bootstrap server of a node.
///
/// # Errors
/// When a path or a value is none.
pub(crate) fn bootstrap_server(plan: &BootstrapServerPlan) -> Result<Bootstrapper> {
    let registry = registry(&plan.models)?;
    let mut plans = Plans::default();
    for gift in &plan.clients {
        let operations = gift
            .operations
            .iter()
            .map(|plan| operation(&registry, plan));
        let operations: Vec<Operation> = operations
            .collect::<Result<_>>()
            .with_context(|| format!("what {} gets", gift.endpoint))?;
        plans.of_endpoint.insert(gift.endpoint.clone(), operations);
    }
    let config = server::Config {
        write_format: plan.write_format.map(FormatWord::format),
        reliability: reliability(plan.confirmable),
        ..server::Config::new(Registry::clone(&registry))
    };
    Ok(Bootstrapper::new(Bootstrap::new(config, plans)))
}

fn reliability(confirmable: bool) -> Reliability {
    match confirmable {
        true => Reliability::Confirmable,
        false => Reliability::NonConfirmable,
    }
}

fn server_config(registry: &Registry, plan: &ServerPlan) -> Result<server::Config> {
    let mut config = server::Config {
        registry: registry.clone(),
        read_format: match plan.read_format {
            Some(format) => ReadFormat::Always(format.format()),
            None => ReadFormat::ByVersion,
        },
        write_format: plan.write_format.map(FormatWord::format),
        style: Style {
            float_text: FloatText::Shortest,
            float_size: match plan.doubles {
                true => FloatSize::Double,
                false => FloatSize::Shortest,
            },
        },
        reliability: reliability(plan.confirmable),
        permanent: (plan.permanent.iter())
            .map(|client| (client.endpoint.clone(), client.address))
            .collect(),
        ..server::Config::default()
    };
    for report in &plan.reports {
        let base = report.of.as_ref().map(|of| of.parse()).transpose()?;
        let path = report.path.clone();
        config.report_paths.push(ReportPath { path, base });
    }
    for operation in &plan.upon_registration {
        let operation = self::operation(registry, operation)?;
        config.upon_registration.push(Scripted {
            endpoint: None,
            operation,
        });
    }
    for poll in &plan.polls {
        for operation in &poll.operations {
            config.polls.push(server::Poll {
                endpoint: poll.endpoint.clone(),
                operation: self::operation(registry, operation)?,
                first: poll.first,
                every: poll.every,
                times: poll.times.map(u64::from),
            });
        }
    }
    Ok(config)
}

fn operation(registry: &Registry, plan: &OperationPlan) -> Result<Operation> {
    let path = |text: &String| text.parse::<Path>();
    let paths = |texts: &[String]| texts.iter().map(path).collect::<Result<Vec<Path>, _>>();
    let format = None;
    Ok(match plan {
        OperationPlan::Read(at) => Operation::Read {
            path: path(at)?,
            format,
        },
        OperationPlan::ReadComposite(at) => Operation::ReadComposite {
            paths: paths(at)?,
            format,
        },
        OperationPlan::Observe(at) => Operation::Observe {
            path: path(at)?,
            format,
        },
        OperationPlan::ObserveComposite(at) => Operation::ObserveComposite {
            paths: paths(at)?,
            format,
        },
        OperationPlan::Cancel(at) => Operation::CancelObservation { paths: paths(at)? },
        OperationPlan::Discover(at) => Operation::Discover { path: path(at)? },
        OperationPlan::Delete(at) => Operation::Delete { path: path(at)? },
        OperationPlan::Write {
            path: at,
            replace,
            values,
        } => Operation::Write {
            path: path(at)?,
            mode: match replace {
                true => Mode::Replace,
                false => Mode::Update,
            },
            records: records(registry, values)?,
            format,
        },
        OperationPlan::WriteComposite(values) => Operation::WriteComposite {
            records: records(registry, values)?,
            format,
        },
        OperationPlan::Attributes { path: at, set } => Operation::WriteAttributes {
            path: path(at)?,
            attributes: set.clone(),
        },
        OperationPlan::Execute {
            path: at,
            arguments,
        } => Operation::Execute {
            path: path(at)?,
            arguments: arguments.clone(),
        },
        OperationPlan::Create {
            object,
            instance,
            values,
        } => Operation::Create {
            creation: Creation {
                object: *object,
                instance: *instance,
                records: records(registry, values)?,
            },
            format,
        },
    })
}
