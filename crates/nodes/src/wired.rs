//! An application on a node that is where it is: on the wire, or an edge router's own.

use std::net::Ipv6Addr;

use anyhow::Result;
use handover::Step;
use rundir::control::Control;
use service::{Connectivity, Reach};

use crate::application::{Application, Happened};
use crate::control::Controls;
use crate::host::{Host, instant};
use crate::mobility::Adapter;

/// Runs the application of a node that is reached at `address`, and connected as `connectivity` says.
pub(crate) async fn run<A: Adapter>(
    host: Host,
    mut controls: Controls,
    mut application: Application<A>,
    address: Ipv6Addr,
    connectivity: Connectivity,
) -> Result<()> {
    let mut attached = false;
    application.connected(&connectivity);
    application.with_mobility(|mobility, now| mobility.attach(now, address));
    loop {
        let due = application.poll_timeout(Reach::FULL);
        tokio::select! {
            event = application.next_event() => match application.handle(event?)? {
                Happened::Step(Step::Attached { .. }) => {
                    if !std::mem::replace(&mut attached, true) {
                        host.part_is_ready()?;
                    }
                }
                // It does not move.
                Happened::Step(_) | Happened::Traffic | Happened::Nothing => {}
            },
            () = tokio::time::sleep_until(instant(due)) => {
                application.handle_timeout(Reach::FULL)?;
            }
            control = controls.next() => match control {
                Control::Start => application.start()?,
                Control::Operate { step } => application.operate(step)?,
                Control::Drain => application.drain(Reach::FULL)?,
                Control::Signal(_) | Control::Wake => {}
                Control::Stop => return Ok(()),
            },
        }
    }
}
