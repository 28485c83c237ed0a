//! What comes out of the medium.

use std::fmt;
use std::sync::Arc;

use units::{Channel, Db, Dbm, Lqi, SimTime};

use crate::{FrameId, RadioIndex};

/// Something for the owner of the medium, in the order of its instants.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Hand this frame to its receiver's host now.
    Deliver(Delivery),
    /// A promiscuous radio decoded a frame, whoever it was for.
    Heard(Heard),
    /// A transmission has ended.
    Transmission(Transmission),
    /// A frame has ended.
    Done(FrameReport),
}

/// A frame for the host of radio `to`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The end of the frame on the air.
    pub at: SimTime,
    /// The radio that received it.
    pub to: RadioIndex,
    /// The frame.
    pub frame: FrameId,
    /// The channel that it was on.
    pub channel: Channel,
    /// As the sender's host handed it over: without FCS.
    pub mpdu: Arc<[u8]>,
    /// Received power.
    pub rssi: Dbm,
    /// Link quality ([`crate::phy::lqi`]).
    pub lqi: Lqi,
    /// Received power over noise and the mean interference during PHR and PSDU.
    pub sinr: Db,
}

/// A frame that radio `by` decoded: data, ACK or whatever, for any address, copies of
/// retransmitted frames included. Only radios with [`crate::RadioConfig::promiscuous`].
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The end of the frame on the air.
    pub at: SimTime,
    /// The radio that decoded it.
    pub by: RadioIndex,
    /// The channel that it was on.
    pub channel: Channel,
    /// Without FCS.
    pub mpdu: Arc<[u8]>,
    /// Received power.
    pub rssi: Dbm,
    /// Link quality ([`crate::phy::lqi`]).
    pub lqi: Lqi,
}

/// What a transmission carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A frame of a host; its first transmission is attempt 1.
    Data {
        /// Counted from 1.
        attempt: u8,
    },
    /// The immediate ACK of a radio's hardware.
    Ack,
}

/// One transmission on the air, after its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Transmission {
    /// The host's frame; of an ACK, the frame that it acknowledges.
    pub frame: FrameId,
    /// Data (and which attempt) or ACK.
    pub kind: Kind,
    /// The transmitter.
    pub from: RadioIndex,
    /// The channel.
    pub channel: Channel,
    /// First symbol of the preamble.
    pub start: SimTime,
    /// End of the last symbol.
    pub end: SimTime,
    /// With the two FCS bytes (IEEE 802.15.4-2006 §7.2.1.9).
    pub psdu: Arc<[u8]>,
    /// Its fate at each radio that it is for: those whose address filter accepts it; of an
    /// ACK, the one that waits for it. In the order of [`RadioIndex`].
    pub receptions: Vec<Reception>,
}

/// The fate of one transmission at one radio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reception {
    /// The radio.
    pub to: RadioIndex,
    /// Received power; `None` if the radio was on another channel or asleep, or there is no
    /// path to it.
    pub rssi: Option<Dbm>,
    /// As [`Delivery::sinr`]; `None` unless the radio stayed with the frame to its end.
    pub sinr: Option<Db>,
    /// Link quality; `None` where `sinr` is.
    pub lqi: Option<Lqi>,
    /// Received or lost.
    pub fate: Fate,
}

/// Whether a radio decoded a transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Decoded, a copy of a frame that was delivered before included.
    Received,
    /// Not decoded.
    Lost(Reason),
}

/// The end of a frame: exactly one per [`FrameId`].
#[derive(Clone, Debug, PartialEq)]
pub struct FrameReport {
    /// The frame.
    pub frame: FrameId,
    /// The radio that it was handed to.
    pub from: RadioIndex,
    /// The channel that it was for.
    pub channel: Channel,
    /// When its host handed it over.
    pub queued: SimTime,
    /// As its host handed it over: without FCS.
    pub mpdu: Arc<[u8]>,
    /// When its radio was through with it.
    pub ended: SimTime,
    /// Transmissions of it.
    pub attempts: u8,
    /// What its sender knows.
    pub sent: SendOutcome,
    /// Exactly one outcome per receiver: the radios, other than the sender, whose address
    /// filter accepted it when it was sent (or given up), in the order of [`RadioIndex`].
    pub receivers: Vec<(RadioIndex, Outcome)>,
}

/// How a frame ended for its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SendOutcome {
    /// It was sent and asked for no ACK.
    Sent,
    /// Its ACK came.
    Acknowledged,
    /// No ACK came for any attempt (`NO_ACK`).
    NotAcknowledged,
    /// CSMA-CA gave up (`CHANNEL_ACCESS_FAILURE`).
    ChannelAccessFailure,
    /// The queue had no place for it.
    QueueFull,
    /// Its radio was tuned away before the frame had ended.
    Retuned,
    /// Longer than a PSDU can be: never sent, and without receivers.
    TooLong,
}

impl fmt::Display for SendOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendOutcome::Sent => "sent",
            SendOutcome::Acknowledged => "acknowledged",
            SendOutcome::NotAcknowledged => "not acknowledged",
            SendOutcome::ChannelAccessFailure => "channel access failure",
            SendOutcome::QueueFull => "queue full",
            SendOutcome::Retuned => "sender tuned away",
            SendOutcome::TooLong => "too long",
        })
    }
}

/// How a frame ended for one receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Its host got it.
    Delivered {
        /// The end of the attempt that got through first.
        at: SimTime,
        /// Received power of that attempt.
        rssi: Dbm,
        /// Its link quality.
        lqi: Lqi,
        /// Its SINR, as [`Delivery::sinr`].
        sinr: Db,
        /// Which attempt it was, from 1.
        attempt: u8,
    },
    /// Its host did not get it. Of several lost attempts the reason is theirs if they share
    /// one, and [`Reason::RetriesExhausted`] if they do not; a frame that its sender gave up
    /// for a reason of its own ([`Reason::ChannelAccessFailure`], [`Reason::NotOnChannel`])
    /// has that.
    Dropped(Reason),
}

/// Why a receiver did not get a frame or a transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No path, or less power than the receiver's sensitivity.
    NoSignal,
    /// The sender found the channel busy until CSMA-CA gave up.
    ChannelAccessFailure,
    /// Another transmission on the channel destroyed it.
    Collision,
    /// It was lost, and would have been without other transmissions, too.
    Noise,
    /// It was lost by the link's loss ratio alone ([`crate::Medium::set_loss_ratio`]).
    LinkLoss,
    /// Every attempt was lost, and not all for the same reason.
    RetriesExhausted,
    /// The sender's queue had no place for it.
    QueueFull,
    /// Receiver or sender was on another channel, or left the channel before the end.
    NotOnChannel,
    /// The receiver's radio slept, or went to sleep before the end.
    Asleep,
    /// The receiver itself transmitted, or turned around for it or from it.
    Transmitting,
    /// The receiver was synchronised on another frame.
    Busy,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NoSignal => "no signal",
            Reason::ChannelAccessFailure => "channel access failure",
            Reason::Collision => "collision",
            Reason::Noise => "noise",
            Reason::LinkLoss => "link loss",
            Reason::RetriesExhausted => "retries exhausted",
            Reason::QueueFull => "queue full",
            Reason::NotOnChannel => "not on channel",
            Reason::Asleep => "asleep",
            Reason::Transmitting => "receiver was transmitting",
            Reason::Busy => "receiver was busy with another frame",
        })
    }
}
