//! The receivers: who synchronises on a transmission, and who gets it right.

use std::sync::Arc;

use rand_core::Rng as _;
use units::{Channel, Db, Dbm, Lqi, SimTime};

use super::Medium;
use crate::air::{OnAir, Part};
use crate::mpdu::FrameType;
use crate::radio::Lock;
use crate::{
    Delivery, Fate, Heard, Kind, Outcome, Output, PathLoss, RadioIndex, Reason, Reception,
    Transmission, phy,
};

/// What a radio made of a span of a frame.
#[derive(Clone, Copy)]
struct Decision {
    /// Over noise and the span's mean interference.
    sinr: Db,
    fate: Fate,
}

/// A frame that a radio decoded.
#[derive(Clone, Copy)]
struct Decoded {
    by: RadioIndex,
    rssi: Dbm,
    lqi: Lqi,
    sinr: Db,
}

impl Medium {
    /// The newest transmission on `channel` begins: radios that can synchronise on it do.
    pub(super) fn begin_receptions(&mut self, path: &mut dyn PathLoss, channel: Channel) {
        let now = self.now;
        let Some(air) = self.channels.get_mut(&channel) else {
            return;
        };
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
        }
        for (to, lost) in &mut new.receivers {
            let radio = &self.radios[to.0];
            let rssi = new.power.get(to.0).copied();
            *lost = if radio.config.channel != channel {
                Some(Reason::NotOnChannel)
            } else if radio.lock.is_some_and(|lock| lock.transmission == new.id) {
                None
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
        let Some((channel, id)) = self.radios[from.0].on_air else {
            return;
        };
        for member in self.locked_on(channel, id) {
            let decision = self.decide(path, channel, member, |t| (t.start, t.shr_end));
            if let Some(Fate::Lost(reason)) = decision.map(|decision| decision.fate) {
                self.unlock(member, reason);
                self.settle(member);
            }
        }
    }

    /// The radio's transmission is over: its receivers learn its fate, then its sender.
    pub(super) fn end_transmission(&mut self, path: &mut dyn PathLoss, from: RadioIndex) {
        let Some((channel, id)) = self.radios[from.0].on_air else {
            return;
        };
        let Some(mut receptions) = self.first_fates(channel, id) else {
            return;
        };
        let mut decoded = Vec::new();
        for member in self.locked_on(channel, id) {
            let Some(decision) = self.decide(path, channel, member, |t| (t.shr_end, t.end)) else {
                continue;
            };
            let radio = &mut self.radios[member.0];
            let Some(lock) = radio.lock.take() else {
                continue;
            };
            radio.meter.enter(self.now, radio.state());
            let (rssi, sinr) = (lock.rssi, decision.sinr);
            let lqi = phy::lqi(rssi, sinr, &radio.config.profile);
            if let Ok(i) = receptions.binary_search_by_key(&member, |r| r.to) {
                receptions[i].sinr = Some(sinr);
                receptions[i].lqi = Some(lqi);
                receptions[i].fate = decision.fate;
            }
            if decision.fate == Fate::Received {
                decoded.push(Decoded {
                    by: member,
                    rssi,
                    lqi,
                    sinr,
                });
            }
        }
        self.conclude(channel, id, receptions, &decoded);
    }

    /// The fates that are known before the end of a transmission, in the order of the radios.
    fn first_fates(&self, channel: Channel, id: u64) -> Option<Vec<Reception>> {
        let air = self.channels.get(&channel)?;
        let transmission = &air.transmissions[air.position(id)?];
        let first = |(to, lost): &(RadioIndex, Option<Reason>)| {
            let power = transmission.power.get(to.0).copied();
            let off = matches!(lost, Some(Reason::NotOnChannel | Reason::Asleep));
            Reception {
                to: *to,
                rssi: power.filter(|p| !off && p.is_finite()).map(Dbm),
                sinr: None,
                lqi: None,
                fate: lost.map_or(Fate::Received, Fate::Lost),
            }
        };
        Some(transmission.receivers.iter().map(first).collect())
    }

    /// Hands a transmission that is over to those who decoded it, and tells its sender.
    fn conclude(
        &mut self,
        channel: Channel,
        id: u64,
        receptions: Vec<Reception>,
        decoded: &[Decoded],
    ) {
        let Some(air) = self.channels.get(&channel) else {
            return;
        };
        let Some(index) = air.position(id) else {
            return;
        };
        let over = &air.transmissions[index];
        let (from, kind, header, frame) = (over.from, over.kind, over.header, over.frame);
        let mpdu = over.mpdu.clone();
        let transmission = Transmission {
            frame,
            kind,
            from,
            channel,
            start: over.start,
            end: over.end,
            psdu: over.psdu.clone(),
            receptions,
        };
        for one in decoded {
            if self.radios[one.by.0].config.ear {
                self.outputs.push_back(Output::Heard(Heard {
                    at: self.now,
                    by: one.by,
                    channel,
                    mpdu: mpdu.clone(),
                    rssi: one.rssi,
                    lqi: one.lqi,
                }));
            }
        }
        if let Kind::Data { attempt } = kind {
            for reception in &transmission.receptions {
                let one = decoded.iter().find(|one| one.by == reception.to);
                self.note(&transmission, &mpdu, attempt, reception, one);
                let owed = header.filter(|header| one.is_some() && header.wants_ack());
                if let Some(header) = owed {
                    self.owe_ack(reception.to, from, (frame, header.sequence));
                }
            }
        }
        let psdu_bytes = transmission.psdu.len();
        self.outputs.push_back(Output::Transmission(transmission));
        self.sent(from, psdu_bytes, kind);
        if let Some(ack) = header.filter(|header| header.frame_type == FrameType::Ack) {
            for one in decoded {
                self.acknowledged(one.by, ack.sequence);
            }
        }
        for one in decoded {
            self.settle(one.by);
        }
    }

    /// Notes one attempt's outcome at one receiver, and delivers the frame if it is the first
    /// copy.
    fn note(
        &mut self,
        transmission: &Transmission,
        mpdu: &Arc<[u8]>,
        attempt: u8,
        reception: &Reception,
        decoded: Option<&Decoded>,
    ) {
        let Some(job) = &mut self.radios[transmission.from.0].current else {
            return;
        };
        let at = self.now;
        let outcome = match (decoded, reception.fate) {
            (Some(one), _) => Outcome::Delivered {
                at,
                rssi: one.rssi,
                lqi: one.lqi,
                sinr: one.sinr,
                attempt,
            },
            (None, Fate::Lost(reason)) => Outcome::Dropped(reason),
            (None, Fate::Received) => return,
        };
        let first = job.note(reception.to, outcome);
        if let Some(one) = decoded.filter(|_| first) {
            self.outputs.push_back(Output::Deliver(Delivery {
                at,
                to: one.by,
                frame: transmission.frame,
                channel: transmission.channel,
                mpdu: mpdu.clone(),
                rssi: one.rssi,
                lqi: one.lqi,
                sinr: one.sinr,
            }));
        }
    }

    /// The radios that are synchronised on a transmission.
    fn locked_on(&self, channel: Channel, id: u64) -> Vec<RadioIndex> {
        let members = self.channels.get(&channel).map(|air| &air.members);
        let locked = |member: &&RadioIndex| {
            let lock = self.radios[member.0].lock;
            lock.is_some_and(|lock| lock.transmission == id)
        };
        members
            .into_iter()
            .flatten()
            .filter(locked)
            .copied()
            .collect()
    }

    /// Decides whether the radio gets `span` of the frame that it is synchronised on: SHR, or
    /// PHR and PSDU. One random number serves both, drawn when chance first has a say.
    fn decide(
        &mut self,
        path: &mut dyn PathLoss,
        channel: Channel,
        member: RadioIndex,
        span: impl Fn(&OnAir) -> (SimTime, SimTime),
    ) -> Option<Decision> {
        let radio = &self.radios[member.0];
        let (lock, noise_mw) = (radio.lock?, radio.noise_mw);
        let clean = lock.rssi - radio.noise;
        let air = self.channels.get_mut(&channel)?;
        let index = air.position(lock.transmission)?;
        let from = air.transmissions[index].from;
        let span = span(&air.transmissions[index]);
        let parts = air.interference(path, index, member, span);
        let received = |sinr| Decision {
            sinr,
            fate: Fate::Received,
        };
        if parts.is_empty() && clean.0 >= phy::CERTAIN.0 {
            return Some(received(clean));
        }
        let signal_mw = phy::to_mw(lock.rssi);
        let ratio = |interference_mw: f64| signal_mw / (noise_mw + interference_mw);
        let bits = phy::bits_in(span.1.saturating_since(span.0));
        let alone = phy::success(ratio(0.0), bits);
        let (mut sinr, mut chance) = (clean, alone);
        if !parts.is_empty() {
            let weighted = |part: &Part| part.interference_mw * phy::bits_in(part.time);
            sinr = phy::from_ratio(ratio(parts.iter().map(weighted).sum::<f64>() / bits));
            let worst = parts.iter().map(|p| p.interference_mw).fold(0.0, f64::max);
            if phy::from_ratio(ratio(worst)).0 >= phy::CERTAIN.0 {
                return Some(received(sinr));
            }
            let right = |p: &Part| phy::success(ratio(p.interference_mw), phy::bits_in(p.time));
            chance = parts.iter().map(right).product();
        }
        let draw = self.draw(from, member);
        let fate = if draw < chance {
            Fate::Received
        } else if draw < alone {
            Fate::Lost(Reason::Collision)
        } else {
            Fate::Lost(Reason::Noise)
        };
        Some(Decision { sinr, fate })
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
        let stream = self.luck.entry((from, to));
        let stream = stream.or_insert_with(|| seed.rng(&["medium", "reception", names.0, names.1]));
        // The upper 53 bits: all that a double between 1/2 and 1 can hold.
        let draw = (stream.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        if let Some(lock) = &mut self.radios[to.0].lock {
            lock.draw = Some(draw);
        }
        draw
    }
}
