//! A tree as text, for whoever keeps it where a restart does not lose it.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::{Store, StoreError};
use crate::model::Registry;
use crate::path::{Level, Path, PathError};
use crate::value::{FloatText, TextError, Value};

/// Why a text is no tree.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It is no JSON.
    #[error("no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A key is no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A value is none of its resource.
    #[error("{path}: {error}")]
    Text {
        /// The resource.
        path: Path,
        /// What is wrong.
        error: TextError,
    },
    /// It does not fit the registry.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry is no text, or of something that has no value.
    #[error(
        "`{0}`: expected a value as text, `null` of an instance or of an empty multiple resource"
    )]
    Entry(String),
}

impl Store {
    /// The tree as JSON: `{"/3/0":null,"/3/0/9":"100"}`, in the order of the paths. Values are in their text form
    /// ([`Value::to_text`]).
    pub fn save(&self) -> String {
        let mut saved = Map::new();
        for object in &self.objects {
            saved.insert(Path::object(*object).to_string(), Json::Null);
        }
        for instance in self.instances(Path::ROOT) {
            saved.insert(instance.to_string(), Json::Null);
            for record in self.records(instance, |_, _| true) {
                let text = record
                    .value
                    .map(|value| json!(value.to_text(FloatText::Shortest)));
                saved.insert(record.path.to_string(), text.unwrap_or(Json::Null));
            }
        }
        Json::Object(saved).to_string()
    }

    /// The tree that [`Store::save`] wrote.
    ///
    /// # Errors
    /// When the text is none, or does not fit the registry.
    pub fn load(registry: Arc<Registry>, text: &str) -> Result<Store, SavedError> {
        let saved: Map<String, Json> = serde_json::from_str(text)?;
        let mut store = Store::new(registry);
        let entries = saved.iter().map(|(key, value)| Ok((key.parse()?, value)));
        let entries: Vec<(Path, &Json)> = entries.collect::<Result<_, PathError>>()?;
        for object in entries
            .iter()
            .filter(|(path, _)| path.level() == Level::Object)
        {
            if !object.0.object_id().is_some_and(|id| store.support(id)) {
                return Err(StoreError::NoObject(object.0).into());
            }
        }
        let mut transaction = store.transaction();
        for (path, saved) in &entries {
            match (path.level(), saved) {
                (Level::Object, Json::Null) => {}
                (Level::Instance, Json::Null) => transaction.create(*path)?,
                (Level::Resource, Json::Null) => transaction.empty(*path)?,
                (Level::Resource | Level::ResourceInstance, Json::String(text)) => {
                    let ty = transaction.store().model(path).and_then(|model| model.ty);
                    let ty = ty.ok_or(StoreError::NoResource(*path))?;
                    let value = Value::from_text(text, ty);
                    let value = value.map_err(|error| SavedError::Text { path: *path, error })?;
                    transaction.set(*path, value)?;
                }
                _ => return Err(SavedError::Entry(path.to_string())),
            }
        }
        transaction.commit();
        Ok(store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_what_was_saved() {
        let text = r#"{"/3":null,"/2346":null,"/3/0":null,"/3/0/9":"100","/3/0/11":null,"/2346/0":null,"/2346/0/5913/3":"/3/0/9"}"#;
        let registry = Arc::new(Registry::built_in());
        let store = Store::load(registry.clone(), text).unwrap();
        assert_eq!(
            store.value(&Path::resource(3, 0, 9)),
            Some(&Value::Integer(100))
        );
        let again = Store::load(registry, &store.save()).unwrap();
        let all = |store: &Store| store.records(Path::ROOT, |_, _| true);
        assert_eq!(all(&again), all(&store));
        assert_eq!(again.save(), store.save());
    }

    #[test]
    fn what_is_no_tree_is_named() {
        for (text, expected) in [
            ("[]", "no JSON"),
            (r#"{"/9999":null}"#, "/9999: no such object"),
            (
                r#"{"/3":null,"/3/0":null,"/3/0/9":"x"}"#,
                "/3/0/9: `x` is no Integer",
            ),
            (
                r#"{"/3":null,"/3/0":null,"/3/0/9":7}"#,
                "`/3/0/9`: expected",
            ),
            (
                r#"{"/3":null,"/3/0/9":"7"}"#,
                "/3/0: no such object instance",
            ),
            (r#"{"3":null}"#, "`3` does not begin"),
        ] {
            let error = Store::load(Arc::new(Registry::built_in()), text)
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
