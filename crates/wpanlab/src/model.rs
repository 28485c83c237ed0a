//! `wpanlab model`: the CoMP paper's delay and loss model.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use comp_model::{FigureNumber, Model};
use serde::Serialize;

use crate::Outcome;
use crate::cli::{FormatArg, ModelArgs};
use crate::failure::Refused;

/// Prints the model's tables and figures, or one figure, or writes them into a directory.
pub fn model(args: &ModelArgs, json: bool, quiet: bool) -> Result<Outcome> {
    let request = request(args, json).map_err(Refused)?;
    answer(&request, quiet)?;
    Ok(Outcome::Passed)
}

/// What was asked for, checked.
struct Request<'a> {
    model: Model,
    figure: Option<FigureNumber>,
    format: FormatArg,
    out: Option<&'a Path>,
}

fn request(args: &ModelArgs, json: bool) -> Result<Request<'_>, String> {
    let model = Model::with(&args.set).map_err(|error| format!("--set {error}"))?;
    let figure = args.figure.and_then(FigureNumber::of_number);
    if let Some(figure) = figure {
        for name in args.set.iter().map(|set| comp_model::assign::name_of(set)) {
            if let Some(how) = figure.decides(name, &model.readings) {
                let number = figure.number();
                return Err(format!(
                    "--set {name}: figure {number} {how}; expected a parameter that it leaves free"
                ));
            }
        }
    }
    let format = match (args.format, json) {
        (Some(FormatArg::Json) | None, true) => FormatArg::Json,
        (Some(_), true) => return Err("--json: expected no other --format than json".into()),
        (Some(format), false) => format,
        (None, false) => FormatArg::Text,
    };
    if format == FormatArg::Csv && figure.is_none() {
        return Err("--format csv: expected --figure 15, 16 or 17".into());
    }
    Ok(Request {
        model,
        figure,
        format,
        out: args.out.as_deref(),
    })
}

fn answer(request: &Request, quiet: bool) -> Result<()> {
    let model = &request.model;
    if let Some(dir) = request.out {
        let written = write_all(model, dir)?;
        if request.format == FormatArg::Text {
            if !quiet {
                out!("{written}");
            }
            return Ok(());
        }
    }
    match (request.figure, request.format) {
        (None, FormatArg::Json) => out!("{}", document(&model.report())?),
        (None, _) => out!("{}", comp_model::text::report(&model.report())),
        (Some(figure), FormatArg::Json) => {
            out!("{}", document(&model.figure_report(figure))?);
        }
        (Some(figure), FormatArg::Csv) => {
            out!("{}", model.figure(figure).csv());
            // A comment would not be CSV: the readings go beside it.
            if !quiet {
                let readings = comp_model::text::reading_lines(&model.readings());
                errln!("{}", readings.trim_end());
            }
        }
        (Some(figure), FormatArg::Text) => {
            out!(
                "{}",
                comp_model::text::figure_report(&model.figure_report(figure))
            );
        }
    }
    Ok(())
}

/// Writes `model.json` and one CSV file per figure; gives their paths, one per line.
fn write_all(model: &Model, dir: &Path) -> Result<String> {
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    let mut files = vec![("model.json".to_owned(), document(&model.report())?)];
    for figure in FigureNumber::ALL {
        let name = format!("figure-{}.csv", figure.number());
        files.push((name, model.figure(figure).csv()));
    }
    let mut written = String::new();
    for (name, text) in files {
        let path = dir.join(name);
        files::Tree::new(dir)
            .replace(&path, text.as_bytes())
            .with_context(|| format!("write {}", path.display()))?;
        written.push_str(&format!("{}\n", path.display()));
    }
    Ok(written)
}

fn document(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).context("JSON of the model")?;
    Ok(text + "\n")
}
