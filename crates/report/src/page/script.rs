//! The page's own script, and the policy that lets no other one run.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

/// In the order in which they use each other.
const FILES: [&str; 5] = [
    include_str!("sort.js"),
    include_str!("values.js"),
    include_str!("draw.js"),
    include_str!("cursor.js"),
    include_str!("instant.js"),
];

static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let lines = FILES.iter().flat_map(|file| file.lines());
    let lines = lines
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"));
    let text: Vec<&str> = lines.collect();
    // In HTML a comment; in XML, where the script's `<` and `&` would be markup, their end.
    format!("//<![CDATA[\n\"use strict\";\n{}\n//]]>", text.join("\n"))
});

/// The script as it stands in every page, without its comments.
pub fn script() -> &'static str {
    &SCRIPT
}

/// The script as a content security policy names it (CSP Level 3 §2.3.1): `'sha256-…'`.
pub fn source() -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(script()));
    format!("'sha256-{hash}'")
}

/// The page's policy: nothing is fetched from anywhere, and no other script runs, whatever the page holds.
pub fn policy() -> String {
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {}; base-uri 'none'; form-action 'none'",
        source()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_stands_in_html_and_in_xml_as_it_is() {
        let script = script();
        for wrong in ["</script", "<!--", "<script"] {
            assert!(!script.contains(wrong), "{wrong}");
        }
        assert_eq!(
            script.matches("]]>").count(),
            1,
            "the end of what XML is not to read"
        );
        // What a page holds is text, and stays so.
        for wrong in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "Function(",
            "document.write",
        ] {
            assert!(!script.contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn no_line_of_the_script_is_within_a_text_of_several() {
        for file in FILES {
            for (number, line) in (1..).zip(file.lines()) {
                let is_even = line.matches('`').count().is_multiple_of(2);
                assert!(is_even, "line {number}: {line}");
            }
        }
    }
}
