//! Table 5 and the hop counts of section 5.1: names, defaults, sources.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use units::quantity::{format_duration, parse_duration};
use units::{ByteSize, DataRate};

/// Packets per second: the paper's lambda_p.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct PacketRate {
    /// Packets per second; whole or not.
    pub per_s: f64,
}

impl fmt::Display for PacketRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_s)
    }
}

/// Text that is no packet rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {RATE}")]
pub struct PacketRateError;

const RATE: &str = "a packet rate from `0/s` to `1000000/s`, such as `10/s`";
const MAX_PER_S: f64 = 1e6;

impl FromStr for PacketRate {
    type Err = PacketRateError;
    /// Reads `10/s` or `10 /s`; 0 to 1 000 000 per second.
    fn from_str(text: &str) -> Result<PacketRate, PacketRateError> {
        text.trim()
            .strip_suffix("/s")
            .map(str::trim_end)
            .filter(|number| number.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
            .and_then(|number| number.parse().ok())
            .filter(|per_s| *per_s <= MAX_PER_S)
            .map(|per_s| PacketRate { per_s })
            .ok_or(PacketRateError)
    }
}

/// Declares [`Parameter`] and what is known of each.
macro_rules! parameters {
    ($($variant:ident: $name:literal, $symbol:literal, $meaning:literal, $source:expr;)*) => {
        /// One row of table 5, or one hop count.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Parameter {
            $(#[doc = $meaning] $variant,)*
        }

        impl Parameter {
            /// All, table 5 first, in its order.
            pub const ALL: &'static [Parameter] = &[$(Parameter::$variant,)*];

            /// The name in JSON and in `NAME=VALUE`.
            pub fn name(self) -> &'static str {
                match self { $(Parameter::$variant => $name,)* }
            }

            /// The paper's symbol; `q` stands for its omega with a bar, `h` for wired hops.
            pub fn symbol(self) -> &'static str {
                match self { $(Parameter::$variant => $symbol,)* }
            }

            /// What it is, in words.
            pub fn meaning(self) -> &'static str {
                match self { $(Parameter::$variant => $meaning,)* }
            }

            /// Where the default comes from.
            pub fn source(self) -> &'static str {
                match self { $(Parameter::$variant => $source,)* }
            }
        }
    };
}

const TABLE_5: &str = "table 5";
const SECTION_5_1: &str = "section 5.1";
const OURS: &str = "ours: the paper omits it";

parameters! {
    AddressDelay: "address_delay", "tAC", "Address auto-configuration with DAD", TABLE_5;
    MovementDetectionDelay: "movement_detection_delay", "tMD", "Movement detection", TABLE_5;
    L2Delay: "l2_delay", "tL2", "Link layer handover", TABLE_5;
    WiredBandwidth: "wired_bandwidth", "Bw", "Bandwidth of a wired link", TABLE_5;
    WirelessBandwidth: "wireless_bandwidth", "Bwl", "Bandwidth of the wireless link",
        "table 5 (20~250 kb/s; ours: its upper end)";
    QueueingDelay: "queueing_delay", "q", "Average queueing delay at each router", TABLE_5;
    WirelessDelay: "wireless_delay", "Lwl", "Delay of the wireless link", TABLE_5;
    WiredDelay: "wired_delay", "Lw", "Delay of a wired link", TABLE_5;
    MessageSize: "message_size", "S", "Size of a signalling message", TABLE_5;
    TunnelSize: "tunnel_size", "St", "What a tunnel adds to a message", TABLE_5;
    PacketRate: "packet_rate", "lambda", "Packet arrival rate", TABLE_5;
    NodeSpeed: "node_speed", "V", "Average speed of the node", TABLE_5;
    NodeRouterHops: "node_router_hops", "d", "Hops from the node to its router: the wireless one",
        SECTION_5_1;
    HaCorrespondentHops: "ha_correspondent_hops", "h", "Wired hops from the HA to the CN",
        SECTION_5_1;
    RouterWmmsHops: "router_wmms_hops", "h", "Wired hops from the router to the WMMS",
        SECTION_5_1;
    HaWmmsHops: "ha_wmms_hops", "h", "Wired hops from the HA or the CN to the WMMS", SECTION_5_1;
    RouterHaHops: "router_ha_hops", "h", "Wired hops from the router to the HA", OURS;
    RouterCorrespondentHops: "router_correspondent_hops", "h",
        "Wired hops from the router to the CN (CN_A)", OURS;
    RouterMapHops: "router_map_hops", "h", "Wired hops from the router to the MAP", OURS;
}

