//! The receivers: who synchronises on a transmission, and who gets it right.

use std::sync::Arc;

use rand_core::Rng as _;
use units::seed::unit_interval;
use units::{Channel, Db, Dbm, SimTime};

use super::{Medium, place};
use crate::air::{OnAir, Part};
use crate::mpdu::FrameType;
use crate::radio::Lock;
use crate::{
    Delivery, Fate, Heard, Kind, Outcome, Output, PathLoss, RadioIndex, Reason, Reception,
    Transmission, phy,
};

/// A span of a transmission: its SHR, or its PHR and PSDU.
#[derive(Clone, Copy)]
struct Span {
    channel: Channel,
    /// [`crate::air::OnAir::id`].
    id: u64,
    ends: (SimTime, SimTime),
    /// Whether there was another transmission on the channel meanwhile.
    overlapped: bool,
}

/// What a radio made of a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision {
    by: RadioIndex,
    rssi: Dbm,
    /// Over noise and the span's mean interference.
    sinr: Db,
    fate: Fate,
}

impl Medium {
    /// The newest transmission on `channel` begins: radios that can synchronise on it do.
    pub(super) fn begin_receptions(&mut self, path: &mut dyn PathLoss, channel: Channel) {
        let now = self.now;
        let air = &mut self.channels[place(channel)];
        let Some((new, earlier)) = air.transmissions.split_last_mut() else {
            return;
        };
        let from = new.from;
        for &member in air.members.iter().filter(|member| **member != from) {
            let rssi = new.power(path, member);
            let radio = &mut self.radios[member.0];
            if !radio.can_detect(rssi) || !radio.is_on() || radio.is_deaf(now) {
                continue;
            }
            if let Some(old) = radio.lock {
                // Of frames that begin together the receiver takes the strongest.
                if old.start != now || old.rssi.0 >= rssi.0 {
                    continue;
                }
                for other in earlier.iter_mut().filter(|t| t.id == old.transmission) {
                    other.lose(member, Reason::Busy);
                }
            }
            radio.lock = Some(Lock {
                transmission: new.id,
                start: now,
                shr_end: new.shr_end,
                rssi,
                draw: None,
            });
            radio.meter.enter(now, radio.state());
            new.at_the_edge |= (rssi - radio.noise).0 < phy::CERTAIN.0;
            new.locked.push(member);
        }
        for (to, lost) in &mut new.receivers {
            let radio = &self.radios[to.0];
            let rssi = new.power.get(to.0).copied();
            *lost = if radio.lock.is_some_and(|lock| lock.transmission == new.id) {
                None
            } else if radio.config.channel != channel {
                Some(Reason::NotOnChannel)
            } else if !radio.is_on() {
                Some(Reason::Asleep)
            } else if !rssi.is_some_and(|rssi| radio.can_detect(Dbm(rssi))) {
                Some(Reason::NoSignal)
            } else if radio.is_deaf(now) {
                Some(Reason::Transmitting)
            } else {
                Some(Reason::Busy)
            };
        }
    }

    /// The SHR of the radio's transmission is over: receivers that did not get it give up.
    pub(super) fn end_shr(&mut self, path: &mut dyn PathLoss, from: RadioIndex) {
        let part = |new: &OnAir| (new.start, new.shr_end);
        let Some((span, index)) = self.own_span(from, part) else {
            return;
        };
        let new = &self.channels[place(span.channel)].transmissions[index];
        if !span.overlapped && !new.at_the_edge {
            return;
        }
        for member in new.locked.clone() {
            let decision = self.decide(path, span, member);
            if let Some(Fate::Lost(reason)) = decision.map(|decision| decision.fate) {
                self.unlock(member, reason);
                self.settle(member);
            }
        }
    }

    /// The radio's transmission is over: its receivers learn its fate, then its sender.
    pub(super) fn end_transmission(&mut self, path: &mut dyn PathLoss, from: RadioIndex) {
        let part = |over: &OnAir| (over.shr_end, over.end);
        let Some((span, index)) = self.own_span(from, part) else {
            return;
        };
        let over = &mut self.channels[place(span.channel)].transmissions[index];
        let locked = std::mem::take(&mut over.locked);
        let is_certain = !span.overlapped && !over.at_the_edge && self.loss_ratios.is_empty();
        let mut decisions = std::mem::take(&mut self.decisions);
        if is_certain {
            self.receive_all(span, index, &locked, &mut decisions);
        } else {
            for &member in &locked {
                if let Some(mut decision) = self.decide(path, span, member) {
                    if decision.fate == Fate::Received && self.link_loses(from, member) {
                        decision.fate = Fate::Lost(Reason::LinkLoss);
                    }
                    decisions.push(decision);
                    self.release(member);
                }
            }
        }
        self.conclude(span.channel, index, &decisions);
        decisions.clear();
        self.decisions = decisions;
        self.channels[place(span.channel)].reuse(locked);
    }

