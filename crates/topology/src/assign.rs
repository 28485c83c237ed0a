//! `--set PATH=VALUE`: values that the command line puts in place of the file's.
//!
//! An assignment changes the file's tree before anything of it is understood, so that a value has
//! one meaning wherever it is written, and a wrong one is reported like a wrong line of the file.

use std::fmt;
use std::str::FromStr;

use crate::diagnostic::{Diagnostic, Source, Span, alternatives, nearest};
use crate::tree::{self, Key, Tree, Value};

/// Most values of one parameter.
const MAX_VALUES: i64 = 10_000;

/// A path into the topology file and the values that it takes in turn.
///
/// ```
/// use topology::Parameter;
///
/// let delay: Parameter = "backbone.delay=10..30:10 ms".parse().unwrap();
/// assert_eq!(delay.path(), "backbone.delay");
/// assert_eq!(delay.values(), ["10 ms", "20 ms", "30 ms"]);
/// let poll: Parameter = "nodes.client.polls[0].every=1 s,100 ms".parse().unwrap();
/// assert_eq!(poll.values(), ["1 s", "100 ms"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    path: Path,
    values: Vec<String>,
}

/// One value for one place of the topology file. Prints as `PATH=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    path: Path,
    value: String,
}

/// Why the text of a [`Parameter`] is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAParameter(String);

/// A path as written, and its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path {
    text: String,
    steps: Vec<Step>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    to: To,
    /// First and last character but one in the path.
    begin: usize,
    end: usize,
}

/// Where a step goes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    Key(String),
    Index(usize),
}

impl Parameter {
    /// The path as written.
    pub fn path(&self) -> &str {
        &self.path.text
    }

    /// The values as written, ranges expanded; never empty.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Every combination of the parameters' values, the last parameter's changing fastest; one
    /// empty combination of no parameters.
    ///
    /// ```
    /// use topology::Parameter;
    ///
    /// let two = ["a=1,2", "b=3,4"].map(|text| text.parse().unwrap());
    /// let points = Parameter::combinations(&two);
    /// let texts: Vec<String> = points
    ///     .iter()
    ///     .map(|point| point.iter().map(|a| a.to_string()).collect::<Vec<_>>().join(" "))
    ///     .collect();
    /// assert_eq!(texts, ["a=1 b=3", "a=1 b=4", "a=2 b=3", "a=2 b=4"]);
    /// ```
    pub fn combinations(parameters: &[Parameter]) -> Vec<Vec<Assignment>> {
        parameters.iter().fold(vec![vec![]], |points, parameter| {
            let extended = points.iter().flat_map(|point: &Vec<Assignment>| {
                parameter.values.iter().map(move |value| {
                    let mut point = point.clone();
                    point.push(Assignment {
                        path: parameter.path.clone(),
                        value: value.clone(),
                    });
                    point
                })
            });
            extended.collect()
        })
    }
}

impl FromStr for Parameter {
    type Err = NotAParameter;

    /// `PATH=VALUE`, `PATH=VALUE,VALUE,...` or `PATH=FIRST..LAST:STEP UNIT`. A comma in brackets,
    /// braces or quotes is the value's own.
    fn from_str(text: &str) -> Result<Parameter, NotAParameter> {
        let (path, values) = text.split_once('=').ok_or_else(|| {
            NotAParameter(format!(
                "`{text}` is no PATH=VALUE such as `backbone.delay=10 ms`"
            ))
        })?;
        let path = Path::parse(path)?;
        let mut all = Vec::new();
        for value in split(values) {
            match range(value)? {
                Some(expanded) => all.extend(expanded),
                None => all.push(value.to_owned()),
            }
        }
        if let Some(again) = (1..all.len()).find(|i| all[..*i].contains(&all[*i])) {
            let value = &all[again];
            return Err(NotAParameter(format!(
                "`{}` takes the value `{value}` twice; remove one",
                path.text
            )));
        }
        Ok(Parameter { path, values: all })
    }
}

impl Assignment {
    /// The path as written.
    pub fn path(&self) -> &str {
        &self.path.text
    }

    /// The value as written.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path.text, self.value)
    }
}

