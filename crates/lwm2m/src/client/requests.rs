//! Requests of servers, by method and path (LwM2M 1.1 Transport §6.4.3).

use coap::message::option;
use coap::{Code, ExchangeId, Request, Response};
use service::{Incoming, Node};
use units::SimTime;

use super::{Client, is_instance};
use crate::attributes::{Attributes, Written};
use crate::batch;
use crate::format::{self, Format, Record};
use crate::model::Version;
use crate::operations::{self, Change, Mode, Requester};
use crate::path::{Level, Path};
use crate::refusal::Refusal;
use crate::store::{Changes, StoreError};

/// The Server object's resources that are executed, and Device's.
const DISABLE: u16 = 4;
const UPDATE_TRIGGER: u16 = 8;
const BOOTSTRAP_TRIGGER: u16 = 9;

/// Paths with attributes at most, of all servers.
const MAX_ATTRIBUTES: usize = 4096;

/// A response, and what has changed by the request.
type Done = Result<(Response, Changes), Refusal>;

impl Client {
    pub(super) fn handle_incoming(
        &mut self,
        now: SimTime,
        incoming: Incoming,
        node: &mut dyn Node,
    ) {
        if self.bootstrap.is_of(incoming.from) {
            return self.handle_bootstrap(now, incoming, node);
        }
        let Some(server) = self.requester(incoming.from) else {
            let response =
                Response::diagnostic(Code::UNAUTHORIZED, "no server that this client knows");
            return node.respond(now, incoming.exchange, response);
        };
        let request = incoming.request;
        let path: Path = match request.path().parse() {
            Ok(path) => path,
            Err(error) => {
                let response = Response::diagnostic(Code::NOT_FOUND, &format!("{error}"));
                return node.respond(now, incoming.exchange, response);
            }
        };
        let observes = request.options.get_uint(option::OBSERVE) == Some(0);
        let done = match request.method {
            Code::GET if accepts(&request) == Some(Format::Link.number()) => {
                self.discover(server, path)
            }
            Code::GET | Code::FETCH if observes => {
                return self.observe(now, server, incoming.exchange, path, &request, node);
            }
            Code::GET => self.read(server, path, &request),
            Code::FETCH => self.read_composite(server, path, &request),
            Code::IPATCH => self.write_composite(server, path, &request),
            Code::PUT => self.put(server, path, &request),
            Code::POST if path.level() == Level::Object => self.create(server, path, &request),
            Code::POST if self.is_executable(&path) => {
                return self.execute(now, server, incoming.exchange, path, &request, node);
            }
            Code::POST => self.write(server, path, Mode::Update, &request),
            Code::DELETE => {
                let change = Change::new(&mut self.store, Requester::Server(server));
                change
                    .delete(path)
                    .map(|changes| (Response::new(Code::DELETED), changes))
            }
            _ => Err(Refusal::not_allowed(&path, "no operation of LwM2M")),
        };
        match done {
            Ok((response, changes)) => {
                node.respond(now, incoming.exchange, response);
                self.changed(now, &changes, node);
            }
            Err(refusal) => node.respond(now, incoming.exchange, refusal.response()),
        }
    }

    fn is_executable(&self, path: &Path) -> bool {
        let model = self.store.model(path);
        path.level() == Level::Resource && model.is_some_and(|model| model.operations.execute)
    }

    fn discover(&self, server: u16, path: Path) -> Done {
        let attached = |path: &Path| self.attributes.get(&(server, *path)).copied();
        let links = operations::discover(&self.store, Requester::Server(server), path, &attached)?;
        let mut response = Response::new(Code::CONTENT);
        response
            .options
            .push_uint(option::CONTENT_FORMAT, Format::Link.number().into());
        response.payload = links.into_bytes();
        Ok((response, Changes::default()))
    }

    fn read(&self, server: u16, path: Path, request: &Request) -> Done {
        let response = self.reading(server, path, accepts(request))?;
        Ok((response, Changes::default()))
    }

