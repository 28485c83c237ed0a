//! What a server knows and tells, as JSON, and what became of an operation, as a status of HTTP: pure.

use axum::http::StatusCode;
use lwm2m::format::Record;
use lwm2m::server::{Content, Event, Failure, OperationId, Outcome, Registration};
use lwm2m::value::FloatText;
use lwm2m::{Format, Value};
use serde_json::{Map, Value as Json, json};
use topology::scalar::to_hex;
use units::SimTime;

use crate::web::status;

/// A registration, as it is `now`; it ends then if nothing is heard.
pub(super) fn client(client: &Registration, ends: Option<SimTime>, now: SimTime) -> Json {
    let said = &client.description;
    let objects = said.objects.iter().map(|entry| match entry.version {
        None => json!({ "path": entry.path.to_string() }),
        Some(version) => json!({ "path": entry.path.to_string(), "version": version.to_string() }),
    });
    json!({
        "endpoint": &*client.endpoint,
        "registration": client.id.to_string(),
        "address": client.address.to_string(),
        "version": said.version.to_string(),
        "binding": said.binding,
        "sms": said.sms,
        "lifetime_s": said.lifetime.map(|lifetime| lifetime.as_secs()),
        "since_ns": client.since.as_nanos(),
        "ends_ns": ends.map(SimTime::as_nanos),
        "queue": {
            "mode": said.queue_mode,
            "awake": client.is_awake(now),
            "waiting": client.queue_length(),
        },
        "root": said.root,
        "formats": said.formats,
        "composite": !client.lacks_composites(),
        "objects": Json::Array(objects.collect()),
    })
}

fn value(value: &Value) -> Json {
    match value {
        Value::Integer(n) | Value::Time(n) => json!(n),
        Value::Unsigned(n) => json!(n),
        Value::Float(x) => json!(x),
        Value::Boolean(yes) => json!(yes),
        other => json!(other.to_text(FloatText::Shortest)),
    }
}

fn record(record: &Record) -> Json {
    let mut json = Map::new();
    json.insert("path".into(), json!(record.path.to_string()));
    if let Some(said) = &record.value {
        json.insert("value".into(), value(said));
    }
    if let Some(time) = record.time {
        json.insert("time_s".into(), json!(time));
    }
    Json::Object(json)
}

/// What a payload says: its records, of link-format its text, of what says nothing why, and the bytes.
fn add_content(json: &mut Map<String, Json>, content: &Content) {
    json.insert("format".into(), json!(content.format));
    match &content.records {
        Ok(_) if content.format == Some(Format::Link.number()) => {
            let links = String::from_utf8_lossy(&content.payload);
            json.insert("links".into(), json!(links));
        }
        Ok(records) => {
            let records = records.iter().map(record).collect();
            json.insert("records".into(), Json::Array(records));
        }
        Err(reason) => {
            json.insert("unreadable".into(), json!(reason));
            json.insert("payload_hex".into(), json!(to_hex(&content.payload)));
        }
    }
}

/// What became of an operation, and the status of the response that says it.
pub(super) fn outcome(id: OperationId, outcome: &Outcome) -> (StatusCode, Json) {
    let mut json = Map::new();
    json.insert("operation".into(), json!(id.0));
    let status = match outcome {
        Outcome::Content(content) => {
            json.insert("code".into(), json!("2.05"));
            add_content(&mut json, content);
            StatusCode::OK
        }
        Outcome::Created(instance) => {
            json.insert("code".into(), json!("2.01"));
            json.insert("instance".into(), json!(instance));
            StatusCode::CREATED
        }
        Outcome::Success(code) => {
            json.insert("code".into(), json!(code.to_string()));
            status::of(*code)
        }
        Outcome::Refused { code, diagnostic } => {
            json.insert("code".into(), json!(code.to_string()));
            json.insert("reason".into(), json!(diagnostic));
            status::of(*code)
        }
        Outcome::Failed(failure) => {
            json.insert("reason".into(), json!(failure.to_string()));
            of_failure(failure)
        }
    };
    if !status.is_success() {
        json.insert("status".into(), json!(status.as_u16()));
    }
    (status, Json::Object(json))
}

/// The status where a client answered nothing.
fn of_failure(failure: &Failure) -> StatusCode {
    match failure {
        Failure::NotRegistered | Failure::NotObserved => StatusCode::NOT_FOUND,
        Failure::Unencodable(_) => StatusCode::BAD_REQUEST,
        Failure::QueueFull | Failure::Ended => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Expired => StatusCode::GATEWAY_TIMEOUT,
        Failure::RegistrationEnded => StatusCode::BAD_GATEWAY,
        Failure::Call(reason) => status::of_failure(reason),
    }
}

/// A state of something observed.
pub(super) fn state(id: OperationId, sequence: Option<u32>, content: &Content) -> Json {
    let mut json = Map::new();
    json.insert("operation".into(), json!(id.0));
    if let Some(sequence) = sequence {
        json.insert("sequence".into(), json!(sequence));
    }
    add_content(&mut json, content);
    Json::Object(json)
}

