//! What outlives the client's process: its tree, and what servers attached to it, as JSON text.
//!
//! Observations are over with the process, as RFC 7641 §4.5 has it of a server that restarts: whoever observed hears of
//! it when the client registers again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use units::Rng;

use super::{Client, Config};
use crate::attributes::{AttributeError, Attributes, Written};
use crate::model::Registry;
use crate::path::{Path, PathError};
use crate::store::{SavedError, Store};

/// Why a text is no client.
#[derive(Debug, thiserror::Error)]
pub enum SavedClientError {
    /// It is no JSON.
    #[error("no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Its tree is none.
    #[error(transparent)]
    Tree(#[from] SavedError),
    /// What is attached to a path is none.
    #[error("attributes: {0}")]
    Attributes(#[from] AttributeError),
    /// What something is attached to is no path.
    #[error("attributes: {0}")]
    Path(#[from] PathError),
    /// Something is not there, or not what it should be.
    #[error("{place}: expected {expected}")]
    Expected {
        /// Where in it.
        place: &'static str,
        /// What was expected there.
        expected: &'static str,
    },
}

impl Client {
    /// Its tree and what is attached to it, for [`Client::restore`].
    pub fn save(&self) -> String {
        let attributes = self.attributes.iter().map(|((server, path), attributes)| {
            let texts = attributes.to_link();
            let texts: Vec<&str> = texts.split(';').filter(|text| !text.is_empty()).collect();
            json!([server, path.to_string(), texts])
        });
        let attributes: Vec<Json> = attributes.collect();
        json!({ "tree": self.store.save(), "attributes": attributes }).to_string()
    }

    /// The client of an earlier life, of which [`Client::save`] wrote `text`: it registers first, and its Notify
    /// instances begin at a share of their periods that `rng` draws.
    ///
    /// # Errors
    /// When the text is none, or does not fit the registry.
    pub fn restore(
        config: Config,
        registry: Arc<Registry>,
        rng: Rng,
        text: &str,
    ) -> Result<Client, SavedClientError> {
        let saved: Json = serde_json::from_str(text)?;
        let expected = |place, expected| SavedClientError::Expected { place, expected };
        let tree = saved.get("tree").and_then(Json::as_str);
        let tree = tree.ok_or_else(|| expected("tree", "a string"))?;
        let attached = saved.get("attributes").and_then(Json::as_array);
        let attached = attached.ok_or_else(|| expected("attributes", "a list"))?;
        let mut client = Client::new(config, Store::load(registry, tree)?, rng, true);
        client.attributes = attached
            .iter()
            .map(|json| {
                let form = "lists like [1, \"/3/0\", [\"pmin=10\"]]";
                attached_of(json)?.ok_or_else(|| expected("attributes", form))
            })
            .collect::<Result<BTreeMap<_, _>, SavedClientError>>()?;
        Ok(client)
    }
}

type Attached = ((u16, Path), Attributes);

/// One entry of the attributes; none if it has another form.
fn attached_of(json: &Json) -> Result<Option<Attached>, SavedClientError> {
    let Some([server, path, texts]) = json.as_array().map(Vec::as_slice) else {
        return Ok(None);
    };
    let server = server.as_u64().and_then(|id| u16::try_from(id).ok());
    let texts = texts.as_array().map(|texts| {
        let texts = texts.iter().map(Json::as_str);
        texts.collect::<Option<Vec<&str>>>()
    });
    let (Some(server), Some(path), Some(Some(texts))) = (server, path.as_str(), texts) else {
        return Ok(None);
    };
    let written = Written::parse(texts.into_iter())?;
    let attributes = Attributes::default().with(&written)?;
    Ok(Some(((server, path.parse()?), attributes)))
}

#[cfg(test)]
mod tests {
    use units::Seed;

    use super::*;
    use crate::value::Value;

    fn registry() -> Arc<Registry> {
        Arc::new(Registry::built_in())
    }

    fn restored(text: &str) -> Result<Client, SavedClientError> {
        let rng = Seed(1).rng(&["client"]);
        Client::restore(Config::new("a"), registry(), rng, text)
    }

    #[test]
    fn a_client_is_what_was_saved() {
        let tree = Client::tree(registry(), &[], &[2346]).unwrap();
        let mut client = Client::new(Config::new("a"), tree, Seed(1).rng(&["client"]), false);
        let battery = (Path::resource(3, 0, 9), Value::Integer(100));
        client.add(Path::instance(3, 0), &[battery]).unwrap();
        let texts = ["pmin=10", "pmax=60", "gt=5.5", "lt=-2", "st=0.5", "epmin=1"];
        let written = Written::parse(texts.into_iter()).unwrap();
        let attributes = Attributes::default().with(&written).unwrap();
        (client.attributes).insert((7, Path::resource(3, 0, 9)), attributes);
        let again = restored(&client.save()).unwrap();
        assert_eq!(again.save(), client.save());
        assert_eq!(again.attributes, client.attributes);
        assert!(again.restored && !client.restored);
    }

    #[test]
    fn what_is_no_client_is_named() {
        let with = |attributes: &str| format!(r#"{{"tree":"{{}}","attributes":{attributes}}}"#);
        for (text, expected) in [
            ("{".to_owned(), "no JSON"),
            ("{}".to_owned(), "tree: expected a string"),
            (r#"{"tree":"{}"}"#.to_owned(), "attributes: expected a list"),
            (r#"{"tree":"[]","attributes":[]}"#.to_owned(), "no JSON"),
            (with("[7]"), "attributes: expected lists like"),
            (with(r#"[[1, "3/0", []]]"#), "attributes: `3/0` does not"),
            (with(r#"[[1, "/3/0", ["x=1"]]]"#), "attributes: `x=1`"),
        ] {
            let error = restored(&text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