impl Path {
    fn parse(text: &str) -> Result<Path, NotAParameter> {
        let wrong = || {
            NotAParameter(format!(
                "`{text}` is no path into a topology, such as `backbone.delay` or \
                 `nodes.client.polls[0].every`"
            ))
        };
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let begin = text.len() - rest.len();
            let step = |to, begin: usize, length: usize| Step {
                to,
                begin,
                end: begin + length,
            };
            if let Some(inner) = rest.strip_prefix('[') {
                let (number, after) = inner.split_once(']').ok_or_else(wrong)?;
                let index = number.parse().map_err(|_| wrong())?;
                steps.push(step(To::Index(index), begin, rest.len() - after.len()));
                rest = after;
            } else {
                let key = match rest.strip_prefix('.') {
                    Some(key) if !steps.is_empty() => key,
                    None if steps.is_empty() => rest,
                    _ => return Err(wrong()),
                };
                // Some keys are paths: `/5918`.
                let of_key = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
                let length = key.find(|c| !of_key(c)).unwrap_or(key.len());
                if length == 0 {
                    return Err(wrong());
                }
                let begin = text.len() - key.len();
                steps.push(step(To::Key(key[..length].to_owned()), begin, length));
                rest = &key[length..];
            }
        }
        match steps.first() {
            Some(Step { to: To::Key(_), .. }) => Ok(Path {
                text: text.to_owned(),
                steps,
            }),
            _ => Err(wrong()),
        }
    }

    /// The path up to and without step `number`.
    fn before(&self, number: usize) -> &str {
        match number.checked_sub(1) {
            Some(last) => &self.text[..self.steps[last].end],
            None => "",
        }
    }
}

/// The values between commas that are in no brackets, braces or quotes. As in YAML these begin where a value does: in
/// the middle of a text they are characters of it.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut begin) = (0usize, 0);
    let (mut quote, mut escaped, mut fresh) = (None, false, true);
    // Two single quotes within such are one of the text.
    let mut closed = None;
    let mut values = Vec::new();
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), c) if c == open => (quote, closed) = (None, Some(at + 1)),
            (Some(_), _) => {}
            (None, '\'') if closed == Some(at) => quote = Some(c),
            (None, '"' | '\'') if fresh => quote = Some(c),
            (None, '[' | '{') if fresh || depth > 0 => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                values.push(text[begin..at].trim());
                begin = at + 1;
            }
            (None, _) => {}
        }
        let opens = c == ',' || depth > 0 && matches!(c, '[' | '{' | ':');
        fresh = quote.is_none() && (opens || fresh && c.is_whitespace());
    }
    values.push(text[begin..].trim());
    values
}

/// The values of `FIRST..LAST:STEP UNIT`; `None` if `text` is no such thing.
fn range(text: &str) -> Result<Option<Vec<String>>, NotAParameter> {
    let Some((first, (last, step))) = text
        .split_once("..")
        .and_then(|(first, rest)| Some((first, rest.split_once(':')?)))
    else {
        return Ok(None);
    };
    let of_number = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
    let end = step.find(|c| !of_number(c)).unwrap_or(step.len());
    let (step, unit) = step.split_at(end);
    let places = [first, last, step].map(|n| n.split_once('.').map_or(0, |(_, d)| d.len()));
    let places = places.into_iter().max().unwrap_or(0);
    let Some([first, last, step]) = scaled([first, last, step], places) else {
        return Ok(None);
    };
    if step <= 0 || last < first || (last - first) / step >= MAX_VALUES {
        return Err(NotAParameter(format!(
            "`{text}` is no range: it goes up from the first to the last in steps over 0, at most \
             {MAX_VALUES} of them"
        )));
    }
    let values = (0..=(last - first) / step).map(|i| decimal(first + i * step, places) + unit);
    Ok(Some(values.collect()))
}

/// Numbers with at most `places` digits after the point, in units of the last one.
fn scaled(numbers: [&str; 3], places: usize) -> Option<[i64; 3]> {
    let one = |number: &str| {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}{}", "0".repeat(places - fraction.len()));
        let small = digits.len() <= 15 && !fraction.contains('-');
        digits.parse::<i64>().ok().filter(|_| small)
    };
    let [a, b, c] = numbers.map(one);
    Some([a?, b?, c?])
}

