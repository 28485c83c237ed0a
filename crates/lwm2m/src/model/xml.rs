//! OMA's XML of objects (schema `LWM2M-v1_1.xsd`).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use roxmltree::{Document, Node};

use super::{ObjectModel, Operations, ResourceModel, Version};
use crate::value::Type;

/// Why a file is no object model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// It is not well-formed; what and where is said.
    #[error("no XML: {0}")]
    Xml(String),
    /// It has no `Object`.
    #[error("no `Object` element: expected `<LWM2M><Object>…`, as in OMA's registry")]
    Empty,
    /// An element is missing, or its text is none that the schema knows.
    #[error("line {line}: {element} is `{text}`: expected {expected}")]
    Element {
        /// Where.
        line: u32,
        /// Its name, with that of its object or resource.
        element: String,
        /// Its text; empty if it is missing, too.
        text: String,
        /// What should be there.
        expected: &'static str,
    },
    /// Two resources of an object have one ID.
    #[error("line {line}: object {object} has resource {resource} twice")]
    Twice {
        /// Where the second one is.
        line: u32,
        /// The object.
        object: u16,
        /// The resource.
        resource: u16,
    },
}

/// The objects in a file of OMA's XML.
///
/// # Errors
/// When it is none: what, and in which line.
pub fn parse(text: &str) -> Result<Vec<ObjectModel>, ModelError> {
    // A byte order mark stands at the beginning of some of OMA's files.
    let text = text.trim_start_matches('\u{feff}');
    let document = Document::parse(text).map_err(|error| ModelError::Xml(error.to_string()))?;
    let objects = (document.root_element().children()).filter(|node| node.has_tag_name("Object"));
    let objects: Vec<ObjectModel> = objects.map(object).collect::<Result<_, _>>()?;
    match objects.is_empty() {
        true => Err(ModelError::Empty),
        false => Ok(objects),
    }
}

fn object(node: Node) -> Result<ObjectModel, ModelError> {
    let id = field(node, "ObjectID", "a number from 0 to 65535", |text| {
        text.parse().ok()
    })?;
    let version = |text: &str| match text {
        "" => Some(Version::V1_0),
        text => text.parse().ok(),
    };
    let mut resources = BTreeMap::new();
    let items = node
        .children()
        .filter(|node| node.has_tag_name("Resources"));
    let items = items.flat_map(|node| node.children());
    for item in items.filter(|node| node.has_tag_name("Item")) {
        let resource = resource(item)?;
        let resource_id = resource.id;
        if resources.insert(resource_id, resource).is_some() {
            return Err(ModelError::Twice {
                line: line(item),
                object: id,
                resource: resource_id,
            });
        }
    }
    Ok(ObjectModel {
        id,
        name: text(node, "Name").to_owned(),
        version: optional(node, "ObjectVersion", "a version like 1.1", version)?
            .unwrap_or(Version::V1_0),
        multiple: field(node, "MultipleInstances", "Multiple or Single", multiple)?,
        mandatory: field(node, "Mandatory", "Mandatory or Optional", mandatory)?,
        resources,
    })
}

fn resource(item: Node) -> Result<ResourceModel, ModelError> {
    let id = item.attribute("ID").unwrap_or_default();
    let id = id.parse().map_err(|_| ModelError::Element {
        line: line(item),
        element: "the ID of an Item".to_owned(),
        text: id.to_owned(),
        expected: "a number from 0 to 65535",
    })?;
    let operations = field(item, "Operations", "R, W, RW, E or nothing", operations)?;
    let ty = field(item, "Type", "a type of LwM2M, like Float", ty)?;
    let range = text(item, "RangeEnumeration");
    Ok(ResourceModel {
        id,
        name: text(item, "Name").to_owned(),
        operations,
        multiple: field(item, "MultipleInstances", "Multiple or Single", multiple)?,
        mandatory: field(item, "Mandatory", "Mandatory or Optional", mandatory)?,
        ty,
        range: ty
            .filter(|ty| ty.is_numeric())
            .and_then(|_| interval(range)),
        units: text(item, "Units").to_owned(),
    })
}

/// The text of a child; empty if it is not there.
fn text<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    let child = node.children().find(|child| child.has_tag_name(name));
    child
        .and_then(|child| child.text())
        .unwrap_or_default()
        .trim()
}

