//! Delay, rate and loss of what an interface sends: the queueing discipline `netem`
//! (kernel `net/sched/sch_netem.c`, `linux/pkt_sched.h`).

use std::time::Duration;

use rtnetlink::packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption};
use units::{DataRate, LossRatio};

use crate::error::{Failure, Result};
use crate::link::Links;
use crate::rtnl::{attributes, module_advice};

const TCA_OPTIONS: u16 = 2;
const TCA_NETEM_RATE: u16 = 6;
const TCA_NETEM_RATE64: u16 = 8;
const TCA_NETEM_LATENCY64: u16 = 10;
const TCA_NETEM_JITTER64: u16 = 11;

/// `struct tc_netem_qopt`: latency, limit, loss, gap, duplicate, jitter; each u32.
const QOPT: usize = 24;
/// Latency in `tc_netem_qopt` counts units of 64 ns.
const TICK_NANOS: u128 = 64;

/// What netem does with the packets that an interface sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Netem {
    /// The delay of each packet, or its mean.
    pub delay: Duration,
    /// By how much a packet's delay differs at most from the mean, evenly spread. A packet may
    /// overtake another.
    pub jitter: Duration,
    /// How many of the packets are lost, each by chance.
    pub loss: LossRatio,
    /// The rate at which packets are serialised, or `None` for no limit.
    pub rate: Option<DataRate>,
    /// How many packets may wait, those that are being delayed included.
    pub limit: u32,
}

impl Netem {
    /// Delay and rate, without jitter and loss, and a queue for both.
    pub fn new(delay: Duration, rate: Option<DataRate>) -> Netem {
        Netem {
            delay,
            jitter: Duration::ZERO,
            loss: LossRatio::NONE,
            rate,
            limit: Netem::limit_for(delay, rate),
        }
    }

    /// Enough queue that the delay itself never loses a packet, and with a rate, room for one
    /// second of full-size packets (1280 bytes, RFC 8200 §5) beyond it rather than minutes.
    fn limit_for(delay: Duration, rate: Option<DataRate>) -> u32 {
        const MOST: u128 = 10_000;
        const LEAST: u128 = 64;
        const PACKET_BITS: u128 = 1280 * 8;
        let Some(rate) = rate else {
            return MOST as u32;
        };
        let nanos = delay.as_nanos() + 1_000_000_000;
        let bits = nanos * u128::from(rate.bits_per_second) / 1_000_000_000;
        (bits / PACKET_BITS).clamp(LEAST, MOST) as u32
    }

    /// The payload of TCA_OPTIONS.
    fn encode(&self) -> Vec<u8> {
        let ticks =
            |time: Duration| u32::try_from(time.as_nanos() / TICK_NANOS).unwrap_or(u32::MAX);
        let loss = (self.loss.probability() * f64::from(u32::MAX)) as u32;
        let mut options = Vec::with_capacity(QOPT + 68);
        for field in [
            ticks(self.delay),
            self.limit,
            loss,
            0,
            0,
            ticks(self.jitter),
        ] {
            options.extend_from_slice(&field.to_ne_bytes());
        }
        // Exact nanoseconds, which win over the ticks.
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        put(
            &mut options,
            TCA_NETEM_LATENCY64,
            &nanos(self.delay).to_ne_bytes(),
        );
        if !self.jitter.is_zero() {
            put(
                &mut options,
                TCA_NETEM_JITTER64,
                &nanos(self.jitter).to_ne_bytes(),
            );
        }
        if let Some(rate) = self.rate {
            let bytes_per_second = rate.bits_per_second.div_ceil(8);
            // A rate that does not fit its old field is all ones there and goes in RATE64.
            let short = u32::try_from(bytes_per_second).unwrap_or(u32::MAX);
            if short == u32::MAX {
                put(
                    &mut options,
                    TCA_NETEM_RATE64,
                    &bytes_per_second.to_ne_bytes(),
                );
            }
            // struct tc_netem_rate: rate, packet_overhead, cell_size, cell_overhead.
            let mut fields = short.to_ne_bytes().to_vec();
            fields.resize(16, 0);
            put(&mut options, TCA_NETEM_RATE, &fields);
        }
        options
    }

    /// Reads the payload of TCA_OPTIONS of a dump.
    fn decode(options: &[u8]) -> Option<Netem> {
        let qopt = options.get(..QOPT)?;
        let field = |at: usize| Some(u32::from_ne_bytes(qopt.get(at..at + 4)?.try_into().ok()?));
        let nanos = |ticks: u32| u64::from(ticks) * TICK_NANOS as u64;
        let (mut delay, mut jitter) = (nanos(field(0)?), nanos(field(20)?));
        let (mut short, mut long) = (0, None);
        for (kind, value) in attributes(&options[QOPT..]) {
            match kind {
                TCA_NETEM_LATENCY64 => delay = u64::from_ne_bytes(value.try_into().ok()?),
                TCA_NETEM_JITTER64 => jitter = u64::from_ne_bytes(value.try_into().ok()?),
                TCA_NETEM_RATE => short = u32::from_ne_bytes(value.get(..4)?.try_into().ok()?),
                TCA_NETEM_RATE64 => long = Some(u64::from_ne_bytes(value.try_into().ok()?)),
                _ => {}
            }
        }
        let bytes_per_second = long.unwrap_or(u64::from(short));
        Some(Netem {
            delay: Duration::from_nanos(delay),
            jitter: Duration::from_nanos(jitter),
            loss: LossRatio::of(f64::from(field(8)?) / f64::from(u32::MAX)),
            rate: (bytes_per_second > 0).then_some(DataRate {
                bits_per_second: bytes_per_second.saturating_mul(8),
            }),
            limit: field(4)?,
        })
    }
}

