//! `made.json`: when and by which command a directory was made.

use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// When and by which command a run or a sweep was made. It is the caller's, not the run's: of two
/// runs that agree to the byte it is the one file that differs, and nothing is measured by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// When the command began, UTC: `2026-11-29T04:05:06Z` (RFC 3339).
    pub started: String,
    /// The command line, as a shell reads it.
    pub command: String,
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
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// Writes `made.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text)
    }
}

/// `time` in UTC to the second, `2026-11-29T04:05:06Z` (RFC 3339); before 1970 its beginning.
pub fn utc(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.unwrap_or(Duration::ZERO).as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March end with the leap day; 400 of them have 146,097 days. Day 0 is
    // 1 March of the year 0 (Hinnant, "chrono-compatible low-level date algorithms").
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + later;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
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
}
