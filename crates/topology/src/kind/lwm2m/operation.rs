//! What a server does to a client, as the file has it and as the plan has it.

use std::fmt;

use lwm2m::Path;
use lwm2m::path::Level;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Models, ValuePlan, Values};
use crate::decode::{At, Decode, Decoder};
use crate::resolve::Resolver;
use crate::tree::Tree;

/// An operation of LwM2M.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lwm2mOperation {
    /// Read a path.
    Read(At<String>),
    /// Read several paths at once (LwM2M 1.1).
    ReadComposite(Vec<At<String>>),
    /// Observe a path.
    Observe(At<String>),
    /// Observe several paths at once (LwM2M 1.1).
    ObserveComposite(Vec<At<String>>),
    /// End an observation of these paths.
    Cancel(Vec<At<String>>),
    /// Discover a path.
    Discover(At<String>),
    /// Write values below a path in the place of what is there.
    Write(Lwm2mWrite),
    /// Write values below a path; what is not named stays.
    Update(Lwm2mWrite),
    /// Write values at paths of any objects at once (LwM2M 1.1).
    WriteComposite(Values),
    /// Write attributes of a path.
    Attributes(Lwm2mAttributes),
    /// Execute a resource.
    Execute(Lwm2mExecute),
    /// Create an object instance.
    Create(Lwm2mCreate),
    /// Delete an object instance.
    Delete(At<String>),
}

tables! {
    /// Values below a path.
    pub struct Lwm2mWrite {
        /// The path: of an object instance, a resource or an instance of a resource.
        pub path: At<String>,
        /// The values by what follows the path: `{ /5702: 1.5 }` of an instance, `{ /0: "/3/0/9" }`
        /// of a resource with instances, `{ "": 1.5 }` of what `path` names itself.
        pub values: Values,
    }

    /// Attributes of a path.
    pub struct Lwm2mAttributes {
        /// The path.
        pub path: At<String>,
        /// `pmin=10`, `gt=5`, …; `pmin` alone takes it away.
        pub set: Vec<At<String>>,
    }

    /// A resource to be executed.
    pub struct Lwm2mExecute {
        /// The resource.
        pub path: At<String>,
        /// Arguments, `0='x',1`; default none.
        pub arguments: Option<At<String>>,
    }

    /// A new object instance.
    pub struct Lwm2mCreate {
        /// The object, `2346`.
        pub object: At<u32>,
        /// The ID of the instance; default the client chooses.
        pub instance: Option<At<u32>>,
        /// Its resources by `/resource` or `/resource/instance`; default none.
        pub values: Option<Values>,
    }
}

const WORDS: [&str; 13] = [
    "read",
    "read-composite",
    "observe",
    "observe-composite",
    "cancel",
    "discover",
    "write",
    "update",
    "write-composite",
    "attributes",
    "execute",
    "create",
    "delete",
];

impl Decode for Lwm2mOperation {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let expected = "one operation, such as `{ read: /3303/0/5700 }`";
        let (key, value) = d.only_entry(tree, &WORDS, expected)?;
        d.within(key.to_owned(), |d| match key {
            "read" => Decode::decode(value, d).map(Lwm2mOperation::Read),
            "read-composite" => Decode::decode(value, d).map(Lwm2mOperation::ReadComposite),
            "observe" => Decode::decode(value, d).map(Lwm2mOperation::Observe),
            "observe-composite" => Decode::decode(value, d).map(Lwm2mOperation::ObserveComposite),
            "cancel" => Decode::decode(value, d).map(Lwm2mOperation::Cancel),
            "discover" => Decode::decode(value, d).map(Lwm2mOperation::Discover),
            "write" => Decode::decode(value, d).map(Lwm2mOperation::Write),
            "update" => Decode::decode(value, d).map(Lwm2mOperation::Update),
            "write-composite" => Decode::decode(value, d).map(Lwm2mOperation::WriteComposite),
            "attributes" => Decode::decode(value, d).map(Lwm2mOperation::Attributes),
            "execute" => Decode::decode(value, d).map(Lwm2mOperation::Execute),
            "create" => Decode::decode(value, d).map(Lwm2mOperation::Create),
            "delete" => Decode::decode(value, d).map(Lwm2mOperation::Delete),
            _ => None,
        })
    }
}

