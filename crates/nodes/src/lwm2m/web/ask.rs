//! What somebody asks by HTTP, in the server's words: pure.

use axum::http::{Method, StatusCode};
use lwm2m::attributes::Written;
use lwm2m::format::Creation;
use lwm2m::operations::Mode;
use lwm2m::path::Level;
use lwm2m::server::Operation;
use lwm2m::{Format, Path, Record, Registry, Type, Value};
use serde_json::Value as Json;
use topology::kind::lwm2m::FormatWord;

use crate::web::{Request, Response};

/// What is wanted of a server.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wish {
    /// All registrations.
    Clients,
    /// That of an endpoint.
    Client(String),
    /// What happens, from after this event on.
    Events(Option<u64>),
    /// An operation on an endpoint.
    Operate(String, Operation),
}

/// Bytes of a Uri-Query (RFC 7252 §5.10).
const MAX_QUERY: usize = 255;

/// What there is, for who asked for something else.
const THERE_IS: &str = "there is no such thing: expected /clients, /clients/ENDPOINT, /clients/ENDPOINT/3/0/9 or /events";

impl Wish {
    /// What `request` wants; values have the types of `registry`.
    ///
    /// # Errors
    /// The answer that says what is wrong; where not `writes`, also to what would change something.
    pub(super) fn of(
        request: &Request,
        registry: &Registry,
        writes: bool,
    ) -> Result<Wish, Response> {
        let reads = request.method == Method::GET;
        let there_is_none = || problem(StatusCode::NOT_FOUND, THERE_IS);
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let (endpoint, below) = match path.as_slice() {
            ["clients"] if reads => return known_only(request, &[]).map(|()| Wish::Clients),
            ["events"] if reads => {
                return known_only(request, &[]).map(|()| Wish::Events(request.last_event));
            }
            ["clients"] | ["events"] => return Err(not_allowed("GET")),
            ["clients", endpoint, below @ ..] => (*endpoint, below),
            _ => return Err(there_is_none()),
        };
        let path = match below {
            [] => Path::ROOT,
            ids => format!("/{}", ids.join("/")).parse().map_err(bad)?,
        };
        if !reads && !writes {
            let reason = "this interface only reads: `http: { port: …, write: true }` in the topology lets it write";
            return Err(problem(StatusCode::FORBIDDEN, reason));
        }
        let asked = Asked {
            request,
            registry,
            path,
        };
        let operation = match (request.method.as_str(), path.level()) {
            ("GET", Level::Root) if !request.query.iter().any(|(key, _)| key == "path") => {
                return known_only(request, &[]).map(|()| Wish::Client(endpoint.to_owned()));
            }
            ("GET", Level::Root) => asked.composite(),
            ("GET", _) => asked.read(),
            ("PATCH", Level::Root) => asked.write_composite(),
            ("PUT", level) if level > Level::Root && request.body.is_empty() => asked.attributes(),
            ("PUT", level) if level > Level::Object => asked.write(Mode::Replace),
            ("POST", Level::Object) => asked.create(),
            ("POST", Level::Instance) => asked.write(Mode::Update),
            ("POST", Level::Resource) => asked.execute(),
            ("DELETE", level) if level > Level::Object => asked.delete(),
            (_, Level::Root) => return Err(not_allowed("GET or PATCH")),
            (_, Level::Object) => return Err(not_allowed("GET, POST or, with attributes, PUT")),
            (_, Level::ResourceInstance) => return Err(not_allowed("GET, PUT or DELETE")),
            _ => return Err(not_allowed("GET, PUT, POST or DELETE")),
        };
        operation.map(|operation| Wish::Operate(endpoint.to_owned(), operation))
    }
}

/// A request for something of a client.
struct Asked<'a> {
    request: &'a Request,
    registry: &'a Registry,
    path: Path,
}