    /// The response to a Read of `path`, also as notification.
    pub(super) fn reading(
        &self,
        server: u16,
        path: Path,
        accept: Option<u16>,
    ) -> Result<Response, Refusal> {
        let who = Requester::Server(server);
        let records = operations::read(&self.store, who, path, self.config.style.float_text)?;
        let number = match accept {
            Some(number) => number,
            None => self.default_format(server, &path, &records).number(),
        };
        let format = Format::of_number(number).ok_or_else(|| unacceptable(number))?;
        let typed =
            format == Format::Cbor && batch::is_value(&path) && path.level() == Level::Resource;
        let payload = match typed {
            true => {
                let instance = path.truncated(Level::Instance);
                let values = batch::read_typed(&self.store, who, &instance)?;
                format::cbor_array(&values, self.config.style)
            }
            false => format::encode(format, &path, &records, self.config.style)?,
        };
        Ok(content(number, payload))
    }

    /// What is sent to a server that does not say what it accepts.
    fn default_format(&self, server: u16, path: &Path, records: &[Record]) -> Format {
        let one = records.len() == 1 && records.first().is_some_and(|record| record.path == *path);
        match (one, self.version(server) > Version::V1_0) {
            (true, _) => Format::Text,
            (false, true) => Format::SenmlCbor,
            (false, false) => Format::Tlv,
        }
    }

    fn read_composite(&self, server: u16, path: Path, request: &Request) -> Done {
        let paths = self.composite_paths(path, request)?;
        let response = self.composite_reading(server, &paths, accepts(request))?;
        Ok((response, Changes::default()))
    }

    /// The paths that the body of a composite names.
    pub(super) fn composite_paths(
        &self,
        path: Path,
        request: &Request,
    ) -> Result<Vec<Path>, Refusal> {
        let format = composite_format(path, request)?;
        Ok(format::decode_paths(format, &request.payload)?)
    }

    pub(super) fn composite_reading(
        &self,
        server: u16,
        paths: &[Path],
        accept: Option<u16>,
    ) -> Result<Response, Refusal> {
        let who = Requester::Server(server);
        let records =
            operations::read_composite(&self.store, who, paths, self.config.style.float_text);
        let number = accept.unwrap_or(Format::SenmlCbor.number());
        let format = Format::of_number(number).filter(|format| is_composite(*format));
        let format = format.ok_or_else(|| unacceptable(number))?;
        let payload = format::encode(format, &Path::ROOT, &records, self.config.style)?;
        Ok(content(number, payload))
    }

    fn write_composite(&mut self, server: u16, path: Path, request: &Request) -> Done {
        let format = composite_format(path, request)?;
        let records = format::decode(format, &path, &request.payload, self.store.registry())?;
        let change = Change::new(&mut self.store, Requester::Server(server));
        let changes = change.write_composite(&records)?;
        Ok((Response::new(Code::CHANGED), changes))
    }

    /// PUT: Write with a Content-Format, Write-Attributes without.
    fn put(&mut self, server: u16, path: Path, request: &Request) -> Done {
        match request.options.get(option::CONTENT_FORMAT) {
            None if request.payload.is_empty() => self.write_attributes(server, path, request),
            _ => self.write(server, path, Mode::Replace, request),
        }
    }

    fn write(&mut self, server: u16, path: Path, mode: Mode, request: &Request) -> Done {
        let format = content_format(request)?.unwrap_or(Format::Text);
        let typed =
            format == Format::Cbor && batch::is_value(&path) && path.level() == Level::Resource;
        let records = match typed {
            true => self.typed_batch(path, &request.payload)?,
            false => format::decode(format, &path, &request.payload, self.store.registry())?,
        };
        let change = Change::new(&mut self.store, Requester::Server(server));
        let changes = change.write(path, mode, &records)?;
        Ok((Response::new(Code::CHANGED), changes))
    }

