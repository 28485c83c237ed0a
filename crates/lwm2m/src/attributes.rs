//! Attributes: when a value that is observed is told (LwM2M 1.1 Core §5.1.2, §7.3).
//!
//! [`Attributes`] are what a server attached to a path; [`Watch`] is one observation under them. A
//! notification goes out when the conditions on the value hold (or none is set and it has changed) and
//! pmin has passed, or when pmax has.

use std::collections::BTreeMap;
use std::time::Duration;

use units::SimTime;

use crate::path::Path;
use crate::value::Value;

/// What a server attached to a path.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Attributes {
    /// `pmin`: the shortest time between two notifications.
    pub pmin: Option<Duration>,
    /// `pmax`: the longest time between two notifications.
    pub pmax: Option<Duration>,
    /// `gt`: tell when the value crosses it.
    pub gt: Option<f64>,
    /// `lt`: tell when the value crosses it.
    pub lt: Option<f64>,
    /// `st`: tell when the value is as far from the one told last.
    pub st: Option<f64>,
    /// `epmin`: the shortest time between two samples (LwM2M 1.1). Values here are known when they change, so
    /// that it is kept and told, and delays nothing.
    pub epmin: Option<Duration>,
    /// `epmax`: the longest time between two samples (LwM2M 1.1), likewise.
    pub epmax: Option<Duration>,
}

/// What a Write-Attributes request says: of each attribute it names, a new value or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written(BTreeMap<&'static str, Option<f64>>);

/// Why attributes cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AttributeError {
    /// No attribute has this name.
    #[error("`{0}`: expected pmin, pmax, gt, lt, st, epmin or epmax")]
    Unknown(String),
    /// It is no number, or a time that is none.
    #[error("{name}: `{text}` is none: expected {expected}")]
    Number {
        /// The attribute.
        name: &'static str,
        /// Its text.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// gt, lt or st of what is no number.
    #[error("{name}: {path} holds no number")]
    NotNumeric {
        /// The attribute.
        name: &'static str,
        /// The path.
        path: Path,
    },
    /// `lt` + 2 `st` < `gt` does not hold (LwM2M 1.1 Core §5.1.2).
    #[error("lt {lt} + 2 st {st} is not less than gt {gt}")]
    Crossed {
        /// lt
        lt: f64,
        /// st
        st: f64,
        /// gt
        gt: f64,
    },
}

const NAMES: [&str; 7] = ["pmin", "pmax", "gt", "lt", "st", "epmin", "epmax"];

/// The longest time that an attribute takes: 136 years.
const LONGEST_S: f64 = u32::MAX as f64;

impl Written {
    /// Takes the queries of a request, `pmin=10`; `pmin` alone takes the attribute back.
    ///
    /// # Errors
    /// When one is no attribute.
    pub fn parse<'a>(queries: impl Iterator<Item = &'a str>) -> Result<Written, AttributeError> {
        let mut written = Written::default();
        for query in queries {
            let (name, value) = match query.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (query, None),
            };
            let known = NAMES.into_iter().find(|known| *known == name);
            let name =
                known.ok_or_else(|| AttributeError::Unknown(query.chars().take(64).collect()))?;
            let value = value.map(|text| number(name, text)).transpose()?;
            written.0.insert(name, value);
        }
        Ok(written)
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the attributes that mean something of numbers only: gt, lt and st.
    pub fn of_numbers(&self) -> Option<&'static str> {
        let names = self.0.iter().filter(|(_, value)| value.is_some());
        names
            .map(|(name, _)| *name)
            .find(|name| ["gt", "lt", "st"].contains(name))
    }
}

fn number(name: &'static str, text: &str) -> Result<f64, AttributeError> {
    let of_time = name.contains("pm");
    let plain = |b: u8| b.is_ascii_digit() || (!of_time && b"+-.eE".contains(&b));
    let number = text
        .parse()
        .ok()
        .filter(|x: &f64| x.is_finite() && text.bytes().all(plain));
    let fits = |x: &f64| match name {
        _ if of_time => *x <= LONGEST_S,
        "st" => *x > 0.0,
        _ => true,
    };
    number.filter(fits).ok_or_else(|| AttributeError::Number {
        name,
        text: text.chars().take(64).collect(),
        expected: match name {
            _ if of_time => "seconds from 0 to 4294967295",
            "st" => "a number above 0",
            _ => "a number",
        },
    })
}