impl Parameter {
    /// The parameter of that name.
    pub fn of_name(name: &str) -> Option<Parameter> {
        Parameter::ALL.iter().copied().find(|p| p.name() == name)
    }

    /// Why it cannot be set, for those that tables 3 and 4 do not depend on.
    pub fn fixed_because(self) -> Option<&'static str> {
        match self {
            Parameter::NodeSpeed => Some("neither equation 1 nor tables 3 and 4 have a speed"),
            Parameter::NodeRouterHops => Some("equation 1 has exactly one wireless hop"),
            Parameter::HaWmmsHops => Some("no message of table 3 goes that way"),
            _ => None,
        }
    }
}

/// The values of all parameters that can be set. The default is the paper's table 5, its hop
/// counts, and 2 for each hop count that it omits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// tAC: address auto-configuration with duplicate address detection.
    pub address_delay: Duration,
    /// tMD: movement detection.
    pub movement_detection_delay: Duration,
    /// tL2: link layer handover.
    pub l2_delay: Duration,
    /// Bw: bandwidth of a wired link.
    pub wired_bandwidth: DataRate,
    /// Bwl: bandwidth of the wireless link. Table 5 has a range; the default is its upper end.
    pub wireless_bandwidth: DataRate,
    /// q: average queueing delay at each router, per wired hop.
    pub queueing_delay: Duration,
    /// Lwl: delay of the wireless link.
    pub wireless_delay: Duration,
    /// Lw: delay of a wired link.
    pub wired_delay: Duration,
    /// S: size of a signalling message.
    pub message_size: ByteSize,
    /// St: what a tunnel adds to it.
    pub tunnel_size: ByteSize,
    /// lambda_p: packet arrival rate.
    pub packet_rate: PacketRate,
    /// Wired hops between home agent and correspondent.
    pub ha_correspondent_hops: u32,
    /// Wired hops between router and WMMS.
    pub router_wmms_hops: u32,
    /// Wired hops between router and home agent; omitted by the paper.
    pub router_ha_hops: u32,
    /// Wired hops between router and correspondent; omitted by the paper.
    pub router_correspondent_hops: u32,
    /// Wired hops between router and mobility anchor point; omitted by the paper.
    pub router_map_hops: u32,
}

impl Default for Parameters {
    fn default() -> Parameters {
        Parameters {
            address_delay: Duration::from_millis(500),
            movement_detection_delay: Duration::from_millis(100),
            l2_delay: Duration::from_millis(50),
            wired_bandwidth: DataRate {
                bits_per_second: 10_000_000,
            },
            wireless_bandwidth: DataRate {
                bits_per_second: 250_000,
            },
            queueing_delay: Duration::from_micros(100),
            wireless_delay: Duration::from_millis(15),
            wired_delay: Duration::from_millis(2),
            message_size: ByteSize(50),
            tunnel_size: ByteSize(80),
            packet_rate: PacketRate { per_s: 10.0 },
            ha_correspondent_hops: 2,
            router_wmms_hops: 2,
            router_ha_hops: 2,
            router_correspondent_hops: 2,
            router_map_hops: 2,
        }
    }
}

