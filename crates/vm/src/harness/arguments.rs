//! The part of libtest's command line that matters to `cargo test` and nextest.

/// What to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub list: bool,
    pub quiet: bool,
    pub show_output: bool,
    /// Only tests marked as ignored: there are none.
    pub ignored: bool,
    exact: bool,
    filters: Vec<String>,
    skip: Vec<String>,
}

impl Arguments {
    /// # Errors
    /// An option that libtest does not have, or one without its value.
    pub(super) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Arguments, String> {
        let mut parsed = Arguments::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, mut value) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => {
                    (name.to_string(), Some(value.to_string()))
                }
                _ => (argument.clone(), None),
            };
            let mut value = || {
                value
                    .take()
                    .or_else(|| arguments.next())
                    .ok_or_else(|| format!("{name} needs a value"))
            };
            match name.as_str() {
                "--list" => parsed.list = true,
                "--exact" => parsed.exact = true,
                "-q" | "--quiet" => parsed.quiet = true,
                "--show-output" | "--nocapture" | "--no-capture" => parsed.show_output = true,
                "--ignored" => parsed.ignored = true,
                "--skip" => parsed.skip.push(value()?),
                "--format" => parsed.quiet |= value()? == "terse",
                // They have no meaning for one VM that runs one test after the other.
                "--test-threads" | "--color" | "--logfile" | "-Z" => drop(value()?),
                "--include-ignored" | "--test" | "--bench" | "--report-time" => {}
                option if option.starts_with('-') => {
                    return Err(format!("unknown option {option}"));
                }
                _ => parsed.filters.push(argument),
            }
        }
        Ok(parsed)
    }

    pub(super) fn selects(&self, name: &str) -> bool {
        let matches = |pattern: &String| match self.exact {
            true => name == pattern,
            false => name.contains(pattern.as_str()),
        };
        let wanted = self.filters.is_empty() || self.filters.iter().any(matches);
        wanted && !self.skip.iter().any(matches) && !self.ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Arguments {
        Arguments::parse(line.split_whitespace().map(str::to_string)).unwrap()
    }

    #[test]
    fn a_filter_selects_by_part_of_the_name_and_exact_by_all_of_it() {
        let names = ["link_up", "link_up_again", "move"];
        let selected = |line: &str| -> Vec<&str> {
            let arguments = parse(line);
            names.into_iter().filter(|n| arguments.selects(n)).collect()
        };
        assert_eq!(selected(""), names);
        assert_eq!(selected("link"), ["link_up", "link_up_again"]);
        assert_eq!(selected("--exact link_up --nocapture"), ["link_up"]);
        assert_eq!(selected("--skip again"), ["link_up", "move"]);
        assert_eq!(selected("--skip=again link --test-threads 1"), ["link_up"]);
        assert_eq!(selected("--ignored"), [""; 0]);
    }

    #[test]
    fn the_listing_calls_of_nextest_are_understood() {
        assert!(parse("--list --format terse").list);
        let ignored = parse("--list --format=terse --ignored");
        assert!(ignored.list && ignored.ignored);
    }

    #[test]
    fn an_unknown_option_is_an_error() {
        assert!(Arguments::parse(["--frob".to_string()]).is_err());
        assert!(Arguments::parse(["--skip".to_string()]).is_err());
    }
}
