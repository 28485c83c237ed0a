//! LwM2M clients and servers: the plan in the words of their cores, and a server's log.

use std::collections::BTreeMap;
use std::net::SocketAddrV6;

use anyhow::{Context, Result};
use coap::Reliability;
use coap::link::Link;
use coap::message::PORT;
use lwm2m::client::{Account, Client, Config};
use lwm2m::format::{Creation, FloatSize, Style};
use lwm2m::operations::Mode;
use lwm2m::path::Level;
use lwm2m::server::{self, Event, Operation, ReadFormat, ReportPath, Scripted, Server};
use lwm2m::value::FloatText;
use lwm2m::{Path, Record, Value};
use service::sensors::{Changes, Feed};
use service::{CallId, Incoming, Node, Outcome, Reach, Report, Service, Tally};
use topology::kind::lwm2m::client::{ChangePlan, ClientPlan};
use topology::kind::lwm2m::operation::OperationPlan;
use topology::kind::lwm2m::server::ServerPlan;
use topology::kind::lwm2m::{Floats, FormatWord, ValuePlan, registry};
use units::{Rng, SimTime};

use crate::services::source;

/// Objects that every client here has beside those of its values: Access Control, Batch and Notify.
const OBJECTS: [u16; 3] = [2, 2346, 2347];

/// The client of a node.
///
/// # Errors
/// When a value is none of its resource.
pub(crate) fn client(plan: &ClientPlan, mut stream: impl FnMut(&str) -> Rng) -> Result<Client> {
    let accounts = (1..).zip(&plan.servers).map(|(server, account)| Account {
        server,
        address: SocketAddrV6::new(account.address, PORT, 0, 0),
        lifetime: plan.lifetime,
        pmin: None,
        pmax: None,
    });
    let accounts: Vec<Account> = accounts.collect();
    let values = values(&plan.values)?;
    let objects: Vec<u16> = OBJECTS
        .into_iter()
        .chain(plan.objects.iter().copied())
        .collect();
    let tree = Client::tree(registry().clone(), &accounts, &objects)?;
    let versions = plan.versions.iter().map(|version| version.parse());
    let config = Config {
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
        located: plan
            .servers
            .iter()
            .filter(|a| a.located)
            .map(|a| a.address)
            .collect(),
        sends: Vec::new(),
        epoch_s: None,
    };
    let mut client = Client::new(config, tree, stream("client"), false);
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
    client.share().context("access of several servers")?;
    for change in &plan.changes {
        let (path, feed) =
            feed(change, &mut stream).with_context(|| format!("changes of {}", change.path))?;
        client = client.with_feed(path, feed);
    }
    Ok(client)
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
fn values(plans: &[ValuePlan]) -> Result<Vec<(Path, Value)>> {
    let value = |plan: &ValuePlan| {
        let path: Path = plan.path.parse()?;
        let ty = registry()
            .type_of(&path)
            .with_context(|| format!("{path} has no value"))?;
        let value =
            Value::from_text(&plan.value, ty).with_context(|| format!("the value of {path}"))?;
        Ok((path, value))
    };
    plans.iter().map(value).collect()
}

fn records(plans: &[ValuePlan]) -> Result<Vec<Record>> {
    let values = values(plans)?.into_iter();
    Ok(values
        .map(|(path, value)| Record::new(path, value))
        .collect())
}

/// The server of a node. `permanent`: clients that are asked at a permanent address, by their endpoint names.
///
/// # Errors
/// When a path or a value is none.
pub(crate) fn server(plan: &ServerPlan, rng: Rng) -> Result<Told> {
    let mut config = server::Config {
        registry: (**registry()).clone(),
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
        reliability: match plan.confirmable {
            true => Reliability::Confirmable,
            false => Reliability::NonConfirmable,
        },
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
        let operation = self::operation(operation)?;
        config.upon_registration.push(Scripted {
            endpoint: None,
            operation,
        });
    }
    for poll in &plan.polls {
        for operation in &poll.operations {
            config.polls.push(server::Poll {
                endpoint: poll.endpoint.clone(),
                operation: self::operation(operation)?,
                first: poll.first,
                every: poll.every,
                times: poll.times.map(u64::from),
            });
        }
    }
    Ok(Told(Server::new(config, rng)))
}

fn operation(plan: &OperationPlan) -> Result<Operation> {
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
            records: records(values)?,
            format,
        },
        OperationPlan::WriteComposite(values) => Operation::WriteComposite {
            records: records(values)?,
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
                records: records(values)?,
            },
            format,
        },
    })
}

/// A server whose events are in the log of its node.
#[derive(Debug)]
pub(crate) struct Told(Server);

impl Told {
    fn tell(&mut self) {
        while let Some(event) = self.0.poll_event() {
            match &event {
                Event::Refused { from, code, reason } => {
                    tracing::warn!(%from, %code, %reason, "refused");
                }
                Event::Done {
                    endpoint, outcome, ..
                } => {
                    tracing::info!(%endpoint, ?outcome, "operation");
                }
                other => tracing::info!(?other, "LwM2M"),
            }
        }
    }
}

impl Service for Told {
    fn start(&mut self, now: SimTime, node: &mut dyn Node) {
        self.0.start(now, node);
    }

    fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        self.0.poll_timeout(reach)
    }

    fn handle_timeout(&mut self, now: SimTime, reach: Reach, node: &mut dyn Node) {
        self.0.handle_timeout(now, reach, node);
        self.tell();
    }

    fn serves(&self, path: &str) -> bool {
        self.0.serves(path)
    }

    fn links(&self) -> Vec<Link> {
        self.0.links()
    }

    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        self.0.handle_request(now, incoming, node);
        self.tell();
    }

    fn handle_outcome(
        &mut self,
        now: SimTime,
        call: CallId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        self.0.handle_outcome(now, call, outcome, node);
        self.tell();
    }

    fn drain(&mut self, now: SimTime, node: &mut dyn Node) {
        self.0.drain(now, node);
        self.tell();
    }

    fn is_drained(&self) -> bool {
        self.0.is_drained()
    }

    fn tally(&self) -> Tally {
        self.0.tally()
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.0.poll_report()
    }
}
