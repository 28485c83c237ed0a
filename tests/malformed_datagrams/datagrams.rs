//! Malformed datagrams: valid ones of a protocol, changed at random, and random bytes.

use std::net::Ipv6Addr;
use std::time::Duration;

use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Kind, Request};
use comp::codec::{Command, Lifetime, Location};
use comp::{Sequence, codec};
use dhcpv6::Duid;
use dhcpv6::message::{IaAddress, IaNa, MessageType, Status, StatusCode};
use dhcpv6::relay::{Direction, RelayMessage};
use nd::{LinkLayerAddress, NdOption, PrefixInformation, RouterAdvertisement, RouterSolicitation};
use rand_core::Rng as _;
use units::{Eui64, Rng, Seed};

/// Longest datagram of random bytes.
const LONGEST: u64 = 1500;
/// Nobody's address.
const STRANGER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1);
const EUI64: Eui64 = Eui64([2, 0, 0x5e, 0x10, 0, 0, 0, 0xbd]);

/// An endless supply of malformed datagrams of one protocol.
pub struct Malformed {
    rng: Rng,
    valid: Vec<Vec<u8>>,
}

impl Malformed {
    /// From `valid` ones; `name` makes the stream another target's.
    pub fn new(name: &str, valid: Vec<Vec<u8>>) -> Malformed {
        Malformed {
            rng: Seed(6).rng(&["malformed", name]),
            valid,
        }
    }

    /// The next one.
    pub fn next(&mut self) -> Vec<u8> {
        if self.below(8) == 0 {
            let length = self.below(LONGEST + 1);
            return self.random(length);
        }
        let mut datagram = self.any_valid();
        for _ in 0..=self.below(3) {
            self.change(&mut datagram);
        }
        datagram
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.rng.next_u64() % limit
    }

    fn random(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.rng.next_u32() as u8).collect()
    }

    fn any_valid(&mut self) -> Vec<u8> {
        let index = self.below(self.valid.len() as u64) as usize;
        self.valid[index].clone()
    }

    fn change(&mut self, datagram: &mut Vec<u8>) {
        let length = datagram.len() as u64;
        let at = self.below(length + 1) as usize;
        let more = self.below(40);
        match self.below(8) {
            0 => datagram.truncate(at),
            1 => datagram.extend(self.random(more)),
            2 if at < datagram.len() => datagram[at] ^= 1 << self.below(8),
            // What lengths, deltas and counts are wrong with.
            3 if at < datagram.len() => {
                let wrong = [0, 1, 0x7f, 0x80, 0xd0, 0xe0, 0xf0, 0xff];
                datagram[at] = wrong[self.below(8) as usize];
            }
            4 => {
                let inserted = self.random(more);
                datagram.splice(at..at, inserted);
            }
            5 => {
                let end = (at + more as usize).min(datagram.len());
                datagram.drain(at..end);
            }
            // Options twice, or of another message.
            6 => {
                let other = self.any_valid();
                let from = self.below(other.len() as u64 + 1) as usize;
                datagram.extend(&other[from..]);
            }
            _ => {
                let repeated = datagram[at..].to_vec();
                datagram.extend(repeated);
            }
        }
        datagram.truncate(LONGEST as usize);
    }
}

