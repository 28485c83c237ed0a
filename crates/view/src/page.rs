//! The page: one file, with a policy that lets its own script and style in and nothing else.

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

const HTML: &str = include_str!("page/page.html");
const CSS: &str = include_str!("page/page.css");
/// In the order in which they use each other.
const SCRIPTS: [&str; 8] = [
    include_str!("page/model.js"),
    include_str!("page/draw.js"),
    include_str!("page/panel.js"),
    include_str!("page/air.js"),
    include_str!("page/player.js"),
    include_str!("page/run.js"),
    include_str!("page/act.js"),
    include_str!("page/main.js"),
];

/// The page and its policy.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) html: String,
    pub(crate) policy: HeaderValue,
}

impl Page {
    pub(crate) fn new() -> Page {
        let script = format!("\"use strict\";\n{}", SCRIPTS.concat());
        let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(&script),
            hash(CSS)
        );
        let html = HTML.replacen("/*style*/", CSS, 1);
        Page {
            html: html.replacen("/*script*/", &script, 1),
            policy: HeaderValue::try_from(policy).expect("it has visible ASCII only"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_everything_and_names_nothing_elsewhere() {
        let Page { html, policy } = Page::new();
        assert!(!html.contains("/*style*/") && !html.contains("/*script*/"));
        assert_eq!(html.matches("</script").count(), 1);
        assert_eq!(html.matches("</style").count(), 1);
        for outside in ["http://", "https://", "innerHTML", "eval("] {
            assert!(!html.contains(outside), "{outside}");
        }
        let policy = policy.to_str().unwrap();
        assert_eq!(policy.matches("'sha256-").count(), 2);
        assert!(!policy.contains("unsafe"));
    }
}
