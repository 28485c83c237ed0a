//! The mobility server: [`::comp::wmms`] on a socket, its table on disk.

use std::net::Ipv6Addr;
use std::time::Duration;

use ::comp::Limits;
use ::comp::mmt::Mmt;
use ::comp::wmms::{Config, Wmms};
use anyhow::{Context, Result};
use coap::message::PORT;
use driver::{Driver, Udp};
use rundir::EventKind;
use topology::kind::comp::wmms::{WmmsLimitsPlan, WmmsPlan};
use topology::plan::CoapPlan;
use wmms_store::{Durable, Journal, Store, WriterThread};

use super::binding_mode;
use crate::control::Controls;
use crate::endpoint::params;
use crate::host::{Host, now};

/// The longest wait between two attempts to write to the disk.
const LAST_WAIT: Duration = Duration::from_secs(1);

pub(crate) async fn run(
    mut host: Host,
    mut controls: Controls,
    plan: WmmsPlan,
    coap: CoapPlan,
    address: Ipv6Addr,
) -> Result<()> {
    if let Some(shared) = host.shared.clone() {
        return super::shared::run(host, controls, plan, coap, shared).await;
    }
    let path = host.state.join(format!("{}.redb", host.name));
    let mut store = Journal::open(&path)?;
    if let Some(notice) = store.notice() {
        tracing::warn!("{notice}");
    }
    let mut mmt = Mmt::new(limits(&plan.limits));
    store.load(&mut mmt)?;
    let lives = store.opened_before();
    tracing::info!(entries = mmt.len(), lives, "table restored");
    // Whoever keeps the directory over several runs does not count what it has seen.
    host.crashes = host
        .crashes
        .max(u32::try_from(lives).context("the store was opened 2^32 times")?);
    let mut wmms = Wmms::new(config(&host, &plan, &coap), host.protocol_rng("coap"))
        .at(address)
        .says_nothing_of(plan.untold);
    wmms.restore(now(), mmt);
    let socket = host.socket(Udp::open(PORT, None)?)?;
    let (patience, stop) = wmms_store::patience(path.display().to_string(), LAST_WAIT);
    store.have_patience(patience);
    store.write_unix_time(driver::was_set_ahead_ns);
    let mut writer = WriterThread::start(store.writer()).context("the store's thread")?;
    let mut coap = Driver::new(Durable::new(wmms, store), socket)?;
    host.part_is_ready()?;
    loop {
        tokio::select! {
            biased;
            written = writer.written() => {
                written?;
                stop.written();
                coap.with(|durable, _| durable.written());
                // The next group is worth its `fsync` the more, the larger it is.
                if coap.machine().has_waiting() {
                    coap.take_in().context("CoAP socket")?;
                }
            }
            () = controls.stopped() => break,
            event = coap.next_event() => {
                let mut next = Some(event.context("CoAP socket")?);
                while let Some(event) = next {
                    match event {
                        wmms_store::Event::Wmms(event) => host.events.queue(event.into())?,
                        wmms_store::Event::Write(group) => writer.write(group)?,
                        wmms_store::Event::PassedOver(datagrams) => {
                            host.events.queue(EventKind::PassedOver { datagrams })?;
                        }
                    }
                    next = coap.ready_event();
                }
                host.events.flush()?;
            }
        }
    }
    drop(stop);
    if let Some(rest) = coap.with(|durable, _| durable.take_rest()) {
        writer.write(rest)?;
    }
    writer.finish().await?;
    coap.with(|durable, _| durable.written());
    tell_what_was_refused(coap.machine());
    Ok(())
}

/// Says what a WMMS that ends has refused, and what it has not heard.
pub(super) fn tell_what_was_refused<S: Store>(durable: &Durable<S>) {
    for (limit, times) in durable.wmms().refusals() {
        tracing::warn!(times, "requests refused: {limit}");
    }
    match durable.passed_over() {
        0 => {}
        times => tracing::warn!(times, "datagrams passed over: more came than were taken in"),
    }
}

/// The plan in the core's words.
pub(super) fn config(host: &Host, plan: &WmmsPlan, coap: &CoapPlan) -> Config {
    Config {
        hold_timeout: plan.hold_timeout,
        binding: binding_mode(plan.binding),
        limits: limits(&plan.limits),
        coap: params(coap, host.is_alone()),
    }
}

fn limits(plan: &WmmsLimitsPlan) -> Limits {
    Limits {
        entries: plan.entries,
        entries_per_source: plan.entries_per_source,
        correspondents_per_node: plan.correspondents_per_node,
        discoveries_per_source: plan.discoveries_per_source,
        holds_per_source: plan.holds_per_source,
    }
}
