//! `/.well-known/core`: the CoRE Link Format (RFC 6690). A server's own resources are [`Link`]s;
//! what others have written is read by [`parse`].

mod parse;

use crate::message::{Code, Request, Response, option};
pub use parse::{Attribute, Expected, ParseError, ParsedLink, parse};

/// The path of the list of links (RFC 6690 §4).
pub const WELL_KNOWN_CORE: &str = "/.well-known/core";

/// Content-Format `application/link-format` (RFC 7252 §12.3).
pub const LINK_FORMAT: u16 = 40;

/// A resource that a server hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its path, `/temperature`.
    pub path: String,
    /// Of whom it is said, if that is not the server: a URI, `anchor` (§2.1).
    pub anchor: Option<String>,
    /// Resource types, `rt` (§3.1).
    pub types: Vec<String>,
    /// Interface descriptions, `if` (§3.2).
    pub interfaces: Vec<String>,
    /// Content-Format, `ct` (RFC 7252 §7.2.1).
    pub content_format: Option<u16>,
    /// Size of its representation in bytes, `sz` (§3.3).
    pub size: Option<u64>,
    /// Whether it can be observed, `obs` (RFC 7641 §6).
    pub observable: bool,
}

impl Link {
    /// A resource of which nothing but the path is told.
    pub fn new(path: &str) -> Link {
        Link {
            path: path.to_owned(),
            ..Link::default()
        }
    }

    /// The values of an attribute to filter by; none if it has not the attribute.
    fn values(&self, name: &str) -> Option<Vec<String>> {
        let list = |values: &Vec<String>| (!values.is_empty()).then(|| values.clone());
        match name {
            "href" => Some(vec![self.path.clone()]),
            "anchor" => self.anchor.clone().map(|anchor| vec![anchor]),
            "rt" => list(&self.types),
            "if" => list(&self.interfaces),
            "ct" => self.content_format.map(|format| vec![format.to_string()]),
            "sz" => self.size.map(|size| vec![size.to_string()]),
            "obs" => self.observable.then(|| vec![String::new()]),
            _ => None,
        }
    }

    /// Whether `name=value` is true of it. "If the decoded value ends with '*', [...] the
    /// attribute value only needs to begin with it"; of `rt` and `if`, which are lists, one
    /// value has to match (§4.1).
    fn matches(&self, query: &str) -> bool {
        let (name, wanted) = match query.split_once('=') {
            Some((name, wanted)) => (name, Some(wanted)),
            None => (query, None),
        };
        let Some(values) = self.values(name) else {
            return false;
        };
        let Some(wanted) = wanted else {
            return true;
        };
        values.iter().any(|value| match wanted.strip_suffix('*') {
            Some(prefix) => value.starts_with(prefix),
            None => value == wanted,
        })
    }

    /// `</temperature>;rt="temperature";ct=0;sz=16;obs`
    fn format(&self) -> String {
        let mut text = format!("<{}>", self.path);
        if let Some(anchor) = &self.anchor {
            text += &format!(";anchor={}", parse::quoted(anchor));
        }
        for (name, values) in [("rt", &self.types), ("if", &self.interfaces)] {
            if !values.is_empty() {
                text += &format!(";{name}={}", parse::quoted(&values.join(" ")));
            }
        }
        if let Some(format) = self.content_format {
            text += &format!(";ct={format}");
        }
        if let Some(size) = self.size {
            text += &format!(";sz={size}");
        }
        if self.observable {
            text += ";obs";
        }
        text
    }
}