/// `value` in units of 10^-`places`, without zeros at the end of a fraction.
fn decimal(value: i64, places: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>1$}", value.unsigned_abs(), places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// Carries the assignments out, in their order.
pub(crate) fn assign(tree: &mut Tree, assignments: &[Assignment]) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    for (number, assignment) in assignments.iter().enumerate() {
        let again = assignments[..number]
            .iter()
            .any(|other| other.path == assignment.path);
        let path = &assignment.path;
        let outcome = if again {
            let message = format!("`{}` is set twice; remove one", path.text);
            Err(problem(number, 0, path.text.chars().count(), message))
        } else {
            value(number, assignment).and_then(|value| {
                let is_table = matches!(value.value, Value::Table(_));
                *place(tree, number, path, is_table)? = value;
                Ok(())
            })
        };
        problems.extend(outcome.err());
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

fn span(number: usize, begin: usize, length: usize) -> Span {
    Span {
        source: Source::Assignment(number),
        line: 1,
        column: begin + 1,
        length,
    }
}

fn problem(number: usize, begin: usize, length: usize, message: String) -> Diagnostic {
    Diagnostic {
        span: span(number, begin, length),
        message,
    }
}

/// The assignment's value as a tree, whose places are in the text of the assignment.
fn value(number: usize, assignment: &Assignment) -> Result<Tree, Diagnostic> {
    let before = assignment.path.text.chars().count() + 1;
    let moved = |span: &mut Span| {
        span.source = Source::Assignment(number);
        if span.line == 1 {
            span.column += before;
        }
    };
    match tree::parse(&assignment.value) {
        Ok((mut tree, twice)) if twice.is_empty() => {
            tree.for_each_span(&moved);
            Ok(tree)
        }
        Ok((_, mut twice)) => {
            let mut problem = twice.swap_remove(0);
            moved(&mut problem.span);
            Err(problem)
        }
        Err(mut problem) => {
            moved(&mut problem.span);
            Err(problem)
        }
    }
}

/// The place that a path leads to; keys that the file leaves out are made on the way, an item behind the last of a list if
/// the whole of it is given, and a node if its whole table is, which `is_table` says: by a part of one another was meant.
fn place<'t>(
    tree: &'t mut Tree,
    number: usize,
    path: &Path,
    is_table: bool,
) -> Result<&'t mut Tree, Diagnostic> {
    let is_whole = path.steps.len() == 2 && is_table;
    let mut here = tree;
    for (i, step) in path.steps.iter().enumerate() {
        let wrong = |message: String| problem(number, step.begin, step.end - step.begin, message);
        let before = path.before(i);
        let next = span(number, step.begin, step.end - step.begin);
        let is_last = i + 1 == path.steps.len();
        match (&step.to, &mut here.value) {
            (To::Key(_), empty @ Value::Empty) => *empty = Value::Table(vec![]),
            (To::Index(0), empty @ Value::Empty) if is_last => *empty = Value::List(vec![]),
            _ => {}
        }
        if let (To::Index(index), Value::List(items)) = (&step.to, &mut here.value)
            && *index == items.len()
            && is_last
        {
            items.push(Tree {
                span: next,
                value: Value::Empty,
            });
        }
        here = match (&step.to, &mut here.value) {
            (To::Key(key), Value::Table(entries)) => {
                match entries.iter().position(|(known, _)| known.text == *key) {
                    Some(at) => &mut entries[at].1,
                    None if before == "nodes" && !is_whole => {
                        let known = || entries.iter().map(|(key, _)| key.text.as_str());
                        let right = match nearest(key, known()) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("the file has {}", alternatives(known())),
                        };
                        return Err(wrong(format!("unknown node `{key}`; {right}")));
                    }
                    None => {
                        let key = Key {
                            span: next,
                            text: key.clone(),
                        };
                        let value = Value::Empty;
                        entries.push((key, Tree { span: next, value }));
                        let last = entries.len() - 1;
                        &mut entries[last].1
                    }
                }
            }
            (To::Index(index), Value::List(items)) => {
                let many = items.len();
                let what = format!("`{before}` has {many} items, counted from [0]");
                items.get_mut(*index).ok_or_else(|| wrong(what))?
            }
            (To::Key(key), Value::List(items)) => {
                let many = items.len();
                return Err(wrong(format!(
                    "`{before}` is a list of {many}: write `{before}[0].{key}` for the first"
                )));
            }
            (To::Index(_), Value::Empty) => {
                return Err(wrong(format!("the file gives no `{before}`")));
            }
            (To::Key(_), _) => return Err(wrong(format!("`{before}` is not a table"))),
            (To::Index(_), _) => return Err(wrong(format!("`{before}` is not a list"))),
        };
    }
    Ok(here)
}