/// CoAP and CoMP messages: every procedure, blocks, an observation, answers.
pub fn coap() -> Vec<Vec<u8>> {
    let (p_addr, t_addr) = (STRANGER, Ipv6Addr::from(u128::from(STRANGER) + 1));
    let lifetime = Lifetime(60);
    let sleep = Some(Duration::from_secs(1));
    let commands = [
        Command::Discovery { p_addr },
        Command::Registration {
            p_addr,
            t_addr,
            lifetime,
        },
        Command::BindingUpdate {
            p_addr,
            t_addr,
            lifetime,
        },
        Command::Hold { p_addr, sleep },
        Command::Deregistration { p_addr },
    ];
    let mut requests: Vec<Request> = commands.iter().map(Command::request).collect();
    requests.extend(commands.iter().map(|c| c.numbered(Some(Sequence(7)))));
    let mut observe = Request::new(Code::GET, "/temperature");
    observe.options.push_uint(option::OBSERVE, 0);
    let mut upload = Request::new(Code::PUT, "/temperature");
    upload.options.push_uint(option::BLOCK1, 0x0a);
    upload.payload = vec![b'x'; 64];
    let mut download = Request::new(Code::GET, coap::link::WELL_KNOWN_CORE);
    download.options.push_uint(option::BLOCK2, 0x12);
    requests.extend([observe, upload, download]);
    let location = Location {
        p_addr,
        t_addr,
        lifetime,
        held: false,
        sleep: None,
        sequence: None,
    };
    let answers = [
        location.response(),
        codec::hold_response(1),
        codec::outdated_response(Sequence(9)),
    ];
    let requests = requests
        .into_iter()
        .map(|r| (r.method, r.options, r.payload));
    let answers = answers.into_iter().map(|a| (a.code, a.options, a.payload));
    let all = requests.chain(answers).zip(1..);
    let encoded = all.map(|((code, options, payload), message_id)| {
        let message = Message {
            kind: match code.is_request() {
                true => Kind::Confirmable,
                false => Kind::Acknowledgement,
            },
            code,
            message_id,
            token: Token::new(&message_id.to_be_bytes()).unwrap_or_default(),
            options,
            payload,
        };
        message.encode()
    });
    let reset = Message::empty(Kind::Reset, 1).encode();
    encoded.chain([reset]).collect()
}

/// DHCPv6 messages of clients, servers and relay agents. None asks for a Rapid Commit, which
/// would take an address.
pub fn dhcpv6() -> Vec<Vec<u8>> {
    let kinds = [
        MessageType::Solicit,
        MessageType::Advertise,
        MessageType::Request,
        MessageType::Confirm,
        MessageType::Renew,
        MessageType::Rebind,
        MessageType::Reply,
        MessageType::Release,
        MessageType::Decline,
        MessageType::InformationRequest,
    ];
    let client = |kind| {
        let mut message = dhcpv6::Message::new(kind, [1, 2, 3]);
        message.client_id = Some(Duid::link_layer(EUI64));
        message.elapsed_cs = Some(0);
        message.requested = vec![dhcpv6::message::OPTION_SOL_MAX_RT];
        message.ia_nas = vec![IaNa {
            iaid: 1,
            t1_s: 10,
            t2_s: 20,
            addresses: vec![IaAddress {
                address: STRANGER,
                preferred_s: 30,
                valid_s: 40,
                status: None,
            }],
            status: Some(Status {
                code: StatusCode::Success,
                message: "text".into(),
            }),
        }];
        message.encode()
    };
    let direct: Vec<Vec<u8>> = kinds.map(client).into();
    let relayed = direct.iter().flat_map(|message| {
        [Direction::Forward, Direction::Reply].map(|direction| {
            let relayed = RelayMessage {
                direction,
                hop_count: 0,
                link_address: "2001:db8:1::1".parse().unwrap(),
                peer_address: EUI64.link_local(),
                interface_id: Some(b"lowpan0".to_vec()),
                message: message.clone(),
            };
            relayed.encode().unwrap()
        })
    });
    let relayed: Vec<_> = relayed.collect();
    [direct, relayed].concat()
}

/// Router solicitations.
pub fn solicitations() -> Vec<Vec<u8>> {
    let options = vec![NdOption::SourceLinkLayer(LinkLayerAddress::Extended(EUI64))];
    vec![
        RouterSolicitation::default().encode(),
        RouterSolicitation { options }.encode(),
    ]
}

/// Router advertisements.
pub fn advertisements() -> Vec<Vec<u8>> {
    let prefix = PrefixInformation {
        prefix: "2001:db8:bad::/64".parse().unwrap(),
        on_link: true,
        autonomous: true,
        valid_lifetime_s: 100,
        preferred_lifetime_s: 50,
    };
    let advertisement = RouterAdvertisement {
        managed: true,
        router_lifetime_s: 60,
        retrans_timer_ms: 1000,
        options: vec![
            NdOption::SourceLinkLayer(LinkLayerAddress::Extended(EUI64)),
            NdOption::Prefix(prefix),
            NdOption::Mtu(1280),
        ],
        ..RouterAdvertisement::default()
    };
    vec![advertisement.encode()]
}
