//! A client in a browser: one page that needs nothing beside itself, and asks this gateway.

use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode};

use crate::web::Response;

/// Where it is.
pub(super) const PATH: &str = "/";

/// Its own style and script run, and no other; it talks to where it is from, and is in nobody's frame.
const POLICY: &str = "default-src 'none'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     style-src 'sha256-0Qm5K9BTuk4jlmKE7shn11E3P4t8xwyGy3Vmk+0Afjo='; script-src 'sha256-joE5p9oPbFiwbqPqO8eG8eHROtKv39wrq75Ze7pE2eE='";

const PAGE: &str = concat!(
    include_str!("page/head.html"),
    "<style>",
    include_str!("page/page.css"),
    "</style>",
    include_str!("page/body.html"),
    "<script>",
    include_str!("page/coap.js"),
    include_str!("page/page.js"),
    "</script>\n</body>\n</html>\n"
);

/// The page.
pub(super) fn answer() -> Response {
    let policy = HeaderValue::from_static(POLICY);
    let no_referrer = HeaderValue::from_static("no-referrer");
    Response {
        content_type: Some(HeaderValue::from_static("text/html;charset=utf-8")),
        headers: vec![
            (CONTENT_SECURITY_POLICY, policy),
            (REFERRER_POLICY, no_referrer),
        ],
        body: PAGE.into(),
        ..Response::new(StatusCode::OK)
    }
}

#[cfg(test)]
mod browser;

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_policy_lets_the_pages_own_style_and_script_run_and_no_other() {
        for (name, directive) in [("style", "style-src"), ("script", "script-src")] {
            let (_, rest) = PAGE.split_once(&format!("<{name}>")).unwrap();
            let (text, rest) = rest.split_once(&format!("</{name}>")).unwrap();
            assert!(!rest.contains(&format!("<{name}")), "one alone");
            let hash = STANDARD.encode(Sha256::digest(text));
            let expected = format!("{directive} 'sha256-{hash}'");
            assert!(POLICY.contains(&expected), "{expected}");
        }
    }

    /// Neither a network nor anything in an attribute, which the policy would not let run.
    #[test]
    fn the_page_needs_nothing_beside_itself() {
        for elsewhere in [
            "http://",
            "https://",
            "src=",
            "@import",
            "url(",
            " style=",
            " onclick=",
        ] {
            assert!(!PAGE.contains(elsewhere), "{elsewhere}");
        }
    }
}