/// An event and its name, as the log has it. `known`: the registration that it is of.
pub(super) fn event(event: &Event, known: Option<Json>) -> (&'static str, Json) {
    let (name, endpoint, more) = match event {
        Event::Registered {
            endpoint, replaced, ..
        } => {
            let replaced = replaced.map(|id| id.to_string());
            let more = json!({ "replaced": replaced, "client": known });
            ("registered", endpoint, more)
        }
        Event::Updated {
            endpoint, moved, ..
        } => {
            let more = json!({ "moved": moved, "client": known });
            ("updated", endpoint, more)
        }
        Event::Deregistered {
            registration,
            endpoint,
        } => {
            let more = json!({ "registration": registration.to_string() });
            ("deregistered", endpoint, more)
        }
        Event::Expired {
            registration,
            endpoint,
        } => {
            let more = json!({ "registration": registration.to_string() });
            ("expired", endpoint, more)
        }
        Event::Refused { from, code, reason } => {
            let (from, code) = (from.to_string(), code.to_string());
            return (
                "refused",
                json!({ "from": from, "code": code, "reason": reason }),
            );
        }
        Event::Done {
            id,
            endpoint,
            outcome: end,
        } => ("done", endpoint, outcome(*id, end).1),
        Event::Notified {
            id,
            endpoint,
            sequence,
            content,
        } => (
            "notification",
            endpoint,
            state(*id, Some(*sequence), content),
        ),
        Event::NotificationLost {
            id,
            endpoint,
            reason,
        } => {
            let more = json!({ "operation": id.0, "reason": reason.to_string() });
            ("notification-lost", endpoint, more)
        }
        Event::ObservationEnded {
            id,
            endpoint,
            reason,
        } => {
            let more = json!({ "operation": id.0, "reason": reason });
            ("observation-ended", endpoint, more)
        }
        Event::Sent { endpoint, content } => {
            let mut json = Map::new();
            add_content(&mut json, content);
            ("send", endpoint, Json::Object(json))
        }
        Event::Reported {
            endpoint,
            path,
            base,
            content,
        } => {
            let mut json = Map::new();
            json.insert("path".into(), json!(path));
            json.insert("of".into(), json!(base.map(|base| base.to_string())));
            if let Some(content) = content {
                add_content(&mut json, content);
            }
            ("report", endpoint, Json::Object(json))
        }
        Event::FellBack {
            id,
            endpoint,
            reason,
        } => {
            let more = json!({ "operation": id.0, "reason": reason });
            ("fell-back", endpoint, more)
        }
    };
    let mut json = Map::new();
    json.insert("endpoint".into(), json!(&**endpoint));
    if let Json::Object(more) = more {
        json.extend(more);
    }
    (name, Json::Object(json))
}

#[cfg(test)]
mod tests {
    use coap::{Code, Failure as Exchange};
    use lwm2m::{ObjectLink, Path};
    use service::CallFailure;

    use super::*;

    fn content(records: Result<Vec<Record>, String>, format: u16) -> Content {
        Content {
            format: Some(format),
            payload: b"</3>;ver=1.1".to_vec(),
            records,
        }
    }

    #[test]
    fn values_are_json_of_their_types() {
        assert_eq!(value(&Value::Float(21.5)), json!(21.5));
        assert_eq!(value(&Value::Unsigned(u64::MAX)), json!(u64::MAX));
        assert_eq!(value(&Value::Boolean(true)), json!(true));
        assert_eq!(value(&Value::Opaque(vec![1, 2])), json!("AQI="));
        let link = ObjectLink {
            object: 3,
            instance: 0,
        };
        assert_eq!(value(&Value::ObjectLink(link)), json!("3:0"));
    }

    #[test]
    fn an_outcome_has_its_code_its_reason_and_a_status() {
        let id = OperationId(7);
        let timed = Record {
            time: Some(5.0),
            ..Record::new(Path::resource(3, 0, 9), Value::Integer(100))
        };
        let read = Outcome::Content(content(Ok(vec![timed]), 112));
        let (status, json) = outcome(id, &read);
        assert_eq!(status, 200);
        let records = json!([{ "path": "/3/0/9", "value": 100, "time_s": 5.0 }]);
        assert_eq!(
            json,
            json!({ "operation": 7, "code": "2.05", "format": 112, "records": records })
        );
        let links = outcome(id, &Outcome::Content(content(Ok(vec![]), 40))).1;
        assert_eq!(links["links"], "</3>;ver=1.1");
        let unread = outcome(id, &Outcome::Content(content(Err("none".into()), 112))).1;
        assert_eq!(unread["payload_hex"], "3c2f333e3b7665723d312e31");
        let refused = Outcome::Refused {
            code: Code::NOT_FOUND,
            diagnostic: "no such instance".into(),
        };
        let (status, json) = outcome(id, &refused);
        assert_eq!(status, 404);
        let said =
            json!({ "operation": 7, "code": "4.04", "reason": "no such instance", "status": 404 });
        assert_eq!(json, said);
        assert_eq!(outcome(id, &Outcome::Created(Some(4))).0, 201);
        assert_eq!(outcome(id, &Outcome::Success(Code::DELETED)).0, 200);
    }

    #[test]
    fn who_does_not_answer_is_a_timeout_and_a_full_queue_is_not_available() {
        let of = |failure: Failure| of_failure(&failure).as_u16();
        assert_eq!(of(CallFailure::Exchange(Exchange::Timeout).into()), 504);
        assert_eq!(of(CallFailure::Exchange(Exchange::Reset).into()), 504);
        assert_eq!(of(CallFailure::Exchange(Exchange::BadBlock).into()), 502);
        assert_eq!(of(CallFailure::BacklogFull.into()), 503);
        assert_eq!(of(Failure::QueueFull), 503);
        assert_eq!(of(Failure::Unencodable(String::new())), 400);
        assert_eq!(of(Failure::NotRegistered), 404);
    }

    #[test]
    fn an_event_names_its_endpoint_first() {
        let sent = Event::Sent {
            endpoint: "a".into(),
            content: content(Ok(vec![]), 110),
        };
        let (name, json) = event(&sent, None);
        assert_eq!(name, "send");
        assert_eq!(
            json.to_string(),
            r#"{"endpoint":"a","format":110,"records":[]}"#
        );
    }
}
