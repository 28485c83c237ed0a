//! [`Value`]: what a resource holds, and its text (LwM2M 1.1 Core §7.1, appendix C; 1.0 §6.4.1).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The type of a resource (LwM2M 1.1 Core appendix C).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// UTF-8 text.
    String,
    /// A signed integer of up to 64 bits.
    Integer,
    /// An unsigned integer of up to 64 bits (LwM2M 1.1).
    Unsigned,
    /// A floating point number of 32 or 64 bits.
    Float,
    /// 0 or 1.
    Boolean,
    /// Bytes.
    Opaque,
    /// Seconds since 1970-01-01T00:00:00Z.
    Time,
    /// Object and object instance, `3:0`.
    ObjectLink,
    /// Links in the CoRE Link Format (LwM2M 1.1).
    CoreLink,
}

/// A value of a [`Type`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Type::String`].
    String(String),
    /// Of [`Type::Integer`].
    Integer(i64),
    /// Of [`Type::Unsigned`].
    Unsigned(u64),
    /// Of [`Type::Float`].
    Float(f64),
    /// Of [`Type::Boolean`].
    Boolean(bool),
    /// Of [`Type::Opaque`].
    Opaque(Vec<u8>),
    /// Of [`Type::Time`].
    Time(i64),
    /// Of [`Type::ObjectLink`].
    ObjectLink(ObjectLink),
    /// Of [`Type::CoreLink`].
    CoreLink(String),
}

/// A reference to an object instance; both 65535: to none (LwM2M 1.1 Core appendix C).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectLink {
    /// The object.
    pub object: u16,
    /// Its instance.
    pub instance: u16,
}

/// How a float is written as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FloatText {
    /// The fewest digits that give the same number again: `21.5`.
    #[default]
    Shortest,
    /// With six decimals, as C's `%f` has it, and with it the clients of 2018 and the paper's tables:
    /// `21.500000`.
    SixDecimals,
}

/// A text that is no value of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {ty}: expected {expected}")]
pub struct TextError {
    /// The text, or its beginning.
    pub text: String,
    /// The type.
    pub ty: Type,
    /// What its values look like.
    pub expected: &'static str,
}

impl Type {
    /// All of them.
    pub const ALL: [Type; 9] = [
        Type::String,
        Type::Integer,
        Type::Unsigned,
        Type::Float,
        Type::Boolean,
        Type::Opaque,
        Type::Time,
        Type::ObjectLink,
        Type::CoreLink,
    ];

    /// The type of a name as OMA's XML has it, if it is one.
    pub fn named(name: &str) -> Option<Type> {
        Type::ALL.into_iter().find(|ty| ty.name() == name)
    }

    /// The name of the type as OMA's XML has it.
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "String",
            Type::Integer => "Integer",
            Type::Unsigned => "Unsigned Integer",
            Type::Float => "Float",
            Type::Boolean => "Boolean",
            Type::Opaque => "Opaque",
            Type::Time => "Time",
            Type::ObjectLink => "Objlnk",
            Type::CoreLink => "Corelnk",
        }
    }

    /// Whether its values have an order, so that `gt`, `lt` and `st` mean something (LwM2M 1.1 Core §5.1.2).
    pub fn is_numeric(self) -> bool {
        matches!(
            self,
            Type::Integer | Type::Unsigned | Type::Float | Type::Time
        )
    }

    fn expected(self) -> &'static str {
        match self {
            Type::String | Type::CoreLink => "UTF-8 text",
            Type::Integer | Type::Time => "a decimal integer of 64 bits",
            Type::Unsigned => "a decimal integer from 0 to 2^64 - 1",
            Type::Float => "a decimal number like -21.5 or 1e-3",
            Type::Boolean => "0 or 1",
            Type::Opaque => "Base64 with padding",
            Type::ObjectLink => "two IDs like 3:0",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Value {
    /// Its type.
    pub fn ty(&self) -> Type {
        match self {
            Value::String(_) => Type::String,
            Value::Integer(_) => Type::Integer,
            Value::Unsigned(_) => Type::Unsigned,
            Value::Float(_) => Type::Float,
            Value::Boolean(_) => Type::Boolean,
            Value::Opaque(_) => Type::Opaque,
            Value::Time(_) => Type::Time,
            Value::ObjectLink(_) => Type::ObjectLink,
            Value::CoreLink(_) => Type::CoreLink,
        }
    }

    /// As a number, of the numeric types.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Value::Integer(n) | Value::Time(n) => Some(n as f64),
            Value::Unsigned(n) => Some(n as f64),
            Value::Float(x) => Some(x),
            _ => None,
        }
    }

    /// Its text, as text/plain has it (LwM2M 1.0 §6.4.1): integers and floats in decimal, a boolean as 0 or 1,
    /// bytes in Base64.
    pub fn to_text(&self, floats: FloatText) -> String {
        match self {
            Value::String(text) | Value::CoreLink(text) => text.clone(),
            Value::Integer(n) | Value::Time(n) => n.to_string(),
            Value::Unsigned(n) => n.to_string(),
            Value::Float(x) => match floats {
                FloatText::Shortest => x.to_string(),
                FloatText::SixDecimals => format!("{x:.6}"),
            },
            Value::Boolean(b) => u8::from(*b).to_string(),
            Value::Opaque(bytes) => STANDARD.encode(bytes),
            Value::ObjectLink(link) => link.to_string(),
        }
    }

    /// The value of a type that a text stands for. The text is taken strictly: nothing around it, no
    /// other spelling of a boolean, no `inf` and no `NaN`.
    ///
    /// # Errors
    /// When it stands for none.
    pub fn from_text(text: &str, ty: Type) -> Result<Value, TextError> {
        let value = match ty {
            Type::String => Some(Value::String(text.to_owned())),
            Type::CoreLink => Some(Value::CoreLink(text.to_owned())),
            Type::Integer => integer(text).map(Value::Integer),
            Type::Time => integer(text).map(Value::Time),
            Type::Unsigned => integer(text).map(Value::Unsigned),
            Type::Float => float(text).map(Value::Float),
            Type::Boolean => match text {
                "0" => Some(Value::Boolean(false)),
                "1" => Some(Value::Boolean(true)),
                _ => None,
            },
            Type::Opaque => STANDARD.decode(text).ok().map(Value::Opaque),
            Type::ObjectLink => text.parse().ok().map(Value::ObjectLink),
        };
        value.ok_or_else(|| TextError {
            text: text.chars().take(64).collect(),
            ty,
            expected: ty.expected(),
        })
    }

    /// The same number as a value of another numeric type, if it has one exactly: formats without
    /// types of their own say 20 where 20.0 is meant.
    pub fn cast(self, ty: Type) -> Option<Value> {
        let exact = |x: f64| (x.fract() == 0.0 && x.abs() <= 2f64.powi(53)).then_some(x as i64);
        let int = match self {
            _ if self.ty() == ty => return Some(self),
            Value::Integer(n) | Value::Time(n) => i128::from(n),
            Value::Unsigned(n) => i128::from(n),
            Value::Float(x) => i128::from(exact(x)?),
            Value::String(text) if ty == Type::CoreLink => return Some(Value::CoreLink(text)),
            Value::CoreLink(text) if ty == Type::String => return Some(Value::String(text)),
            _ => return None,
        };
        match ty {
            Type::Integer => int.try_into().ok().map(Value::Integer),
            Type::Time => int.try_into().ok().map(Value::Time),
            Type::Unsigned => int.try_into().ok().map(Value::Unsigned),
            Type::Float => Some(Value::Float(int as f64)),
            _ => None,
        }
    }
}

