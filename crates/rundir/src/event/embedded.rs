//! Events that other crates define, in the same form as those defined here.
//!
//! serde has a way of its own for this, `#[serde(untagged)]` variants, which tries one enum after
//! the other: that doubles the time to read an event, and its errors name neither the event nor
//! the key. Here the name decides which enum an event is read as. Writing costs nothing more than
//! with all variants in one enum, reading a tenth.

use std::fmt;
use std::sync::LazyLock;

use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{BindingEvent, EventKind, HandoverEvent};

/// The key whose value is the name of an event.
const NAME: &str = "event";

static HANDOVER: LazyLock<&[&str]> = LazyLock::new(names::<HandoverEvent>);
static BINDING: LazyLock<&[&str]> = LazyLock::new(names::<BindingEvent>);

impl From<HandoverEvent> for EventKind {
    fn from(event: HandoverEvent) -> EventKind {
        EventKind::Handover(event)
    }
}

impl From<BindingEvent> for EventKind {
    fn from(event: BindingEvent) -> EventKind {
        EventKind::Binding(event)
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            EventKind::Handover(event) => event.serialize(serializer),
            EventKind::Binding(event) => event.serialize(serializer),
            // The derived one, which `remote` keeps from being the trait's.
            own => EventKind::serialize(own, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventKind, D::Error> {
        deserializer.deserialize_map(ByName)
    }
}

/// Reads an event as what its name says that it is.
struct ByName;

impl<'de> Visitor<'de> for ByName {
    type Value = EventKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event, with its name under `{NAME}`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut rest: A) -> Result<EventKind, A::Error> {
        // We write the name first; whoever sorts the keys of a line may read it all the same.
        let mut before = Vec::new();
        while let Some(key) = rest.next_key::<String>()? {
            if key != NAME {
                before.push((key, rest.next_value()?));
                continue;
            }
            let name: String = rest.next_value()?;
            let [handover, binding] = [&HANDOVER, &BINDING].map(|of| of.contains(&name.as_str()));
            let event = MapAccessDeserializer::new(Fields {
                name: Some(name),
                before: before.into_iter(),
                value: None,
                rest,
            });
            return match () {
                () if handover => HandoverEvent::deserialize(event).map(EventKind::Handover),
                () if binding => BindingEvent::deserialize(event).map(EventKind::Binding),
                () => EventKind::deserialize(event),
            };
        }
        Err(de::Error::missing_field(NAME))
    }
}

/// All fields of an event, its name first.
struct Fields<A> {
    name: Option<String>,
    before: std::vec::IntoIter<(String, Value)>,
    /// Of the key that was given last, if it is not one of `rest`.
    value: Option<Value>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<K>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error>
    where
        K: DeserializeSeed<'de>,
    {
        let (key, value) = match self.name.take() {
            Some(name) => (NAME.to_owned(), Value::String(name)),
            None => match self.before.next() {
                Some(field) => field,
                None => return self.rest.next_key_seed(seed),
            },
        };
        self.value = Some(value);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V>(&mut self, seed: V) -> Result<V::Value, A::Error>
    where
        V: DeserializeSeed<'de>,
    {
        match self.value.take() {
            Some(value) => seed.deserialize(value).map_err(de::Error::custom),
            None => self.rest.next_value_seed(seed),
        }
    }
}

/// The names of an enum's events, as its derived code has them: it lists them when it is given
/// another one.
fn names<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let unknown = MapDeserializer::<_, Names>::new([(NAME, "")].into_iter());
    T::deserialize(unknown)
        .err()
        .map_or(&[], |Names(names)| names)
}

/// An error that keeps nothing but the names.
#[derive(Debug)]
struct Names(&'static [&'static str]);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected one of {:?}", self.0)
    }
}

impl std::error::Error for Names {}

