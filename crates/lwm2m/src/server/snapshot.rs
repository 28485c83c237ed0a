//! What outlives the server's process: registrations, observations, and operations that are not over, as JSON text.
//!
//! Times in it are those of the node ([`SimTime`], nanoseconds), so that what passes while no server runs
//! counts for lifetimes. What had been sent and not answered is sent again by [`start`](service::Service::start),
//! and what is observed is observed again: the endpoint of another process does not know it. The text has no
//! events, and no polls: they begin again.

mod operation;

use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use units::{Rng, SimTime};

use super::jobs::{Job, Observed};
use super::registration::{Composite, Description, Entry, Registration, RegistrationId};
use super::{Config, Operation, OperationId, Server};

/// A text that is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("snapshot of an LwM2M server: {place}: expected {expected}")]
pub struct SnapshotError {
    /// Where in it.
    pub place: String,
    /// What was expected there.
    pub expected: &'static str,
}

type Result<T> = std::result::Result<T, SnapshotError>;

fn error<T>(place: &str, expected: &'static str) -> Result<T> {
    let place = place.to_owned();
    Err(SnapshotError { place, expected })
}

impl Server {
    /// What [`Server::restore`] makes a server of.
    pub fn snapshot(&self) -> String {
        let registrations: Vec<Json> = (self.registrations.iter())
            .map(|client| self.registration_json(client))
            .collect();
        let observations: Vec<Json> = (self.observations.iter())
            .map(|(id, observed)| {
                json!({
                    "id": id.0,
                    "endpoint": &*observed.endpoint,
                    "operation": operation::to_json(&observed.operation),
                })
            })
            .collect();
        json!({
            "next_operation": self.next_operation,
            "registrations": registrations,
            "observations": observations,
        })
        .to_string()
    }

    fn registration_json(&self, client: &Registration) -> Json {
        let of = |job: &Job, id: OperationId| {
            json!({
                "id": id.0,
                "operation": operation::to_json(&job.operation),
                "expires": self.expiries.get(id).map(SimTime::as_nanos),
            })
        };
        let begun = client.under_way.iter().chain(&client.queue);
        let begun = begun.filter_map(|id| {
            let job = self.jobs.get(id).filter(|job| !job.is_again())?;
            Some(of(job, *id))
        });
        let script = client.script.iter();
        let script = script.map(|(id, operation)| {
            json!({"id": id.0, "operation": operation::to_json(operation), "expires": null})
        });
        let said = &client.description;
        let objects: Vec<Json> = (said.objects.iter())
            .map(|entry| json!([entry.path.to_string(), entry.version.map(|v| v.to_string())]))
            .collect();
        let reports: Map<String, Json> = (client.reports.iter())
            .map(|(instance, base)| (instance.to_string(), json!(base.to_string())))
            .collect();
        json!({
            "id": client.id.to_string(),
            "endpoint": &*client.endpoint,
            "address": client.address.to_string(),
            "lifetime_s": said.lifetime.map(|lifetime| lifetime.as_secs()),
            "version": said.version.to_string(),
            "queue_mode": said.queue_mode,
            "binding": said.binding,
            "sms": said.sms,
            "root": said.root,
            "formats": said.formats,
            "objects": objects,
            "reports": reports,
            "since": client.since.as_nanos(),
            "awake_until": client.awake_until.as_nanos(),
            "ends": self.registrations.ends(client.id).map(SimTime::as_nanos),
            "fetch": knowledge(client.fetch),
            "patch": knowledge(client.patch),
            "operations": begun.chain(script).collect::<Vec<Json>>(),
        })
    }