/// An operation of LwM2M. Paths are `/3303/0/5700`; a format that is absent is the server's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum OperationPlan {
    /// Read.
    Read(String),
    /// Read-Composite.
    ReadComposite(Vec<String>),
    /// Observe.
    Observe(String),
    /// Observe-Composite.
    ObserveComposite(Vec<String>),
    /// Cancel Observation.
    Cancel(Vec<String>),
    /// Discover.
    Discover(String),
    /// Write.
    Write {
        /// Of what.
        path: String,
        /// Whether it takes the place of what is there; otherwise what is not named stays.
        replace: bool,
        /// The values, at or below it.
        values: Vec<ValuePlan>,
    },
    /// Write-Composite.
    WriteComposite(Vec<ValuePlan>),
    /// Write-Attributes.
    Attributes {
        /// Of what.
        path: String,
        /// `pmin=10`, …
        set: Vec<String>,
    },
    /// Execute.
    Execute {
        /// The resource.
        path: String,
        /// Arguments.
        arguments: String,
    },
    /// Create.
    Create {
        /// The object.
        object: u16,
        /// The ID of the instance; absent: the client chooses, and the values are below instance 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<u16>,
        /// Its resources.
        values: Vec<ValuePlan>,
    },
    /// Delete.
    Delete(String),
}

impl fmt::Display for OperationPlan {
    /// `read /3/0/9`; of what is written or created, where.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, of) = match self {
            OperationPlan::Read(path) => ("read", path.clone()),
            OperationPlan::ReadComposite(paths) => ("read-composite", paths.join(" ")),
            OperationPlan::Observe(path) => ("observe", path.clone()),
            OperationPlan::ObserveComposite(paths) => ("observe-composite", paths.join(" ")),
            OperationPlan::Cancel(paths) => ("cancel", paths.join(" ")),
            OperationPlan::Discover(path) => ("discover", path.clone()),
            OperationPlan::Write { path, replace, .. } => {
                (if *replace { "write" } else { "update" }, path.clone())
            }
            OperationPlan::WriteComposite(values) => {
                let paths: Vec<&str> = values.iter().map(|value| value.path.as_str()).collect();
                ("write-composite", paths.join(" "))
            }
            OperationPlan::Attributes { path, set } => {
                ("attributes", format!("{path} {}", set.join(" ")))
            }
            OperationPlan::Execute { path, .. } => ("execute", path.clone()),
            OperationPlan::Create {
                object, instance, ..
            } => match instance {
                Some(instance) => ("create", format!("/{object}/{instance}")),
                None => ("create", format!("/{object}")),
            },
            OperationPlan::Delete(path) => ("delete", path.clone()),
        };
        write!(f, "{word} {of}")
    }
}

