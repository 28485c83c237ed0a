//! The transmitter: queue, unslotted CSMA-CA, transmission, ACK wait, retries, reports.

use std::sync::Arc;

use units::SimTime;

use super::{Medium, place};
use crate::air::OnAir;
use crate::mpdu::{self, Header};
use crate::radio::{Job, PendingAck, Phase, Step};
use crate::{
    FrameId, FrameReport, Kind, Outcome, Output, PathLoss, RadioIndex, Reason, SendOutcome, mac,
    phy,
};

/// A frame as it goes on the air.
struct Outgoing {
    frame: FrameId,
    kind: Kind,
    header: Option<Header>,
    mpdu: Arc<[u8]>,
    psdu: Arc<[u8]>,
    receivers: Vec<RadioIndex>,
}

impl Medium {
    /// Takes a frame of the radio's host.
    pub(super) fn enqueue(&mut self, radio: RadioIndex, frame: FrameId, mpdu: &[u8]) {
        let too_long = mpdu.len() + mpdu::FCS_BYTES > phy::MAX_PSDU;
        let sender = &mut self.radios[radio.0];
        let job = Box::new(Job {
            frame,
            channel: sender.config.channel,
            queued: self.now,
            mpdu: mpdu.into(),
            psdu: mpdu::psdu(mpdu).into(),
            header: Header::parse(mpdu).ok().filter(|_| !too_long),
            attempts: 0,
            busy: 0,
            exponent: 0,
            progress: Vec::new(),
        });
        if too_long {
            self.report(radio, *job, SendOutcome::TooLong);
        } else if sender.current.is_none() && sender.timer.is_none() {
            sender.queue.push_back(job);
            self.next_frame(radio);
        } else if sender.queue.len() < sender.config.mac.queue {
            sender.queue.push_back(job);
        } else {
            self.report(radio, *job, SendOutcome::QueueFull);
        }
    }

    /// Begins with the next frame of the queue, if there is one, as soon as the interframe
    /// space is over.
    fn next_frame(&mut self, radio: RadioIndex) {
        let sender = &mut self.radios[radio.0];
        if sender.queue.is_empty() {
            return;
        }
        if self.now < sender.spaced {
            let spaced = sender.spaced;
            self.arm(radio, Phase::Idle, spaced, Step::Spaced);
            return;
        }
        sender.current = sender.queue.pop_front();
        self.csma(radio);
    }

    /// Begins CSMA-CA for the frame at hand (§7.5.1.4: NB = 0, BE = macMinBE).
    fn csma(&mut self, radio: RadioIndex) {
        let sender = &mut self.radios[radio.0];
        if let Some(job) = &mut sender.current {
            job.busy = 0;
            job.exponent = sender.config.mac.min_be;
        }
        self.back_off(radio);
        self.settle(radio);
    }

    fn back_off(&mut self, radio: RadioIndex) {
        let sender = &mut self.radios[radio.0];
        let exponent = sender.current.as_ref().map_or(0, |job| job.exponent);
        let periods = mac::backoff_periods(&mut sender.backoff, exponent);
        let at = self.now + mac::UNIT_BACKOFF * periods;
        self.arm(radio, Phase::Backoff, at, Step::CcaStart);
    }

    /// Enters `phase`, which `step` ends at `at`.
    fn arm(&mut self, radio: RadioIndex, phase: Phase, at: SimTime, step: Step) {
        self.disarm(radio, phase);
        self.radios[radio.0].timer = Some((at, step));
        self.agenda.insert((at, step, radio));
    }

    /// Enters `phase`, which no timer ends.
    fn disarm(&mut self, radio: RadioIndex, phase: Phase) {
        let sender = &mut self.radios[radio.0];
        sender.phase = phase;
        if let Some((at, step)) = sender.timer.take() {
            self.agenda.remove(&(at, step, radio));
        }
    }

    /// The MAC's timer has come to `step`.
    pub(super) fn mac_timer(&mut self, path: &mut dyn PathLoss, radio: RadioIndex, step: Step) {
        let now = self.now;
        let sender = &mut self.radios[radio.0];
        sender.timer = None;
        match step {
            Step::Spaced => self.next_frame(radio),
            Step::CcaStart => {
                let busy = sender.is_deaf(now) || sender.is_receiving(now);
                self.arm(radio, Phase::Cca { busy }, now + phy::CCA, Step::CcaEnd);
            }
            Step::CcaEnd => self.end_cca(path, radio),
            Step::Start => self.send_frame(path, radio),
            Step::AckTimeout => self.retry(radio),
            Step::TransmissionEnd | Step::ShrEnd | Step::AckStart => {}
        }
    }