/// The answer to a request for [`WELL_KNOWN_CORE`]: `links`, of which only those that fit all of
/// the request's queries (§4.1 knows one; several have to be true together).
pub fn answer(request: &Request, links: &[Link]) -> Response {
    if request.method != Code::GET {
        return Response::diagnostic(Code::METHOD_NOT_ALLOWED, "GET only");
    }
    let queries: Vec<String> = (request.options.get_all(option::URI_QUERY))
        .map(|query| String::from_utf8_lossy(query).into_owned())
        .collect();
    let fitting = links
        .iter()
        .filter(|link| queries.iter().all(|q| link.matches(q)));
    let formatted: Vec<String> = fitting.map(Link::format).collect();
    let mut response = Response {
        payload: formatted.join(",").into_bytes(),
        ..Response::new(Code::CONTENT)
    };
    response
        .options
        .push_uint(option::CONTENT_FORMAT, u64::from(LINK_FORMAT));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Vec<Link> {
        // RFC 6690 §5, first example, and one of RFC 7641 §6.
        vec![
            Link {
                types: vec!["temperature-c".into()],
                interfaces: vec!["sensor".into()],
                ..Link::new("/sensors/temp")
            },
            Link {
                types: vec!["light-lux".into(), "core.sen-light".into()],
                interfaces: vec!["sensor".into()],
                ..Link::new("/sensors/light")
            },
            Link {
                content_format: Some(0),
                size: Some(2048),
                observable: true,
                ..Link::new("/image")
            },
        ]
    }

    fn asked(queries: &[&str]) -> String {
        let mut request = Request::new(Code::GET, WELL_KNOWN_CORE);
        for query in queries {
            request.options.push(option::URI_QUERY, query.as_bytes());
        }
        let response = answer(&request, &links());
        assert_eq!(response.code, Code::CONTENT);
        assert_eq!(response.options.get_uint(option::CONTENT_FORMAT), Some(40));
        String::from_utf8(response.payload).unwrap()
    }

    const TEMP: &str = "</sensors/temp>;rt=\"temperature-c\";if=\"sensor\"";
    const LIGHT: &str = "</sensors/light>;rt=\"light-lux core.sen-light\";if=\"sensor\"";
    const IMAGE: &str = "</image>;ct=0;sz=2048;obs";

    #[test]
    fn without_a_query_all_links_are_listed() {
        assert_eq!(asked(&[]), [TEMP, LIGHT, IMAGE].join(","));
    }

    /// §5: `GET /.well-known/core?rt=light-lux`; §4.1: `?href=/foo*`, `?rt=*`.
    #[test]
    fn queries_filter_by_value_prefix_and_presence() {
        assert_eq!(asked(&["rt=light-lux"]), LIGHT);
        assert_eq!(asked(&["rt=core.sen-light"]), LIGHT);
        assert_eq!(asked(&["rt=core"]), "");
        assert_eq!(asked(&["href=/sensors*"]), [TEMP, LIGHT].join(","));
        assert_eq!(asked(&["href=/image"]), IMAGE);
        assert_eq!(asked(&["rt=*"]), [TEMP, LIGHT].join(","));
        assert_eq!(asked(&["obs"]), IMAGE);
        assert_eq!(asked(&["ct=0", "sz=2048"]), IMAGE);
        assert_eq!(asked(&["title=x"]), "");
    }

    /// §2.1; RFC 8075 §5.5.1, the first example.
    #[test]
    fn a_link_of_somebody_elses_has_its_anchor() {
        let link = Link {
            anchor: Some("https://p.example.com".into()),
            types: vec!["core.hc".into()],
            ..Link::new("/hc/")
        };
        let mut request = Request::new(Code::GET, WELL_KNOWN_CORE);
        request.options.push(option::URI_QUERY, "anchor=https*");
        let told = answer(&request, &[link, Link::new("/image")]).payload;
        let expected = "</hc/>;anchor=\"https://p.example.com\";rt=\"core.hc\"";
        assert_eq!(String::from_utf8(told).unwrap(), expected);
    }

    #[test]
    fn other_methods_are_refused() {
        let put = Request::new(Code::PUT, WELL_KNOWN_CORE);
        assert_eq!(answer(&put, &links()).code, Code::METHOD_NOT_ALLOWED);
    }
}
