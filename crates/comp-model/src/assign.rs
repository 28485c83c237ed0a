//! `NAME=VALUE` onto a model.

use crate::{Model, Parameter, Reading};

/// An assignment that cannot be made: which name, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// No `=`.
    #[error("`{0}`: expected NAME=VALUE, such as wireless_delay=20ms")]
    NoAssignment(String),
    /// Neither a parameter nor a reading.
    #[error("`{name}` is no parameter and no reading; expected one of {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// The same name twice.
    #[error("{0}: set twice, expected once")]
    Twice(String),
    /// A value that the parameter cannot have.
    #[error("{name}: `{value}` is not {expected}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A reading that is none of the choices.
    #[error("{name}: `{value}` is not one of {}", expected.join(", "))]
    Choice {
        /// The reading.
        name: String,
        /// What was given.
        value: String,
        /// The choices.
        expected: Vec<&'static str>,
    },
    /// A parameter that nothing depends on, or a reading that parameters decide.
    #[error("{name} cannot be set: {reason}")]
    Fixed {
        /// The name.
        name: &'static str,
        /// Why, or what to set instead.
        reason: String,
    },
}

/// The name of an assignment, without blanks; all of it if there is no `=`.
pub fn name_of(assignment: &str) -> &str {
    assignment
        .split_once('=')
        .map_or(assignment, |(name, _)| name)
        .trim()
}

impl Model {
    /// The paper's model with `NAME=VALUE` applied, each name at most once. Names are those of
    /// the JSON; values have their unit (`20ms`, `250 kbit/s`, `50 B`, `10/s`), hops have none.
    pub fn with<S: AsRef<str>>(assignments: &[S]) -> Result<Model, SetError> {
        let mut model = Model::default();
        let mut seen = std::collections::BTreeSet::new();
        for assignment in assignments {
            let assignment = assignment.as_ref();
            model.set(assignment)?;
            if !seen.insert(name_of(assignment)) {
                return Err(SetError::Twice(name_of(assignment).to_owned()));
            }
        }
        Ok(model)
    }

    /// Applies one `NAME=VALUE`.
    pub fn set(&mut self, assignment: &str) -> Result<(), SetError> {
        let (_, value) = assignment
            .split_once('=')
            .ok_or_else(|| SetError::NoAssignment(assignment.to_owned()))?;
        let (name, value) = (name_of(assignment), value.trim());
        if let Some(parameter) = Parameter::of_name(name) {
            return self.set_parameter(parameter, value);
        }
        match self.readings.set(name, value) {
            Some(Ok(())) => Ok(()),
            Some(Err(expected)) => Err(SetError::Choice {
                name: name.to_owned(),
                value: value.to_owned(),
                expected,
            }),
            None => Err(self.no_such(name)),
        }
    }

    fn set_parameter(&mut self, parameter: Parameter, value: &str) -> Result<(), SetError> {
        let name = parameter.name();
        if let Some(reason) = parameter.fixed_because() {
            return Err(SetError::Fixed {
                name,
                reason: reason.to_owned(),
            });
        }
        self.parameters
            .set(parameter, value)
            .map_err(|expected| SetError::Value {
                name,
                value: value.to_owned(),
                expected,
            })
    }

    fn no_such(&self, name: &str) -> SetError {
        let readings = self.readings();
        if let Some(reading) = readings.iter().find(|r| r.name == name) {
            let reason = match reading.parameters {
                [] => "the range is ours".to_owned(),
                parameters => format!("set {} instead", parameters.join(", ")),
            };
            return SetError::Fixed {
                name: reading.name,
                reason,
            };
        }
        let parameters = Parameter::ALL
            .iter()
            .filter(|p| p.fixed_because().is_none())
            .map(|p| p.name());
        let chosen = |reading: &&Reading| !reading.choices.is_empty();
        let readings = readings.iter().filter(chosen).map(|r| r.name);
        SetError::Unknown {
            name: name.to_owned(),
            known: parameters.chain(readings).collect(),
        }
    }
}
