//! The sensor resources of a mobile node.

use coap::message::option;
use coap::{Code, Request, Response};
use rand_core::Rng as _;
use topology::plan::ResourcePlan;
use units::Rng;

/// Content-Format `text/plain; charset=utf-8` (RFC 7252 §12.3).
const TEXT_PLAIN: u64 = 0;
/// Content-Format `application/link-format` (RFC 7252 §12.3).
const LINK_FORMAT: u64 = 40;

/// The resources of one node: readings that wander with the seed, padded to their size.
#[derive(Debug)]
pub struct Resources {
    resources: Vec<ResourcePlan>,
    /// Tenths of a unit; one reading for all resources.
    reading: i32,
    rng: Rng,
}

impl Resources {
    /// Serves `resources`.
    pub fn new(resources: Vec<ResourcePlan>, rng: Rng) -> Resources {
        Resources {
            resources,
            reading: 215,
            rng,
        }
    }

    /// The answer to a request that is not CoMP's.
    pub fn answer(&mut self, request: &Request) -> Response {
        let path = request.path();
        if path == "/.well-known/core" {
            return self.links(request.method);
        }
        let Some(resource) = self.resources.iter().find(|r| r.path == path) else {
            return Response::diagnostic(Code::NOT_FOUND, &format!("no resource {path}"));
        };
        if request.method != Code::GET {
            return Response::diagnostic(Code::METHOD_NOT_ALLOWED, "a sensor is read with GET");
        }
        let size = usize::try_from(resource.size.0).unwrap_or(usize::MAX);
        self.reading = (self.reading + (self.rng.next_u32() % 3) as i32 - 1).clamp(-400, 850);
        let mut payload = format!("{:.1}", f64::from(self.reading) / 10.0).into_bytes();
        payload.resize(size, b' ');
        content(TEXT_PLAIN, payload)
    }

    /// `/.well-known/core` in link format (RFC 6690).
    fn links(&self, method: Code) -> Response {
        if method != Code::GET {
            return Response::new(Code::METHOD_NOT_ALLOWED);
        }
        let mut links: Vec<String> = self
            .resources
            .iter()
            .map(|r| format!("<{}>;ct=0;sz={}", r.path, r.size.0))
            .collect();
        links.push("</comp>".into());
        content(LINK_FORMAT, links.join(",").into_bytes())
    }
}

fn content(format: u64, payload: Vec<u8>) -> Response {
    let mut response = Response {
        payload,
        ..Response::new(Code::CONTENT)
    };
    response.options.push_uint(option::CONTENT_FORMAT, format);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::{ByteSize, Seed};

    fn resources() -> Resources {
        let plan = ResourcePlan {
            path: "/temperature".into(),
            size: ByteSize(16),
        };
        Resources::new(vec![plan], Seed(1).rng(&["resource"]))
    }

    #[test]
    fn a_reading_has_the_size_of_its_resource() {
        let answer = resources().answer(&Request::new(Code::GET, "/temperature"));
        assert_eq!(answer.code, Code::CONTENT);
        assert_eq!(answer.payload.len(), 16);
        let text = String::from_utf8(answer.payload).unwrap();
        assert!((text.trim().parse::<f64>().unwrap() - 21.5).abs() < 0.15);
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        let mut resources = resources();
        assert_eq!(
            resources.answer(&Request::new(Code::GET, "/x")).code,
            Code::NOT_FOUND
        );
        let put = Request::new(Code::PUT, "/temperature");
        assert_eq!(resources.answer(&put).code, Code::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn the_links_name_every_resource() {
        let answer = resources().answer(&Request::new(Code::GET, "/.well-known/core"));
        assert_eq!(answer.payload, b"</temperature>;ct=0;sz=16,</comp>");
        assert_eq!(answer.options.get(option::CONTENT_FORMAT), Some(&[40][..]));
    }
}