fn put(options: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).expect("netem's attributes are short");
    options.extend_from_slice(&length.to_ne_bytes());
    options.extend_from_slice(&kind.to_ne_bytes());
    options.extend_from_slice(value);
}

impl Links {
    /// Delays, serialises and loses what an interface sends, in place of the root queueing
    /// discipline it had. One direction: do the same at the other end. Equals `tc qdisc replace dev
    /// DEV root netem delay DELAY JITTER loss LOSS rate RATE limit N`.
    pub async fn netem(&self, ifindex: u32, netem: Netem) -> Result<()> {
        let mut message = TcMessage::with_index(ifindex as i32);
        message.header.parent = TcHandle::ROOT;
        message.attributes = vec![
            TcAttribute::Kind("netem".into()),
            TcAttribute::Other(DefaultNla::new(TCA_OPTIONS, netem.encode())),
        ];
        let request = RouteNetlinkMessage::NewQueueDiscipline(message);
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        let Err(failure) = self.rtnl.request(request, flags).await else {
            return Ok(());
        };
        let advice = module_advice("load the kernel module sch_netem");
        Err(self
            .explain(
                failure,
                ifindex,
                format_args!("netem delay {:?}", netem.delay),
                &advice,
            )
            .await)
    }

    /// What netem does on an interface, or `None` where it is not its root. Equals
    /// `tc qdisc show dev DEV root`.
    pub async fn netem_of(&self, ifindex: u32) -> Result<Option<Netem>> {
        let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
        let answer = self.rtnl.dump(request).await;
        let failed = |f: Failure| f.at("rtnetlink", "list queueing disciplines", &[]);
        for message in answer.map_err(failed)? {
            let RouteNetlinkMessage::NewQueueDiscipline(qdisc) = message else {
                continue;
            };
            if qdisc.header.index == ifindex as i32 && qdisc.header.parent == TcHandle::ROOT {
                return options_of(&qdisc).map_err(failed);
            }
        }
        Ok(None)
    }
}

/// netem's settings in a message of a dump, `None` if it is of another kind.
fn options_of(qdisc: &TcMessage) -> Result<Option<Netem>, Failure> {
    use rtnetlink::packet_core::Nla;
    let mut netem = false;
    for attribute in &qdisc.attributes {
        match attribute {
            TcAttribute::Kind(kind) => netem = kind == "netem",
            TcAttribute::Options(options) if netem => {
                if let [TcOption::Other(raw)] = options.as_slice() {
                    let mut bytes = vec![0; raw.value_len()];
                    raw.emit_value(&mut bytes);
                    let decoded = Netem::decode(&bytes);
                    return decoded
                        .map(Some)
                        .ok_or_else(|| Failure::Malformed("netem's options".into()));
                }
            }
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};

    #[test]
    fn the_queue_holds_the_delay_and_a_second_at_the_rate() {
        let rate = |bits_per_second| Some(DataRate { bits_per_second });
        let ms = Duration::from_millis;
        assert_eq!(Netem::limit_for(ms(10), None), 10_000);
        assert_eq!(Netem::limit_for(ms(10), rate(250_000)), 64);
        assert_eq!(Netem::limit_for(ms(0), rate(10_240_000)), 1000);
        assert_eq!(Netem::limit_for(ms(0), rate(u64::MAX)), 10_000);
    }

    #[test]
    fn what_the_kernel_reports_is_what_was_set() {
        let bytes = crate::golden::bytes(include_str!("../tests/golden/netem.hex"));
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).unwrap();
        let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewQueueDiscipline(qdisc)) =
            message.payload
        else {
            panic!("a queueing discipline");
        };
        let rate = DataRate {
            bits_per_second: 250_000,
        };
        let expected = Netem::new(Duration::from_millis(20), Some(rate));
        assert_eq!(options_of(&qdisc).unwrap(), Some(expected));

        // Our request has the kernel's own bytes: the fixed part, then two of its attributes.
        let (options, ours) = (&bytes[52..160], expected.encode());
        assert_eq!(ours[..QOPT], options[..QOPT]);
        let theirs: Vec<_> = attributes(&options[QOPT..]).collect();
        for attribute in attributes(&ours[QOPT..]) {
            assert!(theirs.contains(&attribute), "{attribute:?}");
        }
    }

    #[test]
    fn truncated_options_are_not_read() {
        let whole = Netem {
            jitter: Duration::from_millis(5),
            loss: "1 %".parse().unwrap(),
            ..Netem::new(Duration::from_millis(20), None)
        };
        let bytes = whole.encode();
        assert_eq!(Netem::decode(&bytes[..QOPT - 1]), None);
        assert_eq!(Netem::decode(&bytes[..QOPT]), Netem::decode(&bytes));
        let read = Netem::decode(&bytes).unwrap();
        assert_eq!(read.loss.to_string(), "1 %");
        assert_eq!(read, whole);
    }
}