fn field<T>(
    node: Node,
    name: &str,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ModelError> {
    let child = node.children().find(|child| child.has_tag_name(name));
    let text = text(node, name);
    parse(text).ok_or_else(|| ModelError::Element {
        line: line(child.unwrap_or(node)),
        element: format!("{name} of {}", node.tag_name().name()),
        text: text.to_owned(),
        expected,
    })
}

/// The same for what may be missing.
fn optional<T>(
    node: Node,
    name: &str,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ModelError> {
    match node.children().any(|child| child.has_tag_name(name)) {
        true => field(node, name, expected, parse).map(Some),
        false => Ok(None),
    }
}

fn line(node: Node) -> u32 {
    node.document().text_pos_at(node.range().start).row
}

fn multiple(text: &str) -> Option<bool> {
    match text {
        "Multiple" => Some(true),
        "Single" => Some(false),
        _ => None,
    }
}

fn mandatory(text: &str) -> Option<bool> {
    match text {
        "Mandatory" => Some(true),
        "Optional" => Some(false),
        _ => None,
    }
}

fn operations(text: &str) -> Option<Operations> {
    let (read, write, execute) = match text {
        "" => (false, false, false),
        "R" => (true, false, false),
        "W" => (false, true, false),
        "RW" => (true, true, false),
        "E" => (false, false, true),
        _ => return None,
    };
    Some(Operations {
        read,
        write,
        execute,
    })
}

/// A type, or none: of what is executed.
fn ty(text: &str) -> Option<Option<Type>> {
    match text {
        "" => Some(None),
        text => Type::named(text).map(Some),
    }
}

/// `0..255` or `0-255`; other forms (lists, lengths, prose) bound nothing here.
fn interval(text: &str) -> Option<RangeInclusive<f64>> {
    let (low, high) = text.split_once("..").or_else(|| {
        // Not the sign of a first number.
        let dash = text.char_indices().skip(1).find(|(_, c)| *c == '-')?.0;
        Some((&text[..dash], &text[dash + 1..]))
    })?;
    let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
    (low <= high).then_some(low..=high)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAMP: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<LWM2M>
  <Object ObjectType="MODefinition">
    <Name>Lamp</Name>
    <ObjectID>33000</ObjectID>
    <ObjectVersion>2.1</ObjectVersion>
    <MultipleInstances>Multiple</MultipleInstances>
    <Mandatory>Optional</Mandatory>
    <Resources>
      <Item ID="1"><Name>Level</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances>
        <Mandatory>Mandatory</Mandatory><Type>Integer</Type><RangeEnumeration>-1..100</RangeEnumeration><Units>%</Units></Item>
      <Item ID="2"><Name>Off</Name><Operations>E</Operations><MultipleInstances>Single</MultipleInstances>
        <Mandatory>Optional</Mandatory><Type></Type><RangeEnumeration/><Units/></Item>
    </Resources>
  </Object>
</LWM2M>"#;

    #[test]
    fn an_object_is_read_from_omas_xml() {
        let objects = parse(LAMP).unwrap();
        let [lamp] = objects.as_slice() else {
            panic!("{objects:?}")
        };
        assert_eq!(
            (lamp.id, lamp.version),
            (33000, Version { major: 2, minor: 1 })
        );
        assert_eq!(lamp.resources[&1].range, Some(-1.0..=100.0));
        assert!(lamp.resources[&2].operations.execute && lamp.resources[&2].ty.is_none());
    }

    #[test]
    fn a_byte_order_mark_and_a_missing_version_are_taken() {
        let text = LAMP.replace("<ObjectVersion>2.1</ObjectVersion>", "");
        let objects = parse(&format!("\u{feff}{text}")).unwrap();
        assert_eq!(objects[0].version, Version::V1_0);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (from, to, expected) in [
            (
                "<ObjectID>33000",
                "<ObjectID>70000",
                "line 5: ObjectID of Object is `70000`",
            ),
            (
                "<Type>Integer",
                "<Type>Int",
                "line 11: Type of Item is `Int`: expected a type",
            ),
            (
                "<Operations>RW",
                "<Operations>WR",
                "line 10: Operations of Item is `WR`",
            ),
            (
                "<Item ID=\"2\">",
                "<Item ID=\"1\">",
                "line 12: object 33000 has resource 1 twice",
            ),
            ("</LWM2M>", "", "no XML: "),
            (
                "<Item ID=\"1\">",
                "<Item>",
                "line 10: the ID of an Item is ``",
            ),
            (
                "<Mandatory>Optional</Mandatory>\n    <R",
                "\n    <R",
                "line 3: Mandatory of Object is ``",
            ),
        ] {
            let error = parse(&LAMP.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert_eq!(parse("<LWM2M/>"), Err(ModelError::Empty));
    }

    #[test]
    fn ranges_of_prose_bound_nothing() {
        for text in ["", "1..10,20", "0-255 bytes", "Mon, Tue", "10..1"] {
            assert_eq!(interval(text), None, "{text}");
        }
        assert_eq!(interval("0-255"), Some(0.0..=255.0));
        assert_eq!(interval("-5--1"), Some(-5.0..=-1.0));
    }
}
