//! Writes a capture of as many packets as are wanted, to see how long and in how much memory it is
//! analysed: `cargo run --release -p measure --example large_capture -- FILE PACKETS [NODES [CLIENTS]]`.
//!
//! Every millisecond a client asks one of the nodes, each in turn, and is answered 400 us later.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::net::Ipv6Addr;
use std::time::Duration;

use capture::{Interface, LinkType, Packet, Writer};
use coap::wire::{Message, Token};
use coap::{Code, Kind, Options, Request};
use units::SimTime;

const START: SimTime = SimTime::from_nanos(1_600_000_000_000_000_000);
const PORT: u16 = coap::message::PORT;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("which file?")?;
    let mut number = |default: u32| args.next().map_or(Ok(default), |text| text.parse());
    let (packets, nodes, clients) = (number(1_000_000)?, number(20)?, number(5)?);
    let interface = Interface::new("", LinkType::RAW);
    let mut writer = Writer::new(BufWriter::new(File::create(file)?), &[interface])?;
    let path = Request::new(Code::GET, "/temperature").options;
    for n in 0..packets / 2 {
        let client = address(0xc, n % clients);
        let node = address(1, n / clients % nodes);
        let request = Message {
            kind: Kind::Confirmable,
            code: Code::GET,
            message_id: (n / clients) as u16,
            token: Token::new(&n.to_be_bytes()).unwrap_or_default(),
            options: path.clone(),
            payload: Vec::new(),
        };
        let response = Message {
            kind: Kind::Acknowledgement,
            code: Code::CONTENT,
            options: Options::new(),
            payload: b"21.5".to_vec(),
            ..request.clone()
        };
        let asked = START + Duration::from_millis(n.into());
        let answered = asked + Duration::from_micros(400);
        writer.write(&packet(asked, client, node, &request))?;
        writer.write(&packet(answered, node, client, &response))?;
    }
    writer.finish()?;
    Ok(())
}

fn address(net: u16, host: u32) -> Ipv6Addr {
    let [high, low] = [host >> 16, host & 0xffff].map(|half| half as u16);
    Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, high, low + 1)
}

/// An IPv6 packet with the message in a UDP datagram, whose checksum nobody looks at.
fn packet(time: SimTime, from: Ipv6Addr, to: Ipv6Addr, message: &Message) -> Packet {
    let message = message.encode();
    let length = (8 + message.len()) as u16;
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend([17, 64]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    for field in [PORT, PORT, length, 0] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend(message);
    Packet::new(0, time, bytes)
}