    /// The server whose snapshot that is. It goes on when it is started.
    ///
    /// # Errors
    /// Where the text is none.
    pub fn restore(config: Config, rng: Rng, snapshot: &str) -> Result<Server> {
        let json: Json = serde_json::from_str(snapshot).or_else(|e| {
            let place = format!("line {}, column {}", e.line(), e.column());
            error(&place, "JSON")
        })?;
        let whole = Fields::of(&json, "the whole")?;
        let mut server = Server::new(config, rng);
        server.next_operation = whole.number("next_operation")?;
        for json in whole.list("registrations")? {
            server.restore_registration(&Fields::of(json, "registrations")?)?;
        }
        for json in whole.list("observations")? {
            server.restore_observation(&Fields::of(json, "observations")?)?;
        }
        Ok(server)
    }

    fn restore_registration(&mut self, fields: &Fields<'_>) -> Result<()> {
        let id: RegistrationId = fields.parsed("id", "ten hexadecimal digits")?;
        let endpoint: Arc<str> = fields.text("endpoint")?.into();
        let address: SocketAddrV6 = fields.parsed("address", "an IPv6 address and a port")?;
        if self.registrations.get(id).is_some()
            || self.registrations.of_endpoint(&endpoint).is_some()
        {
            return error(fields.place, "an ID and an endpoint that are not there yet");
        }
        let since = SimTime::from_nanos(fields.number("since")?);
        let description = description(fields)?;
        let queue_mode = description.queue_mode;
        (self.registrations).insert(since, id, Arc::clone(&endpoint), address, description);
        if let Some(ends) = fields.optional_number("ends")? {
            self.registrations.end_at(id, SimTime::from_nanos(ends));
        }
        let mut queue = Vec::new();
        for json in fields.list("operations")? {
            let fields = Fields::of(json, "operations")?;
            let (job_id, operation) = self.operation_of(&fields)?;
            let job = Job::new(id, Arc::clone(&endpoint), operation);
            if self.jobs.insert(job_id, job).is_some() {
                return error("operations", "IDs that are there once");
            }
            let expires = fields.optional_number("expires")?;
            if let Some(at) = expires.filter(|_| queue_mode) {
                self.expiries.set(job_id, SimTime::from_nanos(at));
            }
            queue.push(job_id);
        }
        let (fetch, patch) = (fields.knowledge("fetch")?, fields.knowledge("patch")?);
        let awake_until = SimTime::from_nanos(fields.number("awake_until")?);
        if let Some(client) = self.registrations.get_mut(id) {
            (client.fetch, client.patch) = (fetch, patch);
            client.awake_until = awake_until;
            client.queue = queue.into();
            for (instance, base) in fields.map("reports")? {
                let instance = instance
                    .parse()
                    .or_else(|_| error("reports", "instances"))?;
                let base = base.as_str().and_then(|text| text.parse().ok());
                let base = base.map_or_else(|| error("reports", "paths like /3/0"), Ok)?;
                client.reports.insert(instance, base);
            }
        }
        Ok(())
    }

    fn restore_observation(&mut self, fields: &Fields<'_>) -> Result<()> {
        let endpoint = fields.text("endpoint")?;
        let (id, operation) = self.operation_of(fields)?;
        let known = self
            .registrations
            .of_endpoint(endpoint)
            .map(|known| known.id);
        let client = known.and_then(|known| self.registrations.get_mut(known));
        let Some(client) = client.filter(|_| operation.observes().is_some()) else {
            return error("observations", "those of an endpoint that is registered");
        };
        client.observed.push(id);
        let observed = Observed {
            registration: client.id,
            endpoint: Arc::clone(&client.endpoint),
            operation,
            calls: Vec::new(),
        };
        match self.observations.insert(id, observed) {
            None => Ok(()),
            Some(_) => error("observations", "IDs that are there once"),
        }
    }

    fn operation_of(&self, fields: &Fields<'_>) -> Result<(OperationId, Arc<Operation>)> {
        let id = fields.number("id")?;
        if id > self.next_operation {
            return error(fields.place, "an ID up to next_operation");
        }
        let operation = operation::of_json(fields.get("operation")?)?;
        Ok((OperationId(id), Arc::new(operation)))
    }
}

