//! Pairs of nodes, and places in the plane.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;

use crate::decode::{At, Block, Decode, Decoder, Scalar};
use crate::scalar::Metres;
use crate::schema::parts::{as_schema, list_of_two};
use crate::tree::{ScalarKind, Tree, Value};

tables! {
    /// Places in the plane that are not written out one by one: `grid`, or `area`.
    #[schemars(extend("oneOf" = [{ "required": ["grid"] }, { "required": ["area"] }]))]
    pub struct Spread {
        /// For a node with a `count`: row by row.
        pub grid: Option<Block<Grid>>,
        /// Somewhere in the rectangle with these two corners, drawn from the seed.
        pub area: Option<Corners>,
    }

    /// Places row by row, from the south-west.
    pub struct Grid {
        /// Place of the first node; default `[0 m, 0 m]`.
        pub from: Option<Position>,
        /// From one column, and one row, to the next.
        pub spacing: At<Metres>,
        /// Nodes per row; default as many as make the rows as long as the columns, or one more.
        pub columns: Option<At<u32>>,
    }
}

/// Two node names, `[sensor, er1]`.
#[derive(Clone, Debug)]
pub struct Pair {
    /// One end.
    pub a: At<String>,
    /// The other.
    pub b: At<String>,
}

/// A place in the plane, `[10 m, 0 m]`.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// East, metres.
    pub x: At<Metres>,
    /// North, metres.
    pub y: At<Metres>,
}

/// Two corners of a rectangle, `[[0 m, 0 m], [50 m, 20 m]]`.
#[derive(Clone, Copy, Debug)]
pub struct Corners {
    /// One corner.
    pub first: Position,
    /// The corner across.
    pub second: Position,
}

/// Where a node starts: a place, or how to find one.
#[derive(Clone, Debug)]
pub enum Place {
    /// `[10 m, 0 m]`
    At(Position),
    /// `{ grid: … }` or `{ area: … }`
    Spread(Box<Block<Spread>>),
}

/// Reads a list of exactly two.
fn two<T: Decode>(tree: &Tree, expected: &str, d: &mut Decoder) -> Option<(T, T)> {
    let Value::List(items) = &tree.value else {
        d.wrong_shape(tree, expected);
        return None;
    };
    let [first, second] = items.as_slice() else {
        d.report(
            tree.span,
            format!("a list of {} is not {expected}", items.len()),
        );
        return None;
    };
    let (first, second) = (T::decode(first, d), T::decode(second, d));
    Some((first?, second?))
}

/// A place whose two coordinates are mere numbers, which is reported once: probably metres.
fn without_units(tree: &Tree, d: &mut Decoder) -> Option<Position> {
    let Value::List(items) = &tree.value else {
        return None;
    };
    let [x, y] = items.as_slice() else {
        return None;
    };
    let number = |item: &Tree| match &item.value {
        Value::Scalar(scalar) if scalar.kind == ScalarKind::Number => Some(scalar.text.clone()),
        _ => None,
    };
    let (east, north) = (number(x)?, number(y)?);
    let metres = |text: &str, span| {
        let value = text.parse().map_or(Metres(0.0), Metres);
        At { value, span }
    };
    d.report(
        x.span,
        format!("`[{east}, {north}]` is not a place (the units are missing); write `[{east} m, {north} m]`"),
    );
    Some(Position {
        x: metres(&east, x.span),
        y: metres(&north, y.span),
    })
}

impl Decode for Pair {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let (a, b) = two(tree, "a pair of nodes, `[sensor, er1]`", d)?;
        Some(Pair { a, b })
    }
}

impl Decode for Position {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        if let Some(position) = without_units(tree, d) {
            return Some(position);
        }
        let (x, y) = two(tree, "a place; write its coordinates, `[10 m, 0 m]`", d)?;
        Some(Position { x, y })
    }
}

impl Decode for Corners {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let (first, second) = two(tree, "two corners, `[[0 m, 0 m], [50 m, 20 m]]`", d)?;
        Some(Corners { first, second })
    }
}

impl Decode for Place {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        match tree.value {
            Value::Table(_) => Decode::decode(tree, d).map(Place::Spread),
            _ => Decode::decode(tree, d).map(Place::At),
        }
    }
}

impl JsonSchema for Pair {
    fn schema_name() -> Cow<'static, str> {
        "Pair".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        list_of_two("Two node names, `[sensor, er1]`.", &String::schema())
    }
}

impl JsonSchema for Position {
    fn schema_name() -> Cow<'static, str> {
        "Position".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        list_of_two("A place in the plane, `[10 m, 0 m]`.", &Metres::schema())
    }
}

impl JsonSchema for Corners {
    fn schema_name() -> Cow<'static, str> {
        "Corners".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let corner = generator.subschema_for::<Position>().to_value();
        list_of_two(
            "Two corners of a rectangle, `[[0 m, 0 m], [50 m, 20 m]]`.",
            &corner,
        )
    }
}

impl JsonSchema for Place {
    fn schema_name() -> Cow<'static, str> {
        "Place".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        as_schema(json!({
            "description": "A place in the plane, or how to find one.",
            "anyOf": [generator.subschema_for::<Position>(), generator.subschema_for::<Spread>()],
        }))
    }
}

impl From<&Position> for propagation::Position {
    fn from(position: &Position) -> propagation::Position {
        propagation::Position {
            x_m: position.x.value.0,
            y_m: position.y.value.0,
        }
    }
}