/// A decimal integer without a plus sign.
fn integer<N: FromStr>(text: &str) -> Option<N> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

/// A decimal number; Rust's words for what is none, like `inf`, are none here.
fn float(text: &str) -> Option<f64> {
    let plain = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
    let begins = text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.');
    let number: f64 = text.parse().ok()?;
    (begins && text.bytes().all(plain) && number.is_finite()).then_some(number)
}

impl ObjectLink {
    /// The reference to nothing, `65535:65535`.
    pub const NULL: ObjectLink = ObjectLink {
        object: crate::path::NO_ID,
        instance: crate::path::NO_ID,
    };
}

impl fmt::Display for ObjectLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object, self.instance)
    }
}

impl FromStr for ObjectLink {
    type Err = TextError;

    fn from_str(text: &str) -> Result<ObjectLink, TextError> {
        let ids = text.split_once(':');
        let ids = ids.and_then(|(o, i)| Some((integer(o)?, integer(i)?)));
        let (object, instance) = ids.ok_or_else(|| TextError {
            text: text.chars().take(64).collect(),
            ty: Type::ObjectLink,
            expected: Type::ObjectLink.expected(),
        })?;
        Ok(ObjectLink { object, instance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_their_texts_say() {
        for (ty, text) in [
            (Type::String, ""),
            (Type::Integer, "-9223372036854775808"),
            (Type::Unsigned, "18446744073709551615"),
            (Type::Float, "21.5"),
            (Type::Float, "-0.001"),
            (Type::Boolean, "1"),
            (Type::Opaque, "AAEC/w=="),
            (Type::Time, "1732800000"),
            (Type::ObjectLink, "3:0"),
            (Type::CoreLink, "</3/0>"),
        ] {
            let value = Value::from_text(text, ty).unwrap();
            assert_eq!(
                (value.ty(), value.to_text(FloatText::Shortest)),
                (ty, text.to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_value_is_named_with_what_was_expected() {
        for (ty, text) in [
            (Type::Integer, "1.0"),
            (Type::Integer, "+1"),
            (Type::Integer, " 1"),
            (Type::Integer, "9223372036854775808"),
            (Type::Unsigned, "-1"),
            (Type::Float, "inf"),
            (Type::Float, "NaN"),
            (Type::Float, "1e999"),
            (Type::Float, "+1"),
            (Type::Float, ""),
            (Type::Boolean, "true"),
            (Type::Opaque, "AAE"),
            (Type::ObjectLink, "3"),
            (Type::ObjectLink, "3:65536"),
            (Type::ObjectLink, "3:+0"),
        ] {
            let error = Value::from_text(text, ty).unwrap_err().to_string();
            assert!(
                error.contains("expected") && error.contains(ty.name()),
                "{error}"
            );
        }
    }

    #[test]
    fn the_paper_has_six_decimals() {
        let texts = [21.5, 48.0, 3.25].map(|x| Value::Float(x).to_text(FloatText::SixDecimals));
        assert_eq!(texts, ["21.500000", "48.000000", "3.250000"]);
    }

    #[test]
    fn a_number_is_cast_where_it_stays_the_same() {
        assert_eq!(
            Value::Integer(20).cast(Type::Float),
            Some(Value::Float(20.0))
        );
        assert_eq!(
            Value::Float(20.0).cast(Type::Unsigned),
            Some(Value::Unsigned(20))
        );
        for (value, ty) in [
            (Value::Float(20.5), Type::Integer),
            (Value::Float(f64::NAN), Type::Integer),
            (Value::Float(1e300), Type::Integer),
            (Value::Integer(-1), Type::Unsigned),
            (Value::Boolean(true), Type::Integer),
        ] {
            assert_eq!(value.cast(ty), None);
        }
    }
}
