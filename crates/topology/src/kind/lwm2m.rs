//! LwM2M: clients and servers (OMA Lightweight M2M), as services of any node.

mod accounts;
pub mod bootstrap;
pub mod client;
pub mod location;
mod models;
pub mod operation;
pub mod sends;
pub mod server;
pub mod step;

use lwm2m::model::ResourceModel;
use lwm2m::path::Level;
use lwm2m::{Format, Path};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node::NodePlan;
use super::{Node, ServicePlan, ServiceTable};
use crate::decode::{At, Named, Scalar};
use crate::diagnostic::{Span, alternatives};
use crate::resolve::Resolver;
use crate::scalar::{ScalarKind, ScalarText, words};

use models::Models;
pub use models::registry;

/// A number, a boolean or a text, as the file has it: what it means, its resource says.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal(pub String);

impl Scalar for Literal {
    fn read(scalar: &ScalarText) -> Result<Self, String> {
        match (scalar.kind, scalar.text.as_str()) {
            (ScalarKind::Quoted, text) => Ok(Literal(text.to_owned())),
            // LwM2M's words for these are 1 and 0 (LwM2M 1.1 Core appendix C).
            (_, "true") => Ok(Literal("1".to_owned())),
            (_, "false") => Ok(Literal("0".to_owned())),
            (_, text) => Ok(Literal(text.to_owned())),
        }
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": ["string", "number", "boolean"] })
    }
}

/// How floats are written as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Floats {
    /// With the fewest digits that give the same number again, `21.5`.
    #[default]
    Shortest,
    /// With six decimals, as C's `%f` has it and the third paper's client had: `21.500000`.
    SixDecimals,
}

words!(Floats, "shortest" => Shortest, "six-decimals" => SixDecimals);

/// A format by a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // The names are the standard's.
pub enum FormatWord {
    Text,
    Tlv,
    Json,
    SenmlJson,
    SenmlCbor,
    Cbor,
    Lwm2mCbor,
}

words!(
    FormatWord, "text" => Text, "tlv" => Tlv, "json" => Json, "senml-json" => SenmlJson,
    "senml-cbor" => SenmlCbor, "cbor" => Cbor, "lwm2m-cbor" => Lwm2mCbor
);

impl FormatWord {
    /// The format.
    pub fn format(self) -> Format {
        match self {
            FormatWord::Text => Format::Text,
            FormatWord::Tlv => Format::Tlv,
            FormatWord::Json => Format::Json,
            FormatWord::SenmlJson => Format::SenmlJson,
            FormatWord::SenmlCbor => Format::SenmlCbor,
            FormatWord::Cbor => Format::Cbor,
            FormatWord::Lwm2mCbor => Format::Lwm2mCbor,
        }
    }
}

/// A value of a resource, in its text form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValuePlan {
    /// Where: `/3303/0/5700`; of a resource with instances, `/2346/0/5913/0`.
    pub path: String,
    /// What.
    pub value: String,
}

/// Values by their paths.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct Values(Named<At<Literal>>);

impl crate::decode::Decode for Values {
    fn decode(tree: &crate::tree::Tree, d: &mut crate::decode::Decoder) -> Option<Self> {
        crate::decode::Decode::decode(tree, d).map(Values)
    }
}

/// The servers of a node.
pub fn servers(node: &NodePlan) -> impl Iterator<Item = &server::ServerPlan> {
    node.services.iter().filter_map(|service| match service {
        ServicePlan::Lwm2mServer(server) => Some(server),
        _ => None,
    })
}

/// The clients of a node.
pub fn clients(node: &NodePlan) -> impl Iterator<Item = &client::ClientPlan> {
    node.services.iter().filter_map(|service| match service {
        ServicePlan::Lwm2mClient(client) => Some(client),
        _ => None,
    })
}

/// What a flag is whose plan says it only when it is off.
fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

fn is_server(table: &ServiceTable) -> bool {
    matches!(table, ServiceTable::Lwm2mServer(_))
}

fn is_bootstrap_server(table: &ServiceTable) -> bool {
    matches!(table, ServiceTable::Lwm2mBootstrapServer(_))
}

