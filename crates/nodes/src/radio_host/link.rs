//! The radio's moves between PANs, and to channels that it only listens on.
//!
//! While the radio listens on another channel than its PAN's, the daemon is mute: it sends
//! nothing by itself, and reads what came in, and what fell due meanwhile, when the radio is
//! back, so that its retransmissions and solicitations are not wasted on a channel where nobody
//! takes them. What the kernel sends meanwhile (neighbour solicitations, acknowledgements of
//! frames, answers to pings) goes out on that channel under the PAN of the old one, where no
//! radio accepts it: it is lost. Frames that were handed to the radio and had not been sent when
//! it was turned away are lost too.
//!
//! With an [`LqiSource`](super::lqi::LqiSource) the radio belongs to the PAN that it listens to;
//! back at home it gets back the address and the route that went with the interface.

use anyhow::{Context, Result};
use rundir::EventKind;
use topology::plan::DadMode;
use units::Channel;

use super::{Pan, RadioHost};
use crate::host::now;
use crate::mobility::Adapter;

impl<A: Adapter> RadioHost<A> {
    /// Whether the radio is on another channel than the PAN that it belongs to.
    pub(super) fn is_away(&self) -> bool {
        let channel = self.radio.tuned().map(|(channel, _)| channel);
        channel.is_some_and(|channel| channel != self.home.0)
    }

    /// Whether frames of the node's PAN can reach it.
    pub(super) fn is_here(&self) -> bool {
        !self.is_away() && !self.sleep.is_asleep()
    }

    /// Whether a request that is due may be given to the endpoint: it is sent, or kept back
    /// because the node is handed over or asleep. While the radio only listens around it waits
    /// here, and so it does before the node is attached.
    pub(super) fn may_ask(&self) -> bool {
        let here = self.is_here() && !self.attachment.is_attaching();
        here || self.application.keeps_back()
    }

    /// Moves the radio to a candidate, from wherever it is.
    pub(super) async fn retune(&mut self, candidate: usize) -> Result<()> {
        self.application
            .with_mobility(|mobility, now| mobility.leave(now));
        self.leave_link().await?;
        let there = self.candidates().nth(candidate);
        let there = there.context("a candidate that the plan has not")?;
        self.home = there;
        self.radio.retune(there, self.known_address()).await?;
        self.solicitor.discard();
        self.report_tuned()
    }

    /// The PANs that the node may attach to.
    fn candidates(&self) -> impl Iterator<Item = Pan> {
        let handover = self.plan.handover.iter();
        let candidates = handover.flat_map(|handover| &handover.candidates);
        candidates.map(|candidate| (candidate.channel, candidate.pan_id))
    }

    /// Turns the radio to a channel; everything else stays, as far as the other end can tell.
    pub(super) async fn listen(&mut self, channel: Channel) -> Result<()> {
        match self.lqi {
            Some(_) => self.visit(channel).await?,
            None => self.radio.listen(channel).await?,
        }
        self.report_tuned()?;
        if let Some(sequencer) = self.attachment.sequencer() {
            sequencer.listening(now(), channel);
        }
        Ok(())
    }

    /// Moves the radio to the PAN on `channel`, so that it receives that one's frames.
    async fn visit(&mut self, channel: Channel) -> Result<()> {
        let mut candidates = self.candidates();
        let there = candidates
            .find(|candidate| candidate.0 == channel)
            .with_context(|| format!("no candidate on channel {channel}"))?;
        drop(candidates);
        let stays = self.radio.tuned().is_some_and(|(_, pan)| pan == there.1);
        if !stays {
            // Its address goes with the interface.
            self.verifying = None;
        }
        self.radio.retune(there, None).await?;
        if stays || there != self.home {
            return Ok(());
        }
        if let Some(t_addr) = self.t_addr {
            // Checked when the node came here; it was away for some dwells only.
            let mode = self.plan.address;
            self.radio.add_address(t_addr, mode, DadMode::Off).await?;
        }
        match &self.router {
            Some(router) => self.radio.set_default_router(router.router).await,
            None => Ok(()),
        }
    }

    /// Reports where the radio is.
    pub(super) fn report_tuned(&mut self) -> Result<()> {
        match self.radio.tuned() {
            Some((channel, pan_id)) => {
                if let Some(lqi) = &mut self.lqi {
                    lqi.tuned(now(), channel);
                }
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
        self.solicitor.with(|solicitor, _| solicitor.stop());
        if let Some(beforehand) = &mut self.beforehand {
            beforehand.leave();
        }
        self.dhcp.with(|dhcp, _| dhcp.stop());
        let address = self.t_addr.take();
        if self.plan.gateway.is_some() {
            self.kept = address.or(self.kept);
        }
        match address {
            Some(address) => self.radio.remove_address(address).await,
            None => Ok(()),
        }
    }
}
