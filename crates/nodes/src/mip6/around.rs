//! The headers around a Mobility Header, as the socket and as the machines have them.

use driver::raw::{Arrival, Departure};
use mip6::Headers;
use mip6::headers::{
    InvalidHeader, Tunnel, home_address_header, read_home_address, read_routing_header,
    routing_header,
};

/// Next Header in an extension header, which the kernel fills in.
const FILLED_IN: u8 = 0;
/// Where a routing header has its Segments Left.
const SEGMENTS_LEFT: usize = 3;

/// What is on the wire around a message that has come, in `tunnel` if it is from there. The kernel has
/// put home addresses where care-of addresses were, and has counted the segment of a routing header.
///
/// # Errors
/// What makes a packet one to drop; the kernel has let it through.
pub(super) fn arrived(arrival: &Arrival, tunnel: Option<Tunnel>) -> Result<Headers, InvalidHeader> {
    let mut headers = Headers {
        tunnel,
        ..Headers::between(arrival.source, arrival.destination)
    };
    for options in &arrival.destination_options {
        if let Some(care_of) = read_home_address(options)? {
            headers = Headers {
                source: care_of,
                ..headers.from_home(arrival.source)
            };
        }
    }
    if let Some(mut routing) = arrival.routing.clone() {
        if let Some(left) = routing.get_mut(SEGMENTS_LEFT) {
            *left = 1;
        }
        if let Some(care_of) = read_routing_header(&routing)? {
            headers = Headers {
                destination: care_of,
                ..headers.to_home(arrival.destination)
            };
        }
    }
    Ok(headers)
}

/// How a message is to be sent that is to have `headers` on the wire. That it goes into a tunnel is the
/// route's doing.
pub(super) fn departing(headers: &Headers) -> Departure {
    let option = |home| home_address_header(FILLED_IN, home).to_vec();
    let by_way_of = |care_of| routing_header(FILLED_IN, care_of).to_vec();
    Departure {
        source: headers.source,
        destination: headers.receiver(),
        destination_options: headers.home_address.map(option),
        routing: headers.routing.map(|_| by_way_of(headers.destination)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 5);
    const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 5);
    const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);

    /// What Linux makes of a packet with these headers.
    fn by_linux(departure: &Departure) -> Arrival {
        let Departure {
            source,
            destination,
            destination_options,
            routing,
        } = departure.clone();
        let mut arrival = Arrival {
            source,
            destination,
            ifindex: 2,
            destination_options: destination_options.into_iter().collect(),
            routing: routing.clone(),
        };
        for options in &mut arrival.destination_options {
            arrival.source = read_home_address(options).unwrap().unwrap();
            *options = home_address_header(135, source).to_vec();
        }
        if let Some(routing) = &mut arrival.routing {
            routing[SEGMENTS_LEFT] = 0;
        }
        arrival
    }

    #[test]
    fn headers_that_leave_arrive_as_what_they_are_on_the_wire() {
        let update = Headers::between(CARE_OF, AGENT).from_home(HOME);
        let answer = Headers::between(AGENT, CARE_OF).to_home(HOME);
        let plain = Headers::between(CARE_OF, AGENT);
        for headers in [update, answer, plain] {
            let arrival = by_linux(&departing(&headers));
            assert_eq!(arrived(&arrival, None), Ok(headers));
        }
        assert_eq!(departing(&answer).destination, HOME);
        assert_eq!(departing(&update).source, CARE_OF);
    }

    #[test]
    fn what_no_sender_may_write_is_refused_whatever_the_kernel_says() {
        let update = departing(&Headers::between(CARE_OF, AGENT).from_home(HOME));
        let mut arrival = by_linux(&update);
        arrival.destination_options[0].truncate(20);
        assert_eq!(arrived(&arrival, None), Err(InvalidHeader::Truncated));
        arrival.destination_options.clear();
        arrival.routing = Some(vec![0; 2]);
        assert_eq!(arrived(&arrival, None), Err(InvalidHeader::Truncated));
    }
}