impl Lwm2mOperation {
    /// The plan; none if something of it cannot be, which is reported. `key` is where it stands.
    pub(super) fn plan(
        &self,
        r: &mut Resolver<'_>,
        models: &Models,
        key: &str,
    ) -> Option<OperationPlan> {
        Some(match self {
            Lwm2mOperation::Read(path) => OperationPlan::Read(checked(r, key, path)?),
            Lwm2mOperation::Observe(path) => OperationPlan::Observe(checked(r, key, path)?),
            Lwm2mOperation::Discover(path) => OperationPlan::Discover(checked(r, key, path)?),
            Lwm2mOperation::Delete(path) => OperationPlan::Delete(checked(r, key, path)?),
            Lwm2mOperation::ReadComposite(paths) => {
                OperationPlan::ReadComposite(all(r, key, paths)?)
            }
            Lwm2mOperation::ObserveComposite(paths) => {
                OperationPlan::ObserveComposite(all(r, key, paths)?)
            }
            Lwm2mOperation::Cancel(paths) => OperationPlan::Cancel(all(r, key, paths)?),
            Lwm2mOperation::Write(write) => write.plan(r, models, &format!("{key}.write"), true)?,
            Lwm2mOperation::Update(write) => {
                write.plan(r, models, &format!("{key}.update"), false)?
            }
            Lwm2mOperation::WriteComposite(values) => {
                let key = format!("{key}.write-composite");
                OperationPlan::WriteComposite(r.lwm2m_values(models, &key, values, Path::ROOT))
            }
            Lwm2mOperation::Attributes(table) => {
                let key = format!("{key}.attributes");
                let texts = table.set.iter().map(|text| text.as_str());
                if let Err(error) = lwm2m::attributes::Written::parse(texts) {
                    r.problem(table.path.span, format!("`{key}.set`: {error}"));
                }
                OperationPlan::Attributes {
                    path: checked(r, &key, &table.path)?,
                    set: table.set.iter().map(|text| text.value.clone()).collect(),
                }
            }
            Lwm2mOperation::Execute(table) => {
                let arguments = table.arguments.as_ref().map(|text| text.value.clone());
                OperationPlan::Execute {
                    path: checked(r, &format!("{key}.execute"), &table.path)?,
                    arguments: arguments.unwrap_or_default(),
                }
            }
            Lwm2mOperation::Create(create) => create.plan(r, models, &format!("{key}.create"))?,
        })
    }
}

impl Lwm2mWrite {
    fn plan(
        &self,
        r: &mut Resolver<'_>,
        models: &Models,
        key: &str,
        replace: bool,
    ) -> Option<OperationPlan> {
        let path = r.lwm2m_path(&format!("{key}.path"), &self.path, self.path.span)?;
        if path.level() < Level::Instance {
            let message = format!("`{key}.path`: `{path}` is neither an instance nor a resource");
            r.problem(self.path.span, message);
        }
        Some(OperationPlan::Write {
            path: path.to_string(),
            replace,
            values: r.lwm2m_values(models, &format!("{key}.values"), &self.values, path),
        })
    }
}

impl Lwm2mCreate {
    fn plan(&self, r: &mut Resolver<'_>, models: &Models, key: &str) -> Option<OperationPlan> {
        let id = |given: &At<u32>| u16::try_from(given.value).ok();
        let object = id(&self.object).filter(|id| models.registry().object(*id).is_some());
        let Some(object) = object else {
            if models.faulty {
                return None;
            }
            let known = models.known();
            let message = format!(
                "`{key}.object`: `{}` is not known here; there are {known}",
                self.object.value
            );
            r.problem(self.object.span, message);
            return None;
        };
        let instance = self.instance.as_ref().map(|given| (given.span, id(given)));
        if let Some((span, None | Some(u16::MAX))) = instance {
            r.problem(
                span,
                format!("`{key}.instance`: an ID from 0 to 65534 is expected"),
            );
        }
        let instance = instance.and_then(|(_, id)| id);
        let below = Path::instance(object, instance.unwrap_or(0));
        let values = self.values.as_ref();
        let values =
            values.map(|values| r.lwm2m_values(models, &format!("{key}.values"), values, below));
        Some(OperationPlan::Create {
            object,
            instance,
            values: values.unwrap_or_default(),
        })
    }
}

fn checked(r: &mut Resolver<'_>, key: &str, path: &At<String>) -> Option<String> {
    Some(r.lwm2m_path(key, path, path.span)?.to_string())
}

fn all(r: &mut Resolver<'_>, key: &str, paths: &[At<String>]) -> Option<Vec<String>> {
    paths.iter().map(|path| checked(r, key, path)).collect()
}