    /// All who stayed synchronised on a transmission get it; decided is it of those whom it concerns.
    fn receive_all(
        &mut self,
        span: Span,
        index: usize,
        locked: &[RadioIndex],
        decisions: &mut Vec<Decision>,
    ) {
        let over = &self.channels[place(span.channel)].transmissions[index];
        let mut receivers = over.receivers.iter().map(|(to, _)| *to).peekable();
        let now = self.now;
        for &member in locked {
            let radio = &mut self.radios[member.0];
            let Some(lock) = radio.lock.take_if(|lock| lock.transmission == span.id) else {
                continue;
            };
            radio.meter.enter(now, radio.state());
            while receivers.next_if(|to| *to < member).is_some() {}
            if receivers.peek() == Some(&member) || radio.promiscuous {
                decisions.push(Decision {
                    by: member,
                    rssi: lock.rssi,
                    sinr: lock.rssi - radio.noise,
                    fate: Fate::Received,
                });
            }
        }
    }

    /// The radio is no longer synchronised on anything.
    fn release(&mut self, radio: RadioIndex) {
        let radio = &mut self.radios[radio.0];
        radio.lock = None;
        radio.meter.enter(self.now, radio.state());
    }

    /// The radio's transmission, as a part of it, and its place on its channel.
    fn own_span(
        &self,
        from: RadioIndex,
        part: impl Fn(&OnAir) -> (SimTime, SimTime),
    ) -> Option<(Span, usize)> {
        let (channel, id) = self.radios[from.0].on_air?;
        let air = &self.channels[place(channel)];
        let index = air.position(id)?;
        let ends = part(&air.transmissions[index]);
        let span = Span {
            channel,
            id,
            ends,
            overlapped: air.is_overlapped(index, ends),
        };
        Some((span, index))
    }

    /// Hands the transmission `index`, which is over, to those who decoded it, and tells its
    /// sender.
    fn conclude(&mut self, channel: Channel, index: usize, decisions: &[Decision]) {
        let over = &self.channels[place(channel)].transmissions[index];
        let (from, kind, header) = (over.from, over.kind, over.header);
        let mpdu = over.mpdu.clone();
        let mut transmission = Transmission {
            frame: over.frame,
            kind,
            from,
            channel,
            start: over.start,
            end: over.end,
            psdu: over.psdu.clone(),
            receptions: Vec::new(),
        };
        let receptions = self.receptions(over, decisions);
        self.tell_ears(channel, &mpdu, decisions);
        if let Kind::Data { attempt } = kind {
            let wanted = header.filter(|header| header.wants_ack());
            let decided = receptions.iter().filter(|r| r.fate == Fate::Received);
            for reception in decided.filter(|_| wanted.is_some()) {
                let sequence = wanted.map_or(0, |header| header.sequence);
                self.owe_ack(reception.to, from, (transmission.frame, sequence));
            }
            self.note(&transmission, &mpdu, attempt, &receptions);
        }
        transmission.receptions = receptions;
        let psdu_bytes = transmission.psdu.len();
        self.outputs.push_back(Output::Transmission(transmission));
        self.sent(from, psdu_bytes, kind);
        let ack = header.filter(|header| header.frame_type == FrameType::Ack);
        for decision in decisions {
            if let (Some(ack), Fate::Received) = (ack, decision.fate) {
                self.acknowledged(decision.by, ack.sequence);
            }
        }
    }

    /// The fates of a transmission, in the order of the radios that it is for.
    fn receptions(&self, over: &OnAir, decisions: &[Decision]) -> Vec<Reception> {
        let mut decisions = decisions.iter().peekable();
        let fate = |&(to, lost): &(RadioIndex, Option<Reason>)| {
            while decisions.next_if(|decision| decision.by < to).is_some() {}
            let decision = decisions.next_if(|decision| decision.by == to);
            if let Some(decision) = decision {
                let radio = &self.radios[to.0];
                let (rssi, sinr) = (decision.rssi, decision.sinr);
                return Reception {
                    to,
                    rssi: Some(rssi),
                    sinr: Some(sinr),
                    lqi: Some(phy::lqi_over(radio.noise, rssi, sinr, radio.sensitivity)),
                    fate: decision.fate,
                };
            }
            let lost = lost.unwrap_or(Reason::Busy);
            let off = matches!(lost, Reason::NotOnChannel | Reason::Asleep);
            let power = over.power.get(to.0).copied();
            Reception {
                to,
                rssi: power.filter(|p| !off && p.is_finite()).map(Dbm),
                sinr: None,
                lqi: None,
                fate: Fate::Lost(lost),
            }
        };
        over.receivers.iter().map(fate).collect()
    }

