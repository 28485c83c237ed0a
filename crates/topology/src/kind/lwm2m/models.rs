//! Object models of the user's own: OMA's XML in files.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use lwm2m::Registry;
use lwm2m::model::{ModelError, ObjectModel, parse};

use super::server_of;
use crate::decode::At;
use crate::diagnostic::alternatives;
use crate::resolve::Resolver;

/// Objects of which clients and servers here know what they are: a file may not say otherwise. Security to Device, OSCORE,
/// Batch, Notify.
const FIXED: [u16; 7] = [0, 1, 2, 3, 21, 2346, 2347];

/// The object models of a service.
#[derive(Clone, Debug, Default)]
pub(super) struct Models {
    /// What its files have, as it is.
    pub(super) texts: Vec<String>,
    own: Option<Arc<Registry>>,
    /// In which of its files an object is.
    places: BTreeMap<u16, String>,
    /// A file is faulty, which is reported: what is of an object that nobody knows may be of that.
    pub(super) faulty: bool,
}

impl Models {
    /// All of them, those that every run has among them.
    pub(super) fn registry(&self) -> &Arc<Registry> {
        self.own.as_ref().unwrap_or_else(|| built_in())
    }

    /// Their objects in words.
    pub(super) fn known(&self) -> String {
        let objects = self.registry().objects();
        let known: Vec<String> = objects.map(|object| object.id.to_string()).collect();
        alternatives(known.iter().map(String::as_str))
    }

    /// Notes that these objects are in a file, unless one is in another already.
    fn place(
        &mut self,
        name: &str,
        found: (String, Vec<ObjectModel>),
    ) -> Result<(String, Vec<ObjectModel>), String> {
        for object in &found.1 {
            let before = self.places.insert(object.id, name.to_owned());
            if let Some(before) = before {
                let id = object.id;
                return Err(format!("`{name}`: object {id} is in `{before}` already"));
            }
        }
        Ok(found)
    }

    fn add(&mut self, text: String, objects: Vec<ObjectModel>) {
        let registry = self.own.get_or_insert_with(|| Arc::clone(built_in()));
        let registry = Arc::make_mut(registry);
        objects
            .into_iter()
            .for_each(|object| registry.insert(object));
        self.texts.push(text);
    }
}

/// The object models that every run has.
fn built_in() -> &'static Arc<Registry> {
    static BUILT_IN: OnceLock<Arc<Registry>> = OnceLock::new();
    BUILT_IN.get_or_init(|| Arc::new(Registry::built_in()))
}

/// The object models that every run has, and those of these texts of XML.
///
/// # Errors
/// When one is no object model.
pub fn registry(texts: &[String]) -> Result<Arc<Registry>, ModelError> {
    let mut models = Models::default();
    for text in texts {
        let objects = parse(text)?;
        models.add(text.clone(), objects);
    }
    Ok(Arc::clone(models.registry()))
}

impl Resolver<'_> {
    /// The models of the service at `path`, whose key `models` names these files and directories.
    pub(super) fn lwm2m_models(&mut self, path: &str, given: Option<&[At<String>]>) -> Models {
        let mut models = Models::default();
        for (i, given) in given.into_iter().flatten().enumerate() {
            let key = format!("{path}.models[{i}]");
            for message in self.add_models(&mut models, &given.value) {
                self.problem(given.span, format!("`{key}`: {message}"));
            }
        }
        models
    }

    /// The models of the server on a node. What is wrong with them is said of the server.
    pub(super) fn lwm2m_models_of_server(&mut self, node: &str) -> Models {
        let mut models = Models::default();
        let server = self.nodes.get(node).and_then(|(_, node)| server_of(node));
        for given in server.and_then(|s| s.models.as_ref()).into_iter().flatten() {
            self.add_models(&mut models, &given.value);
        }
        models
    }

    /// Adds what a file has, or the files of a directory, whose name ends in `/`. Gives back what is wrong.
    fn add_models(&mut self, models: &mut Models, name: &str) -> Vec<String> {
        let names = match name.ends_with('/') {
            false => Ok(vec![name.to_owned()]),
            true => self.files_of(name, ".xml"),
        };
        let mut wrong = Vec::new();
        match names {
            Ok(names) => {
                for name in names {
                    let found = self.contents(&name).and_then(|bytes| objects(&name, bytes));
                    match found.and_then(|found| models.place(&name, found)) {
                        Ok((text, objects)) => models.add(text, objects),
                        Err(message) => wrong.push(message),
                    }
                }
            }
            Err(message) => wrong.push(message),
        }
        models.faulty |= !wrong.is_empty();
        wrong
    }
}

/// The text of a file and its objects, or what is wrong with it.
fn objects(name: &str, bytes: Vec<u8>) -> Result<(String, Vec<ObjectModel>), String> {
    let text = String::from_utf8(bytes).map_err(|_| format!("`{name}` is not UTF-8 text"))?;
    let objects = parse(&text).map_err(|error| format!("`{name}`: {error}"))?;
    match objects.iter().find(|object| FIXED.contains(&object.id)) {
        Some(fixed) => Err(format!(
            "`{name}`: object {} is that of this testbed; give it another ID",
            fixed.id
        )),
        None => Ok((text, objects)),
    }
}
