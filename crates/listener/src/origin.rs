//! Whom a request names, and whose page has sent it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a browser says of a page of this origin, and of an address that somebody types.
const OWN_SITES: [&[u8]; 2] = [b"same-origin", b"none"];

/// Why a request is refused before anybody looks at what it asks for; its text is for who has sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// There is no Host, or more than one.
    Unnamed(&'static str),
    /// Its Host is none that is answered to.
    Misdirected,
    /// A page of another origin has sent it.
    Foreign,
}

impl Stranger {
    /// The status of the refusal.
    pub fn status(self) -> StatusCode {
        match self {
            Stranger::Unnamed(_) => StatusCode::BAD_REQUEST,
            Stranger::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Stranger::Foreign => StatusCode::FORBIDDEN,
        }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stranger::Unnamed(reason) => reason,
            Stranger::Misdirected => "not answered to as this host",
            Stranger::Foreign => "asked by a page of another origin",
        })
    }
}

/// Whether it is asked as who it is, which `is_own` says of a Host, and not by a page of somebody else's. A browser sends
/// no `Origin` for what a page embeds, but says from where it comes (Fetch Metadata). With `is_page` a link that somebody
/// follows may lead here from anywhere.
///
/// # Errors
/// It is not.
pub fn check(
    uri: &Uri,
    headers: &HeaderMap,
    is_own: impl FnOnce(&str) -> bool,
    is_page: bool,
) -> Result<(), Stranger> {
    if headers.get_all(HOST).iter().count() > 1 {
        let reason = "there is more than one Host (RFC 9112 §3.2)";
        return Err(Stranger::Unnamed(reason));
    }
    let header = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = (uri.authority().map(Authority::as_str).or(header))
        .ok_or(Stranger::Unnamed("there is no Host (RFC 9112 §3.2)"))?;
    if !is_own(host) {
        return Err(Stranger::Misdirected);
    }
    let foreign = |origin: &HeaderValue| origin.as_bytes() != format!("http://{host}").as_bytes();
    let elsewhere = |site: &HeaderValue| !OWN_SITES.contains(&site.as_bytes());
    let comes_from_elsewhere = headers.get(SEC_FETCH_SITE).is_some_and(elsewhere);
    if headers.get(ORIGIN).is_some_and(foreign) || comes_from_elsewhere && !is_page {
        return Err(Stranger::Foreign);
    }
    Ok(())
}

/// Whom a Host header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// An address, which nobody can point at another machine.
    Address(IpAddr),
    /// A name, which whoever owns it can.
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// Reads `text`, an address or a name with or without a port; `None` if it is none (RFC 9110 §7.2).
    pub fn of(text: &'a str) -> Option<Host<'a>> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let name = match bracketed {
            Some((inner, "")) => inner,
            Some((inner, port)) => port
                .strip_prefix(':')
                .filter(|p| is_port(p))
                .map(|_| inner)?,
            None => match text.split_once(':') {
                Some((name, port)) => is_port(port).then_some(name)?,
                None => text,
            },
        };
        match bracketed {
            Some(_) => (name.parse::<Ipv6Addr>().ok()).map(|address| Host::Address(address.into())),
            None => Some(match name.parse::<Ipv4Addr>() {
                Ok(address) => Host::Address(address.into()),
                Err(_) => Host::Name(name),
            }),
        }
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}