impl Asked<'_> {
    fn read(&self) -> Result<Operation, Response> {
        known_only(self.request, &["format", "discover"])?;
        let (path, format) = (self.path, self.format()?);
        let discovers = self.request.query.iter().any(|(key, _)| key == "discover");
        Ok(match (self.request.follows, discovers) {
            (false, true) => Operation::Discover { path },
            (true, false) => Operation::Observe { path, format },
            (false, false) => Operation::Read { path, format },
            (true, true) => return Err(bad("what can be discovered is not observed")),
        })
    }

    fn composite(&self) -> Result<Operation, Response> {
        known_only(self.request, &["format", "path"])?;
        let format = self.format()?;
        let named = self.request.query.iter().filter(|(key, _)| key == "path");
        let paths: Result<Vec<Path>, _> = named.map(|(_, path)| path.parse()).collect();
        let paths = paths.map_err(bad)?;
        Ok(match self.request.follows {
            true => Operation::ObserveComposite { paths, format },
            false => Operation::ReadComposite { paths, format },
        })
    }

    fn write(&self, mode: Mode) -> Result<Operation, Response> {
        known_only(self.request, &["format"])?;
        Ok(Operation::Write {
            path: self.path,
            mode,
            records: self.records(&self.path)?,
            format: self.format()?,
        })
    }

    fn write_composite(&self) -> Result<Operation, Response> {
        known_only(self.request, &["format"])?;
        Ok(Operation::WriteComposite {
            records: self.records(&Path::ROOT)?,
            format: self.format()?,
        })
    }

    /// The query is the attributes: `PUT …?pmin=10&pmax=60`; an empty value takes one away.
    fn attributes(&self) -> Result<Operation, Response> {
        let said = self.request.query.iter();
        let attributes: Vec<String> = said
            .map(|(name, value)| match value.as_str() {
                "" => name.clone(),
                value => format!("{name}={value}"),
            })
            .collect();
        if attributes.is_empty() {
            return Err(bad(
                "expected a value to write in the body, or attributes like ?pmin=10&gt=30",
            ));
        }
        if let Some(long) = attributes.iter().find(|a| a.len() > MAX_QUERY) {
            let begins: String = long.chars().take(16).collect();
            let reason = format!("`{begins}…`: expected at most {MAX_QUERY} bytes");
            return Err(bad(reason));
        }
        Written::parse(attributes.iter().map(String::as_str)).map_err(bad)?;
        let path = self.path;
        Ok(Operation::WriteAttributes { path, attributes })
    }

    fn create(&self) -> Result<Operation, Response> {
        known_only(self.request, &["format", "instance"])?;
        let object = self.path.object_id().unwrap_or_default();
        let instance = self.query("instance").map(str::parse).transpose();
        let instance: Option<u16> = instance.map_err(|_| bad("`instance`: expected an ID"))?;
        let base = Path::instance(object, instance.unwrap_or_default());
        if base.is_reserved() {
            return Err(bad("`instance`: 65535 names no instance"));
        }
        let records = match self.request.body.as_slice() {
            [] => Vec::new(),
            _ => self.records(&base)?,
        };
        let creation = Creation {
            object,
            instance,
            records,
        };
        let format = self.format()?;
        Ok(Operation::Create { creation, format })
    }

    fn execute(&self) -> Result<Operation, Response> {
        known_only(self.request, &[])?;
        Ok(Operation::Execute {
            path: self.path,
            arguments: self.text()?.to_owned(),
        })
    }

    fn delete(&self) -> Result<Operation, Response> {
        known_only(self.request, &[])?;
        Ok(Operation::Delete { path: self.path })
    }

    fn query(&self, key: &str) -> Option<&str> {
        let mut query = self.request.query.iter();
        let found = query.find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// The format that is asked for, by the topology's words for them or by number.
    fn format(&self) -> Result<Option<Format>, Response> {
        let Some(text) = self.query("format") else {
            return Ok(None);
        };
        let by_word = serde_json::from_value::<FormatWord>(text.into());
        let by_number = || text.parse().ok().and_then(Format::of_number);
        let format = by_word.map(FormatWord::format).ok().or_else(by_number);
        let expected = "`format`: expected text, tlv, json, senml-json, senml-cbor, cbor, lwm2m-cbor or a Content-Format of these";
        format.map(Some).ok_or_else(|| bad(expected))
    }

    /// The values of the body, below `base`.
    fn records(&self, base: &Path) -> Result<Vec<Record>, Response> {
        if self.request.content_type.as_deref() == Some("application/json") {
            let json: Json = serde_json::from_slice(&self.request.body).map_err(bad)?;
            let mut records = Vec::new();
            add(&mut records, self.registry, base, &json).map_err(bad)?;
            return Ok(records);
        }
        if base.level() < Level::Resource {
            let reason = "expected `Content-Type: application/json` and values by their IDs, `{\"5700\": 21.5}`";
            return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        let ty = self.registry.type_of(base).unwrap_or(Type::String);
        let value = Value::from_text(self.text()?, ty).map_err(bad)?;
        Ok(vec![Record::new(*base, value)])
    }

    /// The body as text, as which curl's `-d` sends what it is given, too.
    fn text(&self) -> Result<&str, Response> {
        let kind = self.request.content_type.as_deref();
        match kind {
            None | Some("text/plain" | "application/x-www-form-urlencoded") => {}
            Some(_) => {
                let reason = "expected a body of text/plain, or of a value application/json";
                return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
            }
        }
        std::str::from_utf8(&self.request.body).map_err(bad)
    }
}

/// Adds the values of `json` at and below `base`: an object has IDs, or paths of them, as keys.
fn add(
    records: &mut Vec<Record>,
    registry: &Registry,
    base: &Path,
    json: &Json,
) -> Result<(), String> {
    let text = match json {
        Json::Object(entries) => {
            for (key, json) in entries {
                let above = match base.level() {
                    Level::Root => String::new(),
                    _ => base.to_string(),
                };
                let path = format!("{above}/{}", key.strip_prefix('/').unwrap_or(key));
                let path: Path = path
                    .parse()
                    .map_err(|e: lwm2m::path::PathError| e.to_string())?;
                add(records, registry, &path, json)?;
            }
            return Ok(());
        }
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        // LwM2M's words for these are 1 and 0 (LwM2M 1.1 Core appendix C).
        Json::Bool(yes) => u8::from(*yes).to_string(),
        Json::Null | Json::Array(_) => {
            return Err(format!(
                "{base}: expected a text, a number, true, false or values by their IDs"
            ));
        }
    };
    if base.level() < Level::Resource {
        return Err(format!(
            "{base} is no resource: expected values by their IDs, like {{\"5700\": 21.5}}"
        ));
    }
    let ty = registry.type_of(base).unwrap_or(match json {
        Json::Bool(_) => Type::Boolean,
        Json::Number(number) if number.is_f64() => Type::Float,
        Json::Number(_) => Type::Integer,
        _ => Type::String,
    });
    let value = Value::from_text(&text, ty).map_err(|error| format!("{base}: {error}"))?;
    records.push(Record::new(*base, value));
    Ok(())
}

/// Refuses what a query has beside `known`: a word that is misspelt would be passed over.
fn known_only(request: &Request, known: &[&str]) -> Result<(), Response> {
    let unknown = request
        .query
        .iter()
        .find(|(key, _)| !known.contains(&key.as_str()));
    match unknown {
        None => Ok(()),
        Some((key, _)) if known.is_empty() => {
            Err(bad(format!("`{key}`: no query is expected here")))
        }
        Some((key, _)) => Err(bad(format!("`{key}`: expected {}", known.join(", ")))),
    }
}

fn bad(reason: impl ToString) -> Response {
    problem(StatusCode::BAD_REQUEST, &reason.to_string())
}

fn not_allowed(expected: &str) -> Response {
    let reason = format!("this cannot be done here: expected {expected}");
    problem(StatusCode::METHOD_NOT_ALLOWED, &reason)
}

fn problem(status: StatusCode, reason: &str) -> Response {
    Response::problem(status, reason)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    fn request(method: Method, target: &str) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (key, value) = part.split_once('=').unwrap_or((part, ""));
                (key.to_owned(), value.to_owned())
            });
        Request {
            method,
            uri: target.parse().unwrap(),
            headers: HeaderMap::new(),
            path: path[1..].split('/').map(str::to_owned).collect(),
            query: query.collect(),
            content_type: None,
            follows: false,
            last_event: None,
            body: Vec::new(),
        }
    }

    fn with(method: Method, target: &str, kind: &str, body: &str) -> Request {
        Request {
            content_type: Some(kind.into()),
            body: body.into(),
            ..request(method, target)
        }
    }

    fn of(request: &Request) -> Result<Wish, u16> {
        let wish = Wish::of(request, &Registry::built_in(), true);
        wish.map_err(|refusal| refusal.status.as_u16())
    }

    fn done(request: &Request) -> Operation {
        match of(request) {
            Ok(Wish::Operate(endpoint, operation)) if endpoint == "a" => operation,
            other => panic!("{other:?}"),
        }
    }

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_asked_is_an_operation_by_method_and_path() {
        let get = |target| request(Method::GET, target);
        assert_eq!(of(&get("/clients")), Ok(Wish::Clients));
        assert_eq!(of(&get("/clients/a")), Ok(Wish::Client("a".into())));
        let read = Operation::Read {
            path: path("/3303/0/5700"),
            format: Some(Format::Tlv),
        };
        assert_eq!(done(&get("/clients/a/3303/0/5700?format=tlv")), read);
        assert_eq!(done(&get("/clients/a/3303/0/5700?format=11542")), read);
        let discover = Operation::Discover { path: path("/3") };
        assert_eq!(done(&get("/clients/a/3?discover")), discover);
        let observed = Request {
            follows: true,
            ..get("/clients/a/3303/0/5700")
        };
        assert_eq!(
            done(&observed).observes(),
            Some(&[path("/3303/0/5700")][..])
        );
        let several = done(&get("/clients/a?path=/3/0/9&path=/3303/0"));
        assert_eq!(several.to_string(), "Read-Composite /3/0/9 /3303/0");
        let delete = request(Method::DELETE, "/clients/a/3303/0");
        assert_eq!(done(&delete).name(), "Delete");
        let execute = with(Method::POST, "/clients/a/3/0/4", "text/plain", "0='x'");
        let arguments = "0='x'".to_owned();
        let path = path("/3/0/4");
        assert_eq!(done(&execute), Operation::Execute { path, arguments });
        let attributes = request(Method::PUT, "/clients/a/3303/0/5700?pmin=10&pmax");
        let Operation::WriteAttributes { attributes, .. } = done(&attributes) else {
            panic!("no attributes");
        };
        assert_eq!(attributes, ["pmin=10", "pmax"]);
    }

    fn written(request: &Request) -> Vec<(String, Value)> {
        let records = match done(request) {
            Operation::Write { records, .. } | Operation::WriteComposite { records, .. } => records,
            Operation::Create { creation, .. } => creation.records,
            other => panic!("{other}"),
        };
        let pair = |record: Record| (record.path.to_string(), record.value.unwrap());
        records.into_iter().map(pair).collect()
    }

    #[test]
    fn values_have_the_types_of_their_resources() {
        let one = with(Method::PUT, "/clients/a/3303/0/5700", "text/plain", "21.5");
        assert_eq!(written(&one), [("/3303/0/5700".into(), Value::Float(21.5))]);
        let json = |target, body| with(Method::PUT, target, "application/json", body);
        let one = json("/clients/a/3303/0/5700", "21");
        assert_eq!(written(&one), [("/3303/0/5700".into(), Value::Float(21.0))]);
        let all = json("/clients/a/1/0", "{\"1\": 300, \"6\": true, \"7\": \"U\"}");
        let expected = [
            ("/1/0/1".into(), Value::Integer(300)),
            ("/1/0/6".into(), Value::Boolean(true)),
            ("/1/0/7".into(), Value::String("U".into())),
        ];
        assert_eq!(written(&all), expected);
        let nested = json("/clients/a/2346/0", "{\"5913\": {\"0\": \"/3/0/9\"}}");
        assert_eq!(written(&nested)[0].0, "/2346/0/5913/0");
        let new = with(
            Method::POST,
            "/clients/a/3303?instance=4",
            "application/json",
            "{\"5700\": 1}",
        );
        assert_eq!(written(&new), [("/3303/4/5700".into(), Value::Float(1.0))]);
        let several = with(
            Method::PATCH,
            "/clients/a",
            "application/json",
            "{\"/1/0/6\": false, \"33000\": {\"0\": {\"1\": 2.5}}}",
        );
        let expected = [
            ("/1/0/6".into(), Value::Boolean(false)),
            // Of an object that nobody knows.
            ("/33000/0/1".into(), Value::Float(2.5)),
        ];
        assert_eq!(written(&several), expected);
    }

    #[test]
    fn nothing_is_written_unless_that_is_allowed() {
        for method in [Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
            for target in ["/clients/a", "/clients/a/3303/0/5700", "/clients/a/3303"] {
                let request = with(method.clone(), target, "text/plain", "1");
                let refused = Wish::of(&request, &Registry::built_in(), false).unwrap_err();
                assert_eq!(refused.status, StatusCode::FORBIDDEN, "{request:?}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_status() {
        let get = |target| of(&request(Method::GET, target)).unwrap_err();
        assert_eq!(get("/"), 404);
        assert_eq!(get("/nodes"), 404);
        assert_eq!(get("/clients/a/x"), 400);
        assert_eq!(get("/clients/a/3/0/9/0/0"), 400);
        assert_eq!(get("/clients?format=tlv"), 400);
        assert_eq!(get("/clients/a/3?form=tlv"), 400);
        assert_eq!(get("/clients/a/3?format=xml"), 400);
        assert_eq!(get("/clients/a?path=3"), 400);
        let sent = |method, target, kind, body| of(&with(method, target, kind, body)).unwrap_err();
        assert_eq!(sent(Method::PUT, "/clients", "text/plain", "1"), 405);
        assert_eq!(sent(Method::POST, "/clients/a", "text/plain", "1"), 405);
        assert_eq!(sent(Method::DELETE, "/clients/a/3", "text/plain", ""), 405);
        assert_eq!(
            sent(Method::PUT, "/clients/a/3303/0/5700", "text/plain", "warm"),
            400
        );
        assert_eq!(
            sent(Method::PUT, "/clients/a/3303/0/5700", "image/png", "1"),
            415
        );
        assert_eq!(
            sent(Method::PUT, "/clients/a/3303/0", "text/plain", "1"),
            415
        );
        assert_eq!(
            sent(Method::PUT, "/clients/a/3303/0", "application/json", "1"),
            400
        );
        assert_eq!(
            sent(
                Method::PUT,
                "/clients/a/3303/0",
                "application/json",
                "{\"5700\": [1]}"
            ),
            400
        );
        assert_eq!(
            sent(Method::PUT, "/clients/a/3303/0", "application/json", "{"),
            400
        );
        assert_eq!(
            sent(Method::PUT, "/clients/a/3303/0/5700", "text/plain", ""),
            400
        );
        assert_eq!(
            sent(
                Method::PUT,
                "/clients/a/3303/0/5700?pmax=x",
                "text/plain",
                ""
            ),
            400
        );
    }
}