    fn end_cca(&mut self, path: &mut dyn PathLoss, radio: RadioIndex) {
        let now = self.now;
        let sender = &self.radios[radio.0];
        let (threshold, channel) = (sender.cca_mw, sender.config.channel);
        let busy = sender.phase == Phase::Cca { busy: true }
            || sender.is_deaf(now)
            || sender.is_receiving(now)
            || self.air_mut(channel).energy(path, radio, now) >= threshold;
        let sender = &mut self.radios[radio.0];
        if !busy {
            let at = now + sender.config.profile.turnaround;
            self.unlock(radio, Reason::Transmitting);
            self.arm(radio, Phase::Turning, at, Step::Start);
            self.settle(radio);
            return;
        }
        let params = sender.config.mac;
        let Some(job) = &mut sender.current else {
            return;
        };
        if job.busy >= params.max_csma_backoffs {
            self.finish(radio, SendOutcome::ChannelAccessFailure);
        } else {
            job.busy += 1;
            job.exponent = job.exponent.saturating_add(1).min(params.max_be);
            self.back_off(radio);
        }
    }

    fn send_frame(&mut self, path: &mut dyn PathLoss, radio: RadioIndex) {
        self.disarm(radio, Phase::Sending);
        let Some(job) = &mut self.radios[radio.0].current else {
            return;
        };
        job.attempts += 1;
        let mut outgoing = Outgoing {
            frame: job.frame,
            kind: Kind::Data {
                attempt: job.attempts,
            },
            header: job.header,
            mpdu: job.mpdu.clone(),
            psdu: job.psdu.clone(),
            receivers: Vec::new(),
        };
        outgoing.receivers = self.receivers(radio, outgoing.header);
        self.transmit(path, radio, outgoing);
    }

    /// The radio begins the ACK that it owes.
    pub(super) fn send_ack(&mut self, path: &mut dyn PathLoss, radio: RadioIndex) {
        let Some(owed) = self.radios[radio.0].ack.take() else {
            return;
        };
        let mpdu = mpdu::ack(owed.sequence);
        let outgoing = Outgoing {
            frame: owed.frame,
            kind: Kind::Ack,
            header: Header::parse(&mpdu).ok(),
            mpdu: Arc::from(mpdu),
            psdu: mpdu::psdu(&mpdu).into(),
            receivers: vec![owed.to],
        };
        self.transmit(path, radio, outgoing);
    }

    /// The radio owes the ACK of `frame` to radio `to`.
    pub(super) fn owe_ack(&mut self, radio: RadioIndex, to: RadioIndex, job: (FrameId, u8)) {
        let at = self.now + phy::TURNAROUND;
        self.radios[radio.0].ack = Some(PendingAck {
            at,
            to,
            frame: job.0,
            sequence: job.1,
        });
        self.agenda.insert((at, Step::AckStart, radio));
    }

    /// The radios that a frame of `radio` with `header` is for.
    fn receivers(&self, radio: RadioIndex, header: Option<Header>) -> Vec<RadioIndex> {
        let Some(header) = header else {
            return Vec::new();
        };
        let all = self.radios.iter().enumerate();
        all.filter(|(i, other)| *i != radio.0 && header.is_for(&other.config.filter))
            .map(|(i, _)| RadioIndex(i))
            .collect()
    }

    /// Puts a frame on the air.
    fn transmit(&mut self, path: &mut dyn PathLoss, radio: RadioIndex, outgoing: Outgoing) {
        let start = self.now;
        let id = self.transmissions;
        self.transmissions += 1;
        let sender = &mut self.radios[radio.0];
        let channel = sender.config.channel;
        sender.on_air = Some((channel, id));
        let receivers = outgoing.receivers.into_iter();
        let transmission = OnAir {
            id,
            from: radio,
            frame: outgoing.frame,
            kind: outgoing.kind,
            header: outgoing.header,
            start,
            shr_end: start + phy::SHR,
            end: start + phy::airtime(outgoing.psdu.len()),
            mpdu: outgoing.mpdu,
            psdu: outgoing.psdu,
            tx_power: sender.config.profile.tx_power,
            power: vec![f64::NAN; self.radios.len()],
            receivers: receivers.map(|r| (r, None)).collect(),
            locked: self.channels[place(channel)].list(),
            at_the_edge: false,
        };
        self.agenda
            .insert((transmission.shr_end, Step::ShrEnd, radio));
        self.agenda
            .insert((transmission.end, Step::TransmissionEnd, radio));
        let air = self.air_mut(channel);
        air.prune(start);
        air.transmissions.push(transmission);
        self.settle(radio);
        self.begin_receptions(path, channel);
    }