    /// The values of a CBOR array by the resource instances of a batch; a hole writes nothing.
    fn typed_batch(&self, path: Path, payload: &[u8]) -> Result<Vec<Record>, Refusal> {
        let floats = self.config.style.float_text;
        let links = batch::links(&self.store, &path.truncated(Level::Instance));
        let last = links.keys().last().copied();
        // A hole between two links is one of the batch itself: nothing can be there.
        let paths =
            (0..=last.unwrap_or_default()).map(|id| links.get(&id).copied().unwrap_or(path));
        let paths: Vec<Path> = paths.filter(|_| last.is_some()).collect();
        let values = format::decode_cbor_array(payload, &paths, self.store.registry())?;
        let records = (0..=u16::MAX).zip(values).filter_map(|(id, value)| {
            let text = value?.to_text(floats);
            Some(Record::new(path.child(id)?, crate::Value::String(text)))
        });
        Ok(records.collect())
    }

    fn write_attributes(&mut self, server: u16, path: Path, request: &Request) -> Done {
        let written = Written::parse(queries(request).iter().map(String::as_str))?;
        let there = self.store.contains(&path) || self.has_value_of_batch(&path);
        if written.is_empty() {
            return Err(Refusal::bad_request(
                "neither a Content-Format nor attributes",
            ));
        }
        if path.level() == Level::Root || !there {
            return Err(Refusal::not_found(&path));
        }
        let may = is_instance(&path) || path.level() > Level::Instance;
        let who = Requester::Server(server);
        if may && !who.may(&self.store, &path, crate::access::Right::Read) {
            return Err(Refusal::unauthorized(&path));
        }
        let numeric = self
            .store
            .registry()
            .type_of(&path)
            .is_some_and(|ty| ty.is_numeric());
        if let Some(name) = written
            .of_numbers()
            .filter(|_| !numeric || path.level() < Level::Resource)
        {
            return Err(crate::attributes::AttributeError::NotNumeric { name, path }.into());
        }
        let former = self.attributes.get(&(server, path)).copied();
        if former.is_none() && self.attributes.len() >= MAX_ATTRIBUTES {
            return Err(StoreError::Full(path).into());
        }
        let attributes = former.unwrap_or_default().with(&written)?;
        match attributes == Attributes::default() {
            true => drop(self.attributes.remove(&(server, path))),
            false => drop(self.attributes.insert((server, path), attributes)),
        }
        self.attributes_changed(server, &path);
        Ok((Response::new(Code::CHANGED), Changes::default()))
    }

    /// Whether `path` is the value of a batch that is there, or an instance of it that a link stands for.
    fn has_value_of_batch(&self, path: &Path) -> bool {
        let instance = path.truncated(Level::Instance);
        let linked = |id| batch::links(&self.store, &instance).contains_key(&id);
        batch::is_value(path)
            && self.store.contains(&instance)
            && path.resource_instance_id().is_none_or(linked)
    }

    fn create(&mut self, server: u16, path: Path, request: &Request) -> Done {
        let object = path.object_id().unwrap_or_default();
        let format = content_format(request)?.unwrap_or(Format::Tlv);
        let creation =
            format::decode_create(format, object, &request.payload, self.store.registry())?;
        let change = Change::new(&mut self.store, Requester::Server(server));
        let (instance, changes) = change.create(&creation)?;
        let mut response = Response::new(Code::CREATED);
        for id in instance.ids() {
            response.options.push(option::LOCATION_PATH, id.to_string());
        }
        Ok((response, changes))
    }

    fn execute(
        &mut self,
        now: SimTime,
        server: u16,
        exchange: ExchangeId,
        path: Path,
        request: &Request,
        node: &mut dyn Node,
    ) {
        let allowed = operations::executable(&self.store, Requester::Server(server), &path);
        let allowed = allowed.and_then(|()| check_arguments(&request.payload));
        let of_server = path.object_id() == Some(crate::access::SERVER);
        let allowed = allowed.and_then(|()| match path.resource_id() {
            Some(BOOTSTRAP_TRIGGER) if of_server && !self.has_bootstrap_server() => Err(
                Refusal::not_allowed(&path, "there is no account of a bootstrap server"),
            ),
            _ => Ok(()),
        });
        let response = allowed
            .as_ref()
            .map_or_else(Refusal::response, |()| Response::new(Code::CHANGED));
        node.respond(now, exchange, response);
        if allowed.is_err() || !of_server {
            return;
        }
        match path.resource_id() {
            Some(UPDATE_TRIGGER) => self.update(now, server, node),
            Some(DISABLE) => self.disable(now, server, node),
            Some(BOOTSTRAP_TRIGGER) => self.trigger_bootstrap(now, node),
            _ => {}
        }
    }
}

