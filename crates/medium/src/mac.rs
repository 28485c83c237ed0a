//! Times and choices of unslotted CSMA-CA (IEEE 802.15.4-2006 §7.5.1.4, tables 85 and 86).

use std::time::Duration;

use rand_core::Rng as _;
use units::Rng;

use crate::phy;

/// `aUnitBackoffPeriod`: 20 symbols.
pub const UNIT_BACKOFF: Duration = Duration::from_micros(320);

/// `macAckWaitDuration`, from the end of a frame: 54 symbols, that is a backoff period, the
/// turnaround, SHR and six bytes (§7.4.2).
pub const ACK_WAIT: Duration = Duration::from_micros(864);

/// `aMaxSIFSFrameSize`: the longest MPDU (FCS included) that the short space follows.
pub const MAX_SIFS_FRAME: usize = 18;

/// `macMinSIFSPeriod`: 12 symbols.
pub const SIFS: Duration = Duration::from_micros(192);

/// `macMinLIFSPeriod`: 40 symbols.
pub const LIFS: Duration = Duration::from_micros(640);

/// PSDU of an ACK: frame control, sequence number, FCS.
pub const ACK_PSDU: usize = 5;

/// From the end of a frame to the end of its ACK.
pub const ACK_TIME: Duration = phy::TURNAROUND.saturating_add(phy::airtime(ACK_PSDU));

/// The space after a frame, or after its ACK if it has one, before its radio begins with the
/// next one (§7.5.1.3).
pub const fn interframe_space(psdu_bytes: usize) -> Duration {
    if psdu_bytes <= MAX_SIFS_FRAME {
        SIFS
    } else {
        LIFS
    }
}

/// Draws the number of backoff periods: 0 to 2^`exponent` - 1, each equally likely.
/// An exponent over 16 counts as 16.
pub fn backoff_periods(rng: &mut Rng, exponent: u8) -> u32 {
    rng.next_u32() & ((1 << exponent.min(16)) - 1)
}
