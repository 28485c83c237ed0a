//! The radio's moves between candidates, and to channels that it only listens on.
//!
//! While the radio listens on another channel than its PAN's, the daemon is mute: it sends
//! nothing by itself, and reads what came in, and what fell due meanwhile, when the radio is
//! back, so that its retransmissions and solicitations are not wasted on a channel where nobody
//! takes them. What the kernel sends meanwhile (neighbour solicitations, acknowledgements of
//! frames, answers to pings) goes out on that channel under the PAN of the old one, where no
//! radio accepts it: it is lost. Frames that were handed to the radio and had not been sent when
//! it was turned away are lost too.

use anyhow::Result;
use rundir::EventKind;
use units::Channel;

use super::MobileNode;
use crate::host::now;

impl MobileNode {
    /// Whether the radio is on another channel than the PAN that it belongs to.
    pub(super) fn is_away(&self) -> bool {
        let home = self.plan.candidates[self.tuned].channel;
        let channel = self.radio.tuned().map(|(channel, _)| channel);
        channel.is_some_and(|channel| channel != home)
    }

    /// Whether frames of the node's PAN can reach it.
    pub(super) fn is_here(&self) -> bool {
        !self.is_away() && !self.sleep.is_asleep()
    }

    /// Moves the radio to a candidate, from wherever it is.
    pub(super) async fn retune(&mut self, candidate: usize) -> Result<()> {
        self.leave_link().await?;
        self.radio.retune(&self.plan.candidates[candidate]).await?;
        self.tuned = candidate;
        self.icmp.discard();
        self.report_tuned()
    }

    /// Turns the radio to a channel; everything else stays.
    pub(super) async fn listen(&mut self, channel: Channel) -> Result<()> {
        self.radio.listen(channel).await?;
        self.report_tuned()?;
        self.handover.listening(now(), channel);
        Ok(())
    }

    /// Reports where the radio is.
    pub(super) fn report_tuned(&self) -> Result<()> {
        match self.radio.tuned() {
            Some((channel, pan_id)) => {
                let tuned = EventKind::Tuned { channel, pan_id };
                self.host.events.report(tuned)
            }
            None => Ok(()),
        }
    }

    /// Forgets what belongs to the link that is left.
    async fn leave_link(&mut self) -> Result<()> {
        self.checking = None;
        self.verifying = None;
        self.router = None;
        self.solicitor.stop();
        self.dhcp.stop();
        match self.t_addr.take() {
            Some(address) => self.radio.remove_address(address).await,
            None => Ok(()),
        }
    }
}