/// The value of a parameter, printed as it is written in `NAME=VALUE`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A delay.
    Delay(Duration),
    /// A bandwidth.
    Rate(DataRate),
    /// A size.
    Size(ByteSize),
    /// A packet rate.
    Packets(PacketRate),
    /// A number of hops.
    Hops(u32),
    /// A speed in metres per second.
    SpeedMPerS(f64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Delay(delay) => f.write_str(&format_duration(*delay)),
            Value::Rate(rate) => rate.fmt(f),
            Value::Size(size) => size.fmt(f),
            Value::Packets(rate) => rate.fmt(f),
            Value::Hops(hops) => hops.fmt(f),
            Value::SpeedMPerS(speed) => write!(f, "{speed} m/s"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a parameter's value is kept.
enum Slot<'a> {
    Delay(&'a mut Duration),
    Rate(&'a mut DataRate),
    Size(&'a mut ByteSize),
    Packets(&'a mut PacketRate),
    Hops(&'a mut u32),
    Fixed(Value),
}

/// Longest delay that can be set: sums of delays stay far from the range of [`Duration`].
const MAX_DELAY: Duration = Duration::from_secs(3600);
/// Largest size that can be set: an IPv6 payload's (RFC 8200 section 3).
const MAX_SIZE: ByteSize = ByteSize(65_535);
const DELAY: &str = "a delay of at most 1 h, such as `1.5 s` or `20ms`";
const BANDWIDTH: &str = "a bandwidth such as `250 kbit/s` or `10Mbit/s`";
const SIZE: &str = "a size of at most 65535 B, such as `50 B`";
const HOPS: &str = "a number of hops from 0 to 255";

impl Parameters {
    /// The value of a parameter, of those that cannot be set too.
    pub fn get(&self, parameter: Parameter) -> Value {
        let mut copy = *self;
        match copy.slot(parameter) {
            Slot::Delay(delay) => Value::Delay(*delay),
            Slot::Rate(rate) => Value::Rate(*rate),
            Slot::Size(size) => Value::Size(*size),
            Slot::Packets(rate) => Value::Packets(*rate),
            Slot::Hops(hops) => Value::Hops(*hops),
            Slot::Fixed(value) => value,
        }
    }

    /// Sets a parameter from text with its unit; the error says what was expected.
    pub(crate) fn set(&mut self, parameter: Parameter, text: &str) -> Result<(), &'static str> {
        match self.slot(parameter) {
            Slot::Delay(delay) => {
                *delay = parse_duration(text)
                    .ok()
                    .filter(|delay| *delay <= MAX_DELAY)
                    .ok_or(DELAY)?;
            }
            Slot::Rate(rate) => *rate = text.parse().map_err(|_| BANDWIDTH)?,
            Slot::Size(size) => {
                *size = text
                    .parse()
                    .ok()
                    .filter(|size| *size <= MAX_SIZE)
                    .ok_or(SIZE)?;
            }
            Slot::Packets(rate) => *rate = text.parse().map_err(|_| RATE)?,
            Slot::Hops(hops) => *hops = text.parse::<u8>().map_err(|_| HOPS)?.into(),
            Slot::Fixed(_) => return Err("nothing: it cannot be set"),
        }
        Ok(())
    }

    fn slot(&mut self, parameter: Parameter) -> Slot<'_> {
        match parameter {
            Parameter::AddressDelay => Slot::Delay(&mut self.address_delay),
            Parameter::MovementDetectionDelay => Slot::Delay(&mut self.movement_detection_delay),
            Parameter::L2Delay => Slot::Delay(&mut self.l2_delay),
            Parameter::WiredBandwidth => Slot::Rate(&mut self.wired_bandwidth),
            Parameter::WirelessBandwidth => Slot::Rate(&mut self.wireless_bandwidth),
            Parameter::QueueingDelay => Slot::Delay(&mut self.queueing_delay),
            Parameter::WirelessDelay => Slot::Delay(&mut self.wireless_delay),
            Parameter::WiredDelay => Slot::Delay(&mut self.wired_delay),
            Parameter::MessageSize => Slot::Size(&mut self.message_size),
            Parameter::TunnelSize => Slot::Size(&mut self.tunnel_size),
            Parameter::PacketRate => Slot::Packets(&mut self.packet_rate),
            Parameter::NodeSpeed => Slot::Fixed(Value::SpeedMPerS(10.0)),
            Parameter::NodeRouterHops => Slot::Fixed(Value::Hops(1)),
            Parameter::HaCorrespondentHops => Slot::Hops(&mut self.ha_correspondent_hops),
            Parameter::RouterWmmsHops => Slot::Hops(&mut self.router_wmms_hops),
            Parameter::HaWmmsHops => Slot::Fixed(Value::Hops(2)),
            Parameter::RouterHaHops => Slot::Hops(&mut self.router_ha_hops),
            Parameter::RouterCorrespondentHops => Slot::Hops(&mut self.router_correspondent_hops),
            Parameter::RouterMapHops => Slot::Hops(&mut self.router_map_hops),
        }
    }
}