impl Attributes {
    /// These with what was written.
    ///
    /// # Errors
    /// When they would contradict each other. pmax less than pmin does not: it is ignored then
    /// (LwM2M 1.1 Core §5.1.2).
    pub fn with(mut self, written: &Written) -> Result<Attributes, AttributeError> {
        for (name, value) in &written.0 {
            // Of times only, which are within range: gt and lt may be below 0, and beyond any time.
            let seconds = || value.map(Duration::from_secs_f64);
            match *name {
                "pmin" => self.pmin = seconds(),
                "pmax" => self.pmax = seconds(),
                "epmin" => self.epmin = seconds(),
                "epmax" => self.epmax = seconds(),
                "gt" => self.gt = *value,
                "lt" => self.lt = *value,
                _ => self.st = *value,
            }
        }
        match (self.lt, self.gt, self.st) {
            (Some(lt), Some(gt), st) if lt + 2.0 * st.unwrap_or(0.0) >= gt => {
                Err(AttributeError::Crossed {
                    lt,
                    st: st.unwrap_or(0.0),
                    gt,
                })
            }
            _ => Ok(self),
        }
    }

    /// These, and where they do not say, what `above` says: of the path above (LwM2M 1.1 Core §7.3.2).
    pub fn or(self, above: Attributes) -> Attributes {
        Attributes {
            pmin: self.pmin.or(above.pmin),
            pmax: self.pmax.or(above.pmax),
            epmin: self.epmin.or(above.epmin),
            epmax: self.epmax.or(above.epmax),
            // Of a resource and its instances only; they are not inherited from an object.
            ..self
        }
    }

    /// Whether a condition on the value is set.
    fn has_condition(&self) -> bool {
        self.gt.is_some() || self.lt.is_some() || self.st.is_some()
    }

    /// As Discover shows them (LwM2M 1.1 Core §6.3.2): `;pmin=10;gt=5`.
    pub fn to_link(&self) -> String {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs().to_string());
        let number = |x: Option<f64>| x.map(|x| x.to_string());
        let texts = [
            ("pmin", seconds(self.pmin)),
            ("pmax", seconds(self.pmax)),
            ("gt", number(self.gt)),
            ("lt", number(self.lt)),
            ("st", number(self.st)),
            ("epmin", seconds(self.epmin)),
            ("epmax", seconds(self.epmax)),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, text?)));
        texts
            .map(|(name, text)| format!(";{name}={text}"))
            .collect()
    }
}

/// One observation under its attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    attributes: Attributes,
    /// What was told last, of a single number.
    told: Option<f64>,
    told_at: SimTime,
    /// The conditions have held since, and pmin has not passed.
    pending: bool,
}

impl Watch {
    /// An observation that was told `value` now, in the answer that began it.
    pub fn new(now: SimTime, attributes: Attributes, value: Option<&Value>) -> Watch {
        Watch {
            attributes,
            told: value.and_then(Value::number),
            told_at: now,
            pending: false,
        }
    }

    /// The attributes are others from now on.
    pub fn set_attributes(&mut self, attributes: Attributes) {
        self.attributes = attributes;
    }

    /// The value is another one now; `None` of what is no single value.
    pub fn changed(&mut self, value: Option<&Value>) {
        let holds = match (value.and_then(Value::number), self.told) {
            (Some(new), Some(told)) if self.attributes.has_condition() => {
                let crosses = |bound: f64| (told <= bound) != (new <= bound);
                let under = |bound: f64| (told < bound) != (new < bound);
                self.attributes.gt.is_some_and(crosses)
                    || self.attributes.lt.is_some_and(under)
                    || self
                        .attributes
                        .st
                        .is_some_and(|step| (new - told).abs() >= step)
            }
            _ => true,
        };
        self.pending |= holds;
    }

