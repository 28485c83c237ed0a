//! Operations as JSON.

use serde_json::{Value as Json, json};

use super::{Fields, Result, error};
use crate::format::{Creation, Format, Record};
use crate::operations::Mode;
use crate::path::Path;
use crate::server::operation::Operation;
use crate::value::{FloatText, Type, Value};

pub(super) fn to_json(operation: &Operation) -> Json {
    let number = |format: &Option<Format>| format.map(Format::number);
    let mut json = match operation {
        Operation::Read { path, format } | Operation::Observe { path, format } => {
            json!({"path": path.to_string(), "format": number(format)})
        }
        Operation::Discover { path } | Operation::Delete { path } => {
            json!({"path": path.to_string()})
        }
        Operation::Write {
            path,
            mode,
            records,
            format,
        } => json!({
            "path": path.to_string(),
            "replace": *mode == Mode::Replace,
            "records": records_json(records),
            "format": number(format),
        }),
        Operation::WriteAttributes { path, attributes } => {
            json!({"path": path.to_string(), "attributes": attributes})
        }
        Operation::Execute { path, arguments } => {
            json!({"path": path.to_string(), "arguments": arguments})
        }
        Operation::Create { creation, format } => json!({
            "object": creation.object,
            "instance": creation.instance,
            "records": records_json(&creation.records),
            "format": number(format),
        }),
        Operation::CancelObservation { paths } => json!({"paths": paths_json(paths)}),
        Operation::ReadComposite { paths, format }
        | Operation::ObserveComposite { paths, format } => {
            json!({"paths": paths_json(paths), "format": number(format)})
        }
        Operation::WriteComposite { records, format } => {
            json!({"records": records_json(records), "format": number(format)})
        }
    };
    json["name"] = json!(operation.name());
    json
}

pub(super) fn of_json(json: &Json) -> Result<Operation> {
    let fields = Fields::of(json, "operation")?;
    let path = || fields.parsed("path", "a path like /3/0");
    Ok(match fields.text("name")? {
        "Read" => Operation::Read {
            path: path()?,
            format: format(&fields)?,
        },
        "Observe" => Operation::Observe {
            path: path()?,
            format: format(&fields)?,
        },
        "Discover" => Operation::Discover { path: path()? },
        "Delete" => Operation::Delete { path: path()? },
        "Write" => Operation::Write {
            path: path()?,
            mode: match fields.flag("replace")? {
                true => Mode::Replace,
                false => Mode::Update,
            },
            records: records(&fields)?,
            format: format(&fields)?,
        },
        "Write-Attributes" => Operation::WriteAttributes {
            path: path()?,
            attributes: texts(&fields, "attributes")?.map(str::to_owned).collect(),
        },
        "Execute" => Operation::Execute {
            path: path()?,
            arguments: fields.text("arguments")?.to_owned(),
        },
        "Create" => Operation::Create {
            creation: Creation {
                object: id(&fields, "object")?.map_or_else(|| error("object", "an ID"), Ok)?,
                instance: id(&fields, "instance")?,
                records: records(&fields)?,
            },
            format: format(&fields)?,
        },
        "Cancel Observation" => Operation::CancelObservation {
            paths: paths(&fields)?,
        },
        "Read-Composite" => Operation::ReadComposite {
            paths: paths(&fields)?,
            format: format(&fields)?,
        },
        "Observe-Composite" => Operation::ObserveComposite {
            paths: paths(&fields)?,
            format: format(&fields)?,
        },
        "Write-Composite" => Operation::WriteComposite {
            records: records(&fields)?,
            format: format(&fields)?,
        },
        _ => return error("name of operation", "that of an operation, like Read"),
    })
}

fn paths_json(paths: &[Path]) -> Vec<String> {
    paths.iter().map(Path::to_string).collect()
}

fn records_json(records: &[Record]) -> Vec<Json> {
    let record = |record: &Record| {
        let value = record.value.as_ref();
        json!({
            "path": record.path.to_string(),
            "type": value.map(|value| value.ty().name()),
            "value": value.map(|value| value.to_text(FloatText::Shortest)),
            "time": record.time,
        })
    };
    records.iter().map(record).collect()
}

fn texts<'a>(fields: &Fields<'a>, name: &str) -> Result<impl Iterator<Item = &'a str> + use<'a>> {
    let list = fields.list(name)?;
    match list.iter().all(Json::is_string) {
        true => Ok(list.iter().filter_map(Json::as_str)),
        false => error(&fields.at(name), "strings"),
    }
}

fn paths(fields: &Fields<'_>) -> Result<Vec<Path>> {
    let parsed: std::result::Result<Vec<Path>, _> =
        texts(fields, "paths")?.map(str::parse).collect();
    parsed.or_else(|_| error("paths of operation", "paths like /3/0"))
}

/// An ID, if there is one.
fn id(fields: &Fields<'_>, name: &str) -> Result<Option<u16>> {
    let number = fields.optional_number(name)?.map(u16::try_from);
    let number = number.transpose();
    number.or_else(|_| error(&fields.at(name), "a number from 0 to 65535"))
}

fn format(fields: &Fields<'_>) -> Result<Option<Format>> {
    match id(fields, "format")? {
        None => Ok(None),
        Some(number) => match Format::of_number(number) {
            None => error("format of operation", "a Content-Format of LwM2M"),
            known => Ok(known),
        },
    }
}

fn records(fields: &Fields<'_>) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for json in fields.list("records")? {
        let fields = Fields::of(json, "records")?;
        let value = match fields.get("type")? {
            Json::Null => None,
            _ => Some(value(&fields)?),
        };
        records.push(Record {
            path: fields.parsed("path", "a path like /3/0/9")?,
            value,
            time: fields.get("time")?.as_f64(),
        });
    }
    Ok(records)
}

fn value(fields: &Fields<'_>) -> Result<Value> {
    let name = fields.text("type")?;
    let text = fields.text("value")?;
    let Some(ty) = Type::named(name) else {
        return error("type of records", "a type like Float");
    };
    let value = match ty {
        // As it is printed, which is more than texts of LwM2M may say: infinity.
        Type::Float => text.parse().ok().map(Value::Float),
        ty => Value::from_text(text, ty).ok(),
    };
    value.map_or_else(|| error("value of records", "a value of its type"), Ok)
}