    /// The radio's transmission, of a PSDU of `psdu_bytes`, is over.
    pub(super) fn sent(&mut self, radio: RadioIndex, psdu_bytes: usize, kind: Kind) {
        let now = self.now;
        let sender = &mut self.radios[radio.0];
        sender.on_air = None;
        sender.deaf_until = now + sender.config.profile.turnaround;
        if kind == Kind::Ack {
            self.settle(radio);
            return;
        }
        sender.spaced = now + mac::interframe_space(psdu_bytes);
        let Some(job) = &sender.current else {
            return;
        };
        if !job.wants_ack() {
            self.finish(radio, SendOutcome::Sent);
        } else if job.channel != sender.config.channel {
            self.finish(radio, SendOutcome::Retuned);
        } else {
            let at = now + mac::ACK_WAIT;
            self.arm(radio, Phase::AwaitingAck, at, Step::AckTimeout);
            self.settle(radio);
        }
    }

    /// An ACK with `sequence` has reached the radio.
    pub(super) fn acknowledged(&mut self, radio: RadioIndex, sequence: u8) {
        let sender = &mut self.radios[radio.0];
        let Some(job) = &sender.current else {
            return;
        };
        let own = job.header.is_some_and(|h| h.sequence == sequence);
        if sender.phase == Phase::AwaitingAck && own {
            sender.spaced = self.now + mac::interframe_space(job.psdu.len());
            self.finish(radio, SendOutcome::Acknowledged);
        }
    }

    /// No ACK came.
    fn retry(&mut self, radio: RadioIndex) {
        let sender = &self.radios[radio.0];
        // Attempts are counted in a byte.
        let most = sender.config.mac.max_frame_retries.saturating_add(1);
        match &sender.current {
            Some(job) if job.attempts < most => self.csma(radio),
            _ => self.finish(radio, SendOutcome::NotAcknowledged),
        }
    }

    /// Ends the frame at hand and goes on to the next.
    fn finish(&mut self, radio: RadioIndex, sent: SendOutcome) {
        self.disarm(radio, Phase::Idle);
        if let Some(job) = self.radios[radio.0].current.take() {
            self.report(radio, *job, sent);
        }
        self.next_frame(radio);
        self.settle(radio);
    }

    /// The radio leaves its channel: ends its host's frames, except one on the air, and an
    /// ACK that it owes.
    pub(super) fn abandon(&mut self, radio: RadioIndex) {
        if let Some(ack) = self.radios[radio.0].ack.take() {
            self.agenda.remove(&(ack.at, Step::AckStart, radio));
        }
        if self.radios[radio.0].phase != Phase::Sending {
            self.disarm(radio, Phase::Idle);
            if let Some(job) = self.radios[radio.0].current.take() {
                self.report(radio, *job, SendOutcome::Retuned);
            }
        }
        while let Some(job) = self.radios[radio.0].queue.pop_front() {
            self.report(radio, *job, SendOutcome::Retuned);
        }
    }

    /// Reports the end of a frame.
    fn report(&mut self, radio: RadioIndex, job: Job, sent: SendOutcome) {
        // The sender's own reason to give up comes before what the receivers saw.
        let own = match sent {
            SendOutcome::ChannelAccessFailure => Some(Reason::ChannelAccessFailure),
            SendOutcome::QueueFull => Some(Reason::QueueFull),
            SendOutcome::Retuned => Some(Reason::NotOnChannel),
            _ => None,
        };
        let mut receivers = job.progress;
        if let Some(reason) = own {
            if job.attempts == 0 {
                let all = self.receivers(radio, job.header).into_iter();
                receivers = all.map(|r| (r, Outcome::Dropped(reason))).collect();
            }
            for (_, outcome) in &mut receivers {
                if let Outcome::Dropped(old) = outcome {
                    *old = reason;
                }
            }
        }
        self.outputs.push_back(Output::Done(FrameReport {
            frame: job.frame,
            from: radio,
            channel: job.channel,
            queued: job.queued,
            mpdu: job.mpdu,
            ended: self.now,
            attempts: job.attempts,
            sent,
            receivers,
        }));
    }
}
