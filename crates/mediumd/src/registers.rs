//! The signal registers of the mobile nodes, by their radios.

use std::collections::BTreeMap;
use std::time::Duration;

use handover::signal::{RegisterConfig, Router};
use medium::RadioIndex;
use medium::mpdu::Header;
use rundir::control::Control;
use units::{Channel, Dbm, SimTime};

/// A register is told at most this often: a node that reads it on a timer sees no more.
const PERIOD: Duration = Duration::from_millis(20);

/// The registers of all nodes that listen, in whole dBm as receivers give it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registers(BTreeMap<RadioIndex, handover::signal::Registers>);

impl Registers {
    /// A node that listens for `routers`; its radio is on `channel` from `now` on.
    pub(crate) fn add(
        &mut self,
        radio: RadioIndex,
        now: SimTime,
        channel: Channel,
        silence: Duration,
        routers: Vec<Router>,
    ) {
        let config = RegisterConfig {
            silence,
            report_every: Some(PERIOD),
        };
        let registers = handover::signal::Registers::new(config, now, channel, routers);
        self.0.insert(radio, registers);
    }

    /// A radio was tuned, or shows where it is; on the channel that it was on already nothing
    /// changes.
    pub(crate) fn tuned(&mut self, now: SimTime, radio: RadioIndex, channel: Channel) {
        if let Some(registers) = self.0.get_mut(&radio)
            && registers.channel() != channel
        {
            registers.tuned(now, channel);
        }
    }

    /// A radio went to sleep, or woke up.
    pub(crate) fn awake(&mut self, now: SimTime, radio: RadioIndex, awake: bool) {
        if let Some(registers) = self.0.get_mut(&radio) {
            registers.awake(now, awake);
        }
    }

    /// A radio decoded a frame with this header.
    pub(crate) fn heard(
        &mut self,
        at: SimTime,
        radio: RadioIndex,
        channel: Channel,
        header: &Header,
        rssi: Dbm,
    ) {
        if let Some(registers) = self.0.get_mut(&radio) {
            let whole = f64::from(rssi.0.round() as i32);
            registers.heard(at, channel, header.source, Dbm(whole));
        }
    }

    /// When [`Registers::poll`] has something to say, as things are.
    pub(crate) fn poll_timeout(&self) -> Option<SimTime> {
        let due = self.0.values().filter_map(|of_node| of_node.poll_timeout());
        due.min()
    }

    /// What nodes are to be told at `now`.
    pub(crate) fn poll(&mut self, now: SimTime) -> Vec<(RadioIndex, Control)> {
        let mut told = Vec::new();
        for (&radio, registers) in &mut self.0 {
            while let Some(signal) = registers.poll(now) {
                told.push((radio, Control::Signal(signal)));
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handover::Signal;
    use medium::mpdu::FrameType;
    use units::{Eui64, MacAddress, PanId};

    const NODE: RadioIndex = RadioIndex(3);
    const EUI64: Eui64 = Eui64([1; 8]);

    fn channel(number: u8) -> Channel {
        Channel::try_from(number).unwrap()
    }

    fn ms(ms: u64) -> SimTime {
        SimTime::ZERO + Duration::from_millis(ms)
    }

    /// A node that listens for a router on channel 15, and is there.
    fn registers() -> Registers {
        let router = Router {
            channel: channel(15),
            pan_id: PanId(1),
            eui64: EUI64,
            short_address: None,
        };
        let mut registers = Registers::default();
        let silence = Duration::from_secs(3);
        registers.add(NODE, SimTime::ZERO, channel(15), silence, vec![router]);
        registers
    }

    fn hear(registers: &mut Registers, at: u64, radio: RadioIndex, rssi: f64) {
        let frame = Header {
            frame_type: FrameType::Data,
            ack_request: false,
            sequence: 0,
            destination: None,
            source: Some((PanId(1), MacAddress::Extended(EUI64))),
        };
        registers.heard(ms(at), radio, channel(15), &frame, Dbm(rssi));
    }

    #[test]
    fn a_node_is_told_what_its_radio_hears_in_whole_dbm() {
        let mut registers = registers();
        hear(&mut registers, 5, NODE, -60.4);
        hear(&mut registers, 5, RadioIndex(4), -50.0);
        let signal = Signal {
            channel: channel(15),
            pan_id: PanId(1),
            rssi: Some(Dbm(-60.0)),
        };
        assert_eq!(registers.poll_timeout(), Some(ms(5)));
        assert_eq!(registers.poll(ms(5)), [(NODE, Control::Signal(signal))]);
        hear(&mut registers, 6, NODE, -60.2);
        assert_eq!(registers.poll_timeout(), Some(ms(3006)), "the same");
        hear(&mut registers, 7, NODE, -61.0);
        assert_eq!(registers.poll_timeout(), Some(ms(25)));
    }

    #[test]
    fn a_radio_that_shows_where_it_is_known_to_be_begins_nothing_anew() {
        let mut registers = registers();
        hear(&mut registers, 5, NODE, -60.0);
        registers.poll(ms(5));
        registers.tuned(ms(1000), NODE, channel(15));
        assert_eq!(registers.poll_timeout(), Some(ms(3005)));
        registers.tuned(ms(1000), NODE, channel(20));
        assert_eq!(registers.poll_timeout(), None);
        registers.tuned(ms(2000), NODE, channel(15));
        assert_eq!(registers.poll_timeout(), Some(ms(5000)));
        registers.awake(ms(3000), NODE, false);
        assert_eq!(registers.poll_timeout(), None);
    }
}
