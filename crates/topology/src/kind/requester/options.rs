//! The options of a request: within the bounds that its node keeps, and no second way to say what a
//! poll has a key for.

use super::{CoapOption, OptionPlan, Payload, Poll};
use crate::resolve::Resolver;

/// Most bytes of a part of the query (RFC 7252 §5.10, table 4).
const MAX_QUERY: usize = 255;

/// Most bytes of a further option: what fits a datagram with blocks of 1 KiB.
const MAX_OPTION: usize = 1024;

/// Options that are not a poll's to give (RFC 7252 §5.10, RFC 7641, RFC 7959), and what to write
/// instead.
const NOT_FURTHER: [(u16, &str, &str); 10] = [
    (3, "Uri-Host", "who is asked is said by `node`"),
    (6, "Observe", "write `observe: true` at the poll"),
    (7, "Uri-Port", "who is asked is said by `node`"),
    (11, "Uri-Path", "write `path` at the poll"),
    (12, "Content-Format", "write `content_format` at the poll"),
    (15, "Uri-Query", "write `query` at the poll"),
    (17, "Accept", "write `accept` at the poll"),
    (
        23,
        "Block2",
        "blocks are made by the node, as the `block_size` of its `coap` says",
    ),
    (
        27,
        "Block1",
        "blocks are made by the node, as the `block_size` of its `coap` says",
    ),
    (
        35,
        "Proxy-Uri",
        "who is asked is said by `node`, and for what by `path`",
    ),
];

impl Poll {
    /// The query, part by part.
    pub(super) fn queries(&self, r: &mut Resolver<'_>, path: &str) -> Vec<String> {
        let parts = self.query.iter().flatten().enumerate();
        for (i, part) in parts {
            let bytes = part.value.len();
            if bytes > MAX_QUERY {
                let message = format!(
                    "`{path}.query[{i}]`: {bytes} bytes are more than the {MAX_QUERY} of a part of \
                     a query (RFC 7252 §5.10); write it in several parts"
                );
                r.problem(part.span, message);
            }
        }
        let parts = self.query.iter().flatten();
        parts.map(|part| part.value.clone()).collect()
    }

    /// Further options, by number.
    pub(super) fn options(&self, r: &mut Resolver<'_>, path: &str) -> Vec<OptionPlan> {
        let given = self.options.iter().flatten().enumerate();
        let mut options: Vec<OptionPlan> = given
            .filter_map(|(i, option)| option.plan(r, &format!("{path}.options[{i}]")))
            .collect();
        options.sort_by_key(|option| option.number);
        options
    }
}

impl CoapOption {
    /// The option at `path`, if it has a number that one can have.
    fn plan(&self, r: &mut Resolver<'_>, path: &str) -> Option<OptionPlan> {
        let given = self.number.value;
        let Ok(number) = u16::try_from(given) else {
            let message = format!("`{path}.number`: `{given}` is not an option number up to 65535");
            r.problem(self.number.span, message);
            return None;
        };
        let other = NOT_FURTHER.iter().find(|(taken, ..)| *taken == number);
        if let Some((_, name, instead)) = other {
            let message = format!("`{path}.number`: `{number}` is {name}; {instead}");
            r.problem(self.number.span, message);
        }
        let value = self.value.as_ref().map(Payload::bytes).unwrap_or_default();
        let bytes = value.0.len();
        if let Some(text) = self.value.as_ref().filter(|_| bytes > MAX_OPTION) {
            let message = format!(
                "`{path}.value`: {bytes} bytes are more than the {MAX_OPTION} of an option; write a \
                 shorter one"
            );
            r.problem(text.span(), message);
        }
        Some(OptionPlan { number, value })
    }
}
