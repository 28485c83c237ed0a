//! `made.json`: when and by which command a directory was made.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::json;

/// When and by which command a run or a sweep was made. It is the caller's, not the run's: of two
/// runs that agree to the byte it is the one file that differs, and nothing is measured by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// When the command began, UTC: `2026-11-29T04:05:06Z` (RFC 3339).
    pub started: String,
    /// The command line, as a shell reads it.
    pub command: String,
    /// Of a run: the command that has it again, and nothing of where it was and how it was looked at. With `verify` in the place of
    /// `run` it is made several times and compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
    /// What was said of the topology before the run: `FILE:LINE: MESSAGE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Made {
    /// Reads `made.json`.
    ///
    /// # Errors
    /// The file cannot be read, or is not what [`Made::write`] writes.
    pub fn read(path: &Path) -> io::Result<Made> {
        json::read(path)
    }

    /// Writes `made.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        json::write(self, path)
    }
}

/// `time` in UTC to the second, `2026-11-29T04:05:06Z` (RFC 3339); before 1970 its beginning.
pub fn utc(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time.max(SystemTime::UNIX_EPOCH)).to_string()
}

/// Words as a shell reads them.
pub fn command_line(words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    words.join(" ")
}

/// `word` as a shell reads it as one.
pub fn quoted(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_told_as_date_does() {
        // By `date -u -d @SECONDS +%FT%TZ`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_925_106, "2026-11-29T04:05:06Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(utc(time), expected, "{seconds}");
        }
    }

    #[test]
    fn what_was_made_has_the_documented_form() {
        let mut made = Made {
            started: "2026-11-29T04:05:06Z".into(),
            command: "wpanlab run x.yaml".into(),
            again: None,
            warnings: vec![],
        };
        let text = serde_json::to_string(&made).unwrap();
        assert_eq!(
            text,
            r#"{"started":"2026-11-29T04:05:06Z","command":"wpanlab run x.yaml"}"#
        );
        made.warnings.push("x.yaml:5: nobody asks it".into());
        let text = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<Made>(&text).unwrap(), made);
    }

    #[test]
    fn a_shell_reads_each_word_as_it_was() {
        assert_eq!(quoted("a.b=10".into()), "a.b=10");
        assert_eq!(quoted("a=10 ms".into()), "'a=10 ms'");
        assert_eq!(quoted("a[0]='x'".into()), r"'a[0]='\''x'\'''");
        assert_eq!(quoted(String::new()), "''");
    }
}