    /// When [`Watch::is_due`] next.
    pub fn due(&self) -> Option<SimTime> {
        let pmin = self.attributes.pmin.unwrap_or_default();
        let from_pmin = self.pending.then(|| self.told_at + pmin);
        // "pmax less than pmin: pmax is ignored"; zero stands for none.
        let pmax = self
            .attributes
            .pmax
            .filter(|pmax| !pmax.is_zero() && *pmax >= pmin);
        let from_pmax = pmax.map(|pmax| self.told_at + pmax);
        match (from_pmin, from_pmax) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        }
    }

    /// Whether a notification is due.
    pub fn is_due(&self, now: SimTime) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// It was told.
    pub fn told(&mut self, now: SimTime, value: Option<&Value>) {
        self.told = value.and_then(Value::number);
        self.told_at = now;
        self.pending = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Written, AttributeError> {
        Written::parse(text.split('&').filter(|query| !query.is_empty()))
    }

    fn attributes(text: &str) -> Attributes {
        Attributes::default().with(&written(text).unwrap()).unwrap()
    }

    fn at(seconds: u64) -> SimTime {
        SimTime::ZERO + Duration::from_secs(seconds)
    }

    /// When the values of each second from 1 on are told.
    fn told(text: &str, values: &[f64]) -> Vec<u64> {
        let mut watch = Watch::new(at(0), attributes(text), Some(&Value::Float(0.0)));
        let mut last = 0.0;
        let mut told = Vec::new();
        for (second, value) in (1..).zip(values) {
            let value = Value::Float(*value);
            if value.number() != Some(last) {
                watch.changed(Some(&value));
                last = value.number().unwrap();
            }
            if watch.is_due(at(second)) {
                watch.told(at(second), Some(&value));
                told.push(second);
            }
        }
        told
    }

    #[test]
    fn without_attributes_every_change_is_told() {
        assert_eq!(told("", &[0.0, 1.0, 1.0, 2.0]), [2, 4]);
    }

    #[test]
    fn pmin_delays_and_pmax_tells_what_has_not_changed() {
        assert_eq!(told("pmin=3", &[1.0, 2.0, 3.0, 3.0, 3.0, 4.0]), [3, 6]);
        assert_eq!(told("pmax=2", &[0.0; 6]), [2, 4, 6]);
        assert_eq!(told("pmin=1&pmax=3", &[1.0, 1.0, 1.0, 1.0, 1.0]), [1, 4]);
        // pmax less than pmin is ignored.
        assert_eq!(told("pmin=4&pmax=2", &[1.0, 1.0, 1.0, 1.0, 1.0]), [4]);
    }

    #[test]
    fn conditions_are_crossed_both_ways_or_stepped_over() {
        assert_eq!(told("gt=5", &[4.0, 6.0, 7.0, 5.0, 1.0]), [2, 4]);
        assert_eq!(told("lt=5", &[4.0, 5.0, 6.0, 4.0]), [2, 4]);
        assert_eq!(told("st=2", &[1.0, 2.0, 3.0, 3.9, 4.0]), [2, 5]);
        assert_eq!(told("gt=10&st=2", &[11.0, 12.0, 9.9]), [1, 3]);
    }

    #[test]
    fn what_is_no_attribute_is_named() {
        for (text, expected) in [
            ("p=1", "`p=1`: expected pmin"),
            ("pmin=-1", "pmin: `-1` is none: expected seconds"),
            ("pmax=1.5", "pmax: `1.5`"),
            ("gt=x", "gt: `x` is none: expected a number"),
            ("st=0", "st: `0` is none: expected a number above 0"),
            ("gt=", "gt: ``"),
            ("pmin=99999999999999999999999", "pmin: "),
        ] {
            let error = written(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let crossed = Attributes::default().with(&written("lt=1&gt=4&st=1.5").unwrap());
        assert!(matches!(crossed, Err(AttributeError::Crossed { .. })));
        assert!(
            Attributes::default()
                .with(&written("lt=1&gt=4&st=1.4").unwrap())
                .is_ok()
        );
        // pmin above pmax is taken.
        assert!(
            Attributes::default()
                .with(&written("pmin=10&pmax=5").unwrap())
                .is_ok()
        );
    }

    #[test]
    fn conditions_may_be_below_zero_and_beyond_any_time() {
        assert_eq!(
            attributes("gt=-5&lt=-1e308").to_link().matches('-').count(),
            2
        );
        assert_eq!(told("gt=-5", &[-4.0, -6.0, -7.0, -4.0]), [2, 4]);
        assert_eq!(attributes("gt=1e308&st=1e300").gt, Some(1e308));
    }

    #[test]
    fn a_path_has_what_it_does_not_say_from_above() {
        let below = attributes("pmin=1&gt=5");
        let above = attributes("pmin=9&pmax=60&lt=1");
        assert_eq!(below.or(above), attributes("pmin=1&pmax=60&gt=5"));
        assert_eq!(below.or(above).to_link(), ";pmin=1;pmax=60;gt=5");
        let back = below.with(&written("pmin").unwrap()).unwrap();
        assert_eq!(back, attributes("gt=5"));
    }
}