/// The arguments of an Execute: `0='a',1,5='x'` (LwM2M 1.1 Core §6.3.4).
fn check_arguments(payload: &[u8]) -> Result<(), Refusal> {
    let wrong = || Refusal::bad_request("expected arguments like 0='on',1");
    let mut rest = std::str::from_utf8(payload).map_err(|_| wrong())?;
    while !rest.is_empty() {
        rest = rest
            .strip_prefix(|c: char| c.is_ascii_digit())
            .ok_or_else(wrong)?;
        if let Some(quoted) = rest.strip_prefix("='") {
            rest = quoted.split_once('\'').ok_or_else(wrong)?.1;
        }
        rest = match rest.strip_prefix(',') {
            Some(next) if !next.is_empty() => next,
            None if rest.is_empty() => rest,
            _ => return Err(wrong()),
        };
    }
    Ok(())
}

/// The format of the body of a composite, which is of the root.
fn composite_format(path: Path, request: &Request) -> Result<Format, Refusal> {
    if path != Path::ROOT {
        return Err(Refusal::not_allowed(&path, "composites are of the root"));
    }
    let format = content_format(request)?.filter(|format| is_composite(*format));
    format.ok_or_else(|| {
        Refusal::new(
            Code::UNSUPPORTED_CONTENT_FORMAT,
            "expected SenML or LwM2M CBOR",
        )
    })
}

/// Formats that name paths of several objects.
fn is_composite(format: Format) -> bool {
    matches!(
        format,
        Format::SenmlJson | Format::SenmlCbor | Format::Lwm2mCbor
    )
}

/// What a request accepts, as it says it: some numbers stand for one format.
pub(super) fn accepts(request: &Request) -> Option<u16> {
    request.options.get_uint(option::ACCEPT)?.try_into().ok()
}

/// The format of a request's payload.
pub(super) fn content_format(request: &Request) -> Result<Option<Format>, Refusal> {
    let Some(number) = request.options.get_uint(option::CONTENT_FORMAT) else {
        return Ok(None);
    };
    let format = u16::try_from(number).ok().and_then(Format::of_number);
    let unknown = || {
        let text = format!("Content-Format {number} is not known");
        Refusal::new(Code::UNSUPPORTED_CONTENT_FORMAT, text)
    };
    format.map(Some).ok_or_else(unknown)
}

pub(super) fn queries(request: &Request) -> Vec<String> {
    let queries = request.options.get_all(option::URI_QUERY);
    queries
        .map(|query| String::from_utf8_lossy(query).into_owned())
        .collect()
}

pub(super) fn content(number: u16, payload: Vec<u8>) -> Response {
    let mut response = Response::new(Code::CONTENT);
    response
        .options
        .push_uint(option::CONTENT_FORMAT, number.into());
    response.payload = payload;
    response
}

pub(super) fn unacceptable(number: u16) -> Refusal {
    Refusal::new(
        Code::NOT_ACCEPTABLE,
        format!("Content-Format {number} is not to be had of it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_digits_with_quoted_values() {
        for text in ["", "0", "0,1", "0='on'", "0='on',1,5=''"] {
            assert!(check_arguments(text.as_bytes()).is_ok(), "{text}");
        }
        for text in ["x", "0,", "0='on", "0=on", "10", "0 ,1", ",0"] {
            assert!(check_arguments(text.as_bytes()).is_err(), "{text}");
        }
    }
}