fn is_client(table: &ServiceTable) -> bool {
    matches!(table, ServiceTable::Lwm2mClient(_))
}

/// The server of a node, if it has one.
fn server_of(node: &Node) -> Option<&server::Lwm2mServer> {
    node.services
        .iter()
        .find_map(|service| match &service.table {
            ServiceTable::Lwm2mServer(table) => Some(&**table),
            _ => None,
        })
}

/// The client of a node, if it has one.
fn client_of(node: &Node) -> Option<&client::Lwm2mClient> {
    node.services
        .iter()
        .find_map(|service| match &service.table {
            ServiceTable::Lwm2mClient(table) => Some(&**table),
            _ => None,
        })
}

/// The bootstrap server of a node, if it has one.
fn bootstrap_server_of(node: &Node) -> Option<&bootstrap::Lwm2mBootstrapServer> {
    node.services
        .iter()
        .find_map(|service| match &service.table {
            ServiceTable::Lwm2mBootstrapServer(table) => Some(table),
            _ => None,
        })
}

impl Resolver<'_> {
    /// The path that a text is; reported if it is none.
    fn lwm2m_path(&mut self, key: &str, text: &str, span: Span) -> Option<Path> {
        match text.parse() {
            Ok(path) => Some(path),
            Err(error) => {
                self.problem(span, format!("`{key}`: {error}"));
                None
            }
        }
    }

    /// The model of the resource that a path names; reported if it names none that is known.
    fn lwm2m_model<'m>(
        &mut self,
        models: &'m Models,
        key: &str,
        path: &Path,
        span: Span,
    ) -> Option<&'m ResourceModel> {
        let registry = models.registry();
        let problem = match (
            path.object_id().and_then(|id| registry.object(id)),
            registry.resource(path),
        ) {
            (None, _) if models.faulty => return None,
            (None, _) => {
                let known = models.known();
                format!("`{path}` is of an object that is not known here; there are {known}")
            }
            (Some(object), None) if path.level() < Level::Resource => {
                format!(
                    "`{path}` is no resource; write one of {}, such as `{path}/0`",
                    object.name
                )
            }
            (Some(object), None) => {
                let known: Vec<String> = object.resources.keys().map(u16::to_string).collect();
                let known = alternatives(known.iter().map(String::as_str));
                format!(
                    "`{path}`: {} has no such resource; it has {known}",
                    object.name
                )
            }
            (_, Some(model)) if model.multiple != (path.level() == Level::ResourceInstance) => {
                match model.multiple {
                    true => format!("`{path}`: {} has instances; write `{path}/0`", model.name),
                    false => format!(
                        "`{path}`: {} has no instances; leave the last number out",
                        model.name
                    ),
                }
            }
            (_, Some(model)) => return Some(model),
        };
        self.problem(span, format!("`{key}`: {problem}"));
        None
    }

    /// Values at full paths, each of the type of its resource. `below`: the path before the keys.
    fn lwm2m_values(
        &mut self,
        models: &Models,
        key: &str,
        values: &Values,
        below: Path,
    ) -> Vec<ValuePlan> {
        let mut plans = Vec::new();
        for (name, literal) in &values.0.0 {
            let key = format!("{key}.{}", name.value);
            let prefix = if below == Path::ROOT {
                String::new()
            } else {
                below.to_string()
            };
            let text = format!("{prefix}{}", name.value);
            let Some(path) = self.lwm2m_path(&key, &text, name.span) else {
                continue;
            };
            let Some(model) = self.lwm2m_model(models, &key, &path, name.span) else {
                continue;
            };
            let Some(ty) = model.ty else {
                let message = format!("`{key}`: {} is executed, and has no value", model.name);
                self.problem(name.span, message);
                continue;
            };
            if let Err(error) = lwm2m::Value::from_text(&literal.value.0, ty) {
                self.problem(literal.span, format!("`{key}`: {error}"));
                continue;
            }
            plans.push(ValuePlan {
                path: path.to_string(),
                value: literal.value.0.clone(),
            });
        }
        plans
    }
}
