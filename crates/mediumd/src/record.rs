//! The capture of the air: every transmission as it was sent, with link type 283.
//!
//! The medium's thread hands transmissions over; whoever owns the [`Recorder`] writes them down
//! when there is time. A transmission is known at its end, the file is in the order of
//! beginnings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use capture::{Interface, LinkType, Packet, TapHeader, Writer, tap};
use files::Tree;
use medium::{Fate, FrameReport, Kind, Reception, Transmission, mpdu};
use topology::plan::NodeName;
use units::SimTime;

/// Longer than any transmission, 4.256 ms (IEEE 802.15.4-2006: 133 bytes of 32 us): what began
/// that long before the end of another is known by then.
const LONGEST: Duration = Duration::from_millis(5);

/// What the medium has for the capture.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Sent(Transmission),
    /// A frame that was never on the air.
    NeverSent(FrameReport),
}

/// Writes `captures/air.pcapng`.
pub struct Recorder {
    entries: Receiver<Entry>,
    writer: Writer<BufWriter<File>>,
    nodes: Vec<NodeName>,
    /// Whether each packet says who got it, and frames that were never sent are there too.
    lost_too: bool,
    /// By beginning; the number tells apart those that begin together.
    pending: BTreeMap<(SimTime, u64), Packet>,
    taken: u64,
    /// The latest end so far.
    latest: SimTime,
}

/// The two ends: for the medium, whose radios are those of `nodes`, and for whoever writes the
/// file.
pub(crate) fn open(
    nodes: Vec<NodeName>,
    lost_too: bool,
    file: PathBuf,
) -> Result<(Sender<Entry>, Recorder)> {
    let out = Tree::holding(&file)
        .create(&file)
        .with_context(|| format!("create {}", file.display()))?;
    let interface = Interface {
        name: "air".into(),
        link_type: LinkType::IEEE802_15_4_TAP,
        description: Some(tap::AIR.into()),
    };
    let (sender, entries) = channel();
    let recorder = Recorder {
        entries,
        writer: Writer::new(BufWriter::new(out), &[interface])?,
        nodes,
        lost_too,
        pending: BTreeMap::new(),
        taken: 0,
        latest: SimTime::ZERO,
    };
    Ok((sender, recorder))
}

impl Recorder {
    /// Writes what there is by now and may not be overtaken.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn empty(&mut self) -> Result<()> {
        while let Ok(entry) = self.entries.try_recv() {
            self.take(entry);
        }
        while let Some(first) = self.pending.first_entry() {
            if first.key().0 + LONGEST > self.latest {
                break;
            }
            self.writer.write(&first.remove())?;
        }
        Ok(())
    }

    /// Writes the rest and ends the file. To be called when the medium has ended.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> Result<()> {
        while let Ok(entry) = self.entries.try_recv() {
            self.take(entry);
        }
        for packet in std::mem::take(&mut self.pending).into_values() {
            self.writer.write(&packet)?;
        }
        self.writer.finish().context("captures/air.pcapng")?;
        Ok(())
    }

    fn take(&mut self, entry: Entry) {
        let (start, end, packet) = match entry {
            Entry::Sent(sent) => (sent.start, sent.end, self.sent(&sent)),
            Entry::NeverSent(_) if !self.lost_too => return,
            Entry::NeverSent(report) => (report.queued, report.ended, self.never_sent(&report)),
        };
        self.latest = self.latest.max(end);
        self.pending.insert((start, self.taken), packet);
        self.taken += 1;
    }

    fn sent(&self, sent: &Transmission) -> Packet {
        // The strength at whoever received it best: one that nobody received has none.
        let received = sent.receptions.iter().filter(|r| r.fate == Fate::Received);
        let rssi = |reception: &Reception| reception.rssi.map_or(f64::MIN, |rssi| rssi.0);
        let best = received.max_by(|a, b| rssi(a).total_cmp(&rssi(b)));
        let header = TapHeader {
            channel: sent.channel,
            rss: best.and_then(|reception| reception.rssi),
            lqi: best.and_then(|reception| reception.lqi),
        };
        let comment = self.lost_too.then(|| self.fates(sent));
        packet(sent.start, header, &sent.psdu, comment)
    }

    fn fates(&self, sent: &Transmission) -> String {
        let mut text = match sent.kind {
            Kind::Data { attempt } => {
                format!("{}: attempt {attempt}", self.nodes[sent.from.0])
            }
            Kind::Ack => format!("{}: ACK", self.nodes[sent.from.0]),
        };
        for reception in &sent.receptions {
            let node = &self.nodes[reception.to.0];
            let fate = match reception.fate {
                Fate::Received => "received".to_owned(),
                Fate::Lost(reason) => format!("lost: {reason}"),
            };
            // Writing to a string cannot fail.
            let _ = write!(text, "; {node}: {fate}");
            if let Some(rssi) = reception.rssi {
                let _ = write!(text, ", {:.1} dBm", rssi.0);
            }
            if let Some(sinr) = reception.sinr {
                let _ = write!(text, ", SINR {:.1} dB", sinr.0);
            }
        }
        text
    }

    fn never_sent(&self, report: &FrameReport) -> Packet {
        let header = TapHeader {
            channel: report.channel,
            rss: None,
            lqi: None,
        };
        let node = &self.nodes[report.from.0];
        let comment = format!("{node}: never sent: {}", report.sent);
        packet(
            report.queued,
            header,
            &mpdu::psdu(&report.mpdu),
            Some(comment),
        )
    }
}