fn description(fields: &Fields<'_>) -> Result<Description> {
    let mut objects = Vec::new();
    for json in fields.list("objects")? {
        let entry = json.as_array().and_then(|pair| {
            let version = pair.get(1)?;
            let version = match version.as_str() {
                Some(text) => Some(text.parse().ok()?),
                None => None,
            };
            let path = pair.first()?.as_str()?.parse().ok()?;
            Some(Entry { path, version })
        });
        objects.push(entry.map_or_else(|| error("objects", "pairs like [\"/3/0\", null]"), Ok)?);
    }
    let formats = fields.list("formats")?.iter();
    let format = |json: &Json| json.as_u64().and_then(|n| u16::try_from(n).ok());
    let formats: Option<Vec<u16>> = formats.map(format).collect();
    Ok(Description {
        lifetime: fields
            .optional_number("lifetime_s")?
            .map(Duration::from_secs),
        version: fields.parsed("version", "a version like 1.1")?,
        queue_mode: fields.flag("queue_mode")?,
        binding: fields.text("binding")?.to_owned(),
        sms: fields.get("sms")?.as_str().map(str::to_owned),
        objects,
        root: fields.text("root")?.to_owned(),
        formats: formats.map_or_else(|| error("formats", "numbers of 16 bits"), Ok)?,
    })
}

fn knowledge(composite: Composite) -> &'static str {
    match composite {
        Composite::Untried => "untried",
        Composite::Known => "known",
        Composite::Unknown => "unknown",
    }
}

/// A JSON object, and what it is.
struct Fields<'a> {
    fields: &'a Map<String, Json>,
    place: &'a str,
}

impl<'a> Fields<'a> {
    fn of(json: &'a Json, place: &'a str) -> Result<Fields<'a>> {
        match json.as_object() {
            Some(fields) => Ok(Fields { fields, place }),
            None => error(place, "a JSON object"),
        }
    }

    fn get(&self, name: &str) -> Result<&'a Json> {
        let found = self.fields.get(name);
        found.map_or_else(|| error(&self.at(name), "a value"), Ok)
    }

    fn at(&self, name: &str) -> String {
        format!("{name} of {}", self.place)
    }

    fn number(&self, name: &str) -> Result<u64> {
        let number = self.get(name)?.as_u64();
        number.map_or_else(|| error(&self.at(name), "a whole number"), Ok)
    }

    fn optional_number(&self, name: &str) -> Result<Option<u64>> {
        match self.get(name)? {
            Json::Null => Ok(None),
            _ => self.number(name).map(Some),
        }
    }

    fn flag(&self, name: &str) -> Result<bool> {
        let flag = self.get(name)?.as_bool();
        flag.map_or_else(|| error(&self.at(name), "true or false"), Ok)
    }

    fn text(&self, name: &str) -> Result<&'a str> {
        let text = self.get(name)?.as_str();
        text.map_or_else(|| error(&self.at(name), "a string"), Ok)
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str, expected: &'static str) -> Result<T> {
        let parsed = self.text(name)?.parse();
        parsed.or_else(|_| error(&self.at(name), expected))
    }

    fn list(&self, name: &str) -> Result<&'a Vec<Json>> {
        let list = self.get(name)?.as_array();
        list.map_or_else(|| error(&self.at(name), "a list"), Ok)
    }

    fn map(&self, name: &str) -> Result<&'a Map<String, Json>> {
        let map = self.get(name)?.as_object();
        map.map_or_else(|| error(&self.at(name), "a JSON object"), Ok)
    }

    fn knowledge(&self, name: &str) -> Result<Composite> {
        let all = [Composite::Untried, Composite::Known, Composite::Unknown];
        let text = self.text(name)?;
        let found = all.into_iter().find(|known| knowledge(*known) == text);
        found.map_or_else(|| error(&self.at(name), "untried, known or unknown"), Ok)
    }
}