impl de::Error for Names {
    fn custom<T: fmt::Display>(_: T) -> Names {
        Names(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Names {
        Names(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Phase, Reason};
    use std::net::Ipv6Addr;

    const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);

    /// Every embedded event, with the line that `events.jsonl` has had of it from the beginning.
    fn embedded() -> Vec<(EventKind, &'static str)> {
        let handover = 3;
        let (p_addr, t_addr) = (ADDRESS, ADDRESS);
        let phase = Phase::named("return_routability");
        let handovers = [
            (
                HandoverEvent::Started {
                    handover,
                    from: "er1".into(),
                    reason: Reason::LinkLost,
                },
                r#"{"event":"handover_started","handover":3,"from":"er1","reason":"link lost"}"#,
            ),
            (
                HandoverEvent::PhaseStarted {
                    handover,
                    phase: phase.clone(),
                },
                r#"{"event":"phase_started","handover":3,"phase":"return_routability"}"#,
            ),
            (
                HandoverEvent::PhaseEnded { handover, phase },
                r#"{"event":"phase_ended","handover":3,"phase":"return_routability"}"#,
            ),
            (
                HandoverEvent::Completed {
                    handover,
                    to: "er2".into(),
                    t_addr,
                },
                r#"{"event":"handover_completed","handover":3,"to":"er2","t_addr":"2001:db8::5"}"#,
            ),
            (
                HandoverEvent::Failed {
                    handover,
                    reason: "er2 lost".into(),
                },
                r#"{"event":"handover_failed","handover":3,"reason":"er2 lost"}"#,
            ),
        ];
        let bindings = [
            (
                BindingEvent::Registered { p_addr, t_addr },
                r#"{"event":"registered","p_addr":"2001:db8::5","t_addr":"2001:db8::5"}"#,
            ),
            (
                BindingEvent::Changed {
                    p_addr,
                    t_addr,
                    held: true,
                },
                r#"{"event":"binding_changed","p_addr":"2001:db8::5","t_addr":"2001:db8::5","held":true}"#,
            ),
            (
                BindingEvent::Removed {
                    p_addr,
                    reason: "lifetime 0".into(),
                },
                r#"{"event":"binding_removed","p_addr":"2001:db8::5","reason":"lifetime 0"}"#,
            ),
            (
                BindingEvent::Resumed { p_addr, queued: 7 },
                r#"{"event":"resumed","p_addr":"2001:db8::5","queued":7}"#,
            ),
        ];
        let handovers = handovers.map(|(event, line)| (event.into(), line));
        let bindings = bindings.map(|(event, line)| (event.into(), line));
        handovers.into_iter().chain(bindings).collect()
    }

    #[test]
    fn embedded_events_stand_in_a_line_like_all_others() {
        for (event, line) in embedded() {
            assert_eq!(serde_json::to_string(&event).unwrap(), line);
            assert_eq!(serde_json::from_str::<EventKind>(line).unwrap(), event);
        }
    }

    #[test]
    fn the_order_of_the_keys_does_not_matter() {
        let line = r#"{"phase":"link","handover":1,"more":[1],"event":"phase_started","yet":{}}"#;
        let phase = Phase::LINK;
        let event = HandoverEvent::PhaseStarted { handover: 1, phase };
        assert_eq!(
            serde_json::from_str::<EventKind>(line).unwrap(),
            event.into()
        );
        let line = r#"{"address":"2001:db8::5","event":"leased"}"#;
        assert_eq!(
            serde_json::from_str::<EventKind>(line).unwrap(),
            EventKind::Leased { address: ADDRESS }
        );
    }

    #[test]
    fn what_is_wrong_with_an_event_is_named() {
        let refused = |line| {
            serde_json::from_str::<EventKind>(line)
                .unwrap_err()
                .to_string()
        };
        let cases = [
            (
                r#"{"event":"phase_started","handover":1}"#,
                "missing field `phase`",
            ),
            (r#"{"event":"leased"}"#, "missing field `address`"),
            (
                r#"{"event":"resumed","p_addr":"2001:db8::5","queued":-1}"#,
                "invalid value: integer `-1`",
            ),
            (
                r#"{"event":"phase_begun"}"#,
                "unknown variant `phase_begun`",
            ),
            (r#"{"handover":1}"#, "missing field `event`"),
            ("7", "expected an event, with its name under `event`"),
        ];
        for (line, named) in cases {
            assert!(refused(line).contains(named), "{line}: {}", refused(line));
        }
    }

    #[test]
    fn the_names_are_those_of_the_embedded_enums() {
        assert_eq!(
            *HANDOVER,
            [
                "handover_started",
                "phase_started",
                "phase_ended",
                "handover_completed",
                "handover_failed"
            ]
        );
        assert_eq!(
            *BINDING,
            [
                "registered",
                "binding_changed",
                "binding_removed",
                "resumed"
            ]
        );
    }
}
