//! `wpanlab analyze`: captures taken anywhere.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context, Error, Result};
use measure::analysis::{Analysis, Options};
use measure::export::Report;
use measure::text::{self, Table};
use serde_json::json;

use crate::cli::AnalyzeArgs;
use crate::failure::{self, NothingSeen, Refused};
use crate::{Outcome, Say, output};

/// Measures what can be read of the captures, and says what cannot.
pub fn analyze(args: &AnalyzeArgs, say: Say) -> Result<Outcome> {
    if args.self_test {
        return self_test(say);
    }
    let (analysis, unread) = measure::analyze(&args.captures, &options(args)?);
    // Of files none of which is a capture there is nothing to report.
    let nothing_read = unread.len() == args.captures.len() && analysis.other.frames == 0;
    if !nothing_read {
        report(&analysis, args, say)?;
    }
    let mut worst = 0;
    for error in unread {
        worst = worst.max(failure::tell(&Error::from(error), say.json));
    }
    let empty = analysis.flows.is_empty() && analysis.signalling.is_empty();
    if empty && !nothing_read && say.json {
        // The text has said it already.
        failure::tell(&NothingSeen(text::nothing(&analysis)).into(), say.json);
    }
    Ok(match worst {
        failure::BAD_INPUT => Outcome::BadInput,
        0 if !empty => Outcome::Passed,
        _ => Outcome::Failed,
    })
}

fn report(analysis: &Analysis, args: &AnalyzeArgs, say: Say) -> Result<()> {
    if say.json {
        return output::json(&Report::of(analysis));
    }
    let table = match (args.all, say.quiet) {
        (true, _) => Table::All,
        (false, false) => Table::Notable,
        (false, true) => Table::None,
    };
    out!("{}", text::report(analysis, table));
    Ok(())
}

fn options(args: &AnalyzeArgs) -> Result<Options> {
    let mut options = Options::default();
    options.ports.extend(&args.port);
    options.nodes = nodes(&args.node)?;
    if let Some(span) = args.max_transmit_span {
        options.max_transmit_span = span;
    }
    if let Some(times) = args.max_retransmit {
        options.max_retransmit = times;
    }
    options.decode.contexts = args.context.iter().copied().collect();
    Ok(options)
}

/// Names by address; an address has one.
fn nodes(named: &[(String, Vec<IpAddr>)]) -> Result<BTreeMap<IpAddr, String>> {
    let mut names = BTreeMap::new();
    for (name, addresses) in named {
        for address in addresses {
            let before = names.insert(*address, name.clone());
            if let Some(other) = before.filter(|other| other != name) {
                let text = format!("--node: {address} is given to `{other}` and to `{name}`");
                return Err(Refused(text).into());
            }
        }
    }
    Ok(names)
}

fn self_test(say: Say) -> Result<Outcome> {
    measure::selftest().context("self-test")?;
    if say.json {
        output::json(&json!({ "self_test": "passed" }))?;
    } else {
        outln!("self-test passed: a known gap was measured back to within 1 ms");
    }
    Ok(Outcome::Passed)
}