fn packet(at: SimTime, header: TapHeader, psdu: &[u8], comment: Option<String>) -> Packet {
    let data = header.packet(psdu);
    Packet {
        interface: 0,
        time: at,
        original_len: data.len() as u32,
        data,
        comment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medium::{FrameId, RadioIndex, Reason};
    use units::{Channel, Db, Dbm, Lqi};

    fn us(us: u64) -> SimTime {
        SimTime::ZERO + Duration::from_micros(us)
    }

    fn recorder(dir: &std::path::Path, lost_too: bool) -> (Sender<Entry>, Recorder) {
        let file = File::create(dir.join("air.pcapng")).unwrap();
        let interface = Interface::new("air", LinkType::IEEE802_15_4_TAP);
        let (sender, entries) = channel();
        let recorder = Recorder {
            entries,
            writer: Writer::new(BufWriter::new(file), &[interface]).unwrap(),
            nodes: vec!["a".into(), "b".into()],
            lost_too,
            pending: BTreeMap::new(),
            taken: 0,
            latest: SimTime::ZERO,
        };
        (sender, recorder)
    }

    fn transmission(start: u64, end: u64, fate: Fate) -> Transmission {
        Transmission {
            frame: FrameId(0),
            kind: Kind::Data { attempt: 2 },
            from: RadioIndex(0),
            channel: Channel::try_from(26).unwrap(),
            start: us(start),
            end: us(end),
            psdu: mpdu::psdu(&[1, 2, 3]).into(),
            receptions: vec![Reception {
                to: RadioIndex(1),
                rssi: Some(Dbm(-90.25)),
                sinr: Some(Db(1.5)),
                lqi: Some(Lqi(9)),
                fate,
            }],
        }
    }

    #[test]
    fn a_long_transmission_that_began_first_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let (sender, mut recorder) = recorder(dir.path(), false);
        for (start, end) in [(2000, 2500), (1000, 5200), (9000, 10500)] {
            let sent = transmission(start, end, Fate::Received);
            sender.send(Entry::Sent(sent)).unwrap();
        }
        recorder.empty().unwrap();
        let left: Vec<SimTime> = recorder.pending.keys().map(|(at, _)| *at).collect();
        assert_eq!(
            left,
            [us(9000)],
            "something from before may still be on the air"
        );
        recorder.finish().unwrap();
        assert_eq!(times(dir.path()), [us(1000), us(2000), us(9000)]);
    }

    #[test]
    fn a_lost_frame_says_where_it_was_lost_and_why() {
        let dir = tempfile::tempdir().unwrap();
        let (_sender, recorder) = recorder(dir.path(), true);
        let lost = transmission(0, 500, Fate::Lost(Reason::Noise));
        let packet = recorder.sent(&lost);
        assert_eq!(
            packet.comment.as_deref(),
            Some("a: attempt 2; b: lost: noise, -90.2 dBm, SINR 1.5 dB")
        );
        assert_eq!(packet.data.len(), 20 + 5, "no strength: nobody received it");
    }

    #[test]
    fn what_a_comment_says_of_a_frame_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let (_sender, recorder) = recorder(dir.path(), true);
        let received = |packet: Packet| capture::tap::received(&packet.comment.unwrap());
        let sent = |fate| recorder.sent(&transmission(0, 500, fate));
        assert_eq!(received(sent(Fate::Received)), Some(true));
        let lost = sent(Fate::Lost(Reason::Noise));
        assert_eq!(received(lost), Some(false));
        let mut ack = transmission(0, 500, Fate::Received);
        ack.kind = Kind::Ack;
        assert_eq!(received(recorder.sent(&ack)), Some(true));
        let mut unheard = transmission(0, 500, Fate::Received);
        unheard.receptions.clear();
        assert_eq!(received(recorder.sent(&unheard)), Some(false));
        let never_sent = recorder.never_sent(&FrameReport {
            frame: FrameId(0),
            from: RadioIndex(0),
            channel: Channel::try_from(26).unwrap(),
            queued: us(0),
            mpdu: [1, 2, 3].into(),
            ended: us(9000),
            attempts: 0,
            sent: medium::SendOutcome::ChannelAccessFailure,
            receivers: Vec::new(),
        });
        assert_eq!(received(never_sent), Some(false));
    }

    fn times(dir: &std::path::Path) -> Vec<SimTime> {
        let capture = capture::read(dir.join("air.pcapng")).unwrap();
        capture.packets.iter().map(|packet| packet.time).collect()
    }
}