    fn tell_ears(&mut self, channel: Channel, mpdu: &Arc<[u8]>, decisions: &[Decision]) {
        let received = decisions.iter().filter(|d| d.fate == Fate::Received);
        for &Decision { by, rssi, sinr, .. } in received {
            let radio = &self.radios[by.0];
            if radio.promiscuous {
                self.outputs.push_back(Output::Heard(Heard {
                    at: self.now,
                    by,
                    channel,
                    mpdu: mpdu.clone(),
                    rssi,
                    lqi: phy::lqi_over(radio.noise, rssi, sinr, radio.sensitivity),
                }));
            }
        }
    }

    /// Notes an attempt's outcomes with its sender's frame, and delivers first copies.
    fn note(
        &mut self,
        transmission: &Transmission,
        mpdu: &Arc<[u8]>,
        attempt: u8,
        receptions: &[Reception],
    ) {
        let at = self.now;
        let Some(job) = &mut self.radios[transmission.from.0].current else {
            return;
        };
        job.progress.reserve(receptions.len());
        for reception in receptions {
            let (rssi, lqi, sinr) = match (reception.fate, reception) {
                (Fate::Lost(reason), _) => {
                    job.note(reception.to, Outcome::Dropped(reason));
                    continue;
                }
                #[rustfmt::skip]
                (_, &Reception { rssi: Some(rssi), lqi: Some(lqi), sinr: Some(sinr), .. }) => {
                    (rssi, lqi, sinr)
                },
                _ => continue,
            };
            let delivered = Outcome::Delivered {
                at,
                rssi,
                lqi,
                sinr,
                attempt,
            };
            if job.note(reception.to, delivered) {
                self.outputs.push_back(Output::Deliver(Delivery {
                    at,
                    to: reception.to,
                    frame: transmission.frame,
                    channel: transmission.channel,
                    mpdu: mpdu.clone(),
                    rssi,
                    lqi,
                    sinr,
                }));
            }
        }
    }

    /// Decides whether the radio gets a span of the frame that it is synchronised on; `None`
    /// if it is not synchronised on it any more. One random number serves SHR and the rest,
    /// drawn when chance first has a say.
    fn decide(&mut self, path: &mut dyn PathLoss, span: Span, by: RadioIndex) -> Option<Decision> {
        let radio = &self.radios[by.0];
        let lock = radio.lock.filter(|lock| lock.transmission == span.id)?;
        let (noise_mw, clean) = (radio.noise_mw, lock.rssi - radio.noise);
        let decision = |sinr, fate| {
            let rssi = lock.rssi;
            Some(Decision {
                by,
                rssi,
                sinr,
                fate,
            })
        };
        if !span.overlapped && clean.0 >= phy::CERTAIN.0 {
            return decision(clean, Fate::Received);
        }
        let air = &mut self.channels[place(span.channel)];
        let index = air.position(span.id)?;
        let from = air.transmissions[index].from;
        let parts = air.interference(path, index, by, span.ends);
        let bits = phy::bits_in(span.ends.1.saturating_since(span.ends.0));
        let alone = self.curve.success(clean, bits);
        let (mut sinr, mut chance) = (clean, alone);
        if !parts.is_empty() {
            let signal_mw = phy::to_mw(lock.rssi);
            let over = |mw: f64| phy::from_ratio(signal_mw / (noise_mw + mw));
            let weighted = |part: &Part| part.interference_mw * phy::bits_in(part.time);
            sinr = over(parts.iter().map(weighted).sum::<f64>() / bits);
            let right = |part: &Part| {
                let bits = phy::bits_in(part.time);
                self.curve.success(over(part.interference_mw), bits)
            };
            chance = parts.iter().map(right).product();
        }
        if chance >= phy::ALWAYS {
            return decision(sinr, Fate::Received);
        }
        let draw = self.draw(from, by);
        let fate = if draw < chance {
            Fate::Received
        } else if draw < alone {
            Fate::Lost(Reason::Collision)
        } else {
            Fate::Lost(Reason::Noise)
        };
        decision(sinr, fate)
    }

    /// Whether the loss ratio of the link takes a transmission that `to` would have got right.
    fn link_loses(&mut self, from: RadioIndex, to: RadioIndex) -> bool {
        let Some((ratio, rng)) = self.loss_ratios.get_mut(&(from, to)) else {
            return false;
        };
        unit_interval(rng.next_u64()) < ratio.probability()
    }

    /// The random number, from 0 to below 1, of the reception that `to` is synchronised on.
    fn draw(&mut self, from: RadioIndex, to: RadioIndex) -> f64 {
        let known = self.radios[to.0].lock.and_then(|lock| lock.draw);
        if let Some(draw) = known {
            return draw;
        }
        let names = (
            &self.radios[from.0].config.name,
            &self.radios[to.0].config.name,
        );
        let seed = self.seed;
        let stream = self.reception_draws.entry((from, to));
        let stream = stream.or_insert_with(|| seed.rng(&["medium", "reception", names.0, names.1]));
        let draw = unit_interval(stream.next_u64());
        if let Some(lock) = &mut self.radios[to.0].lock {
            lock.draw = Some(draw);
        }
        draw
    }
}
