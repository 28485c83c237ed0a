//! A correspondent: [`mip6::Correspondent`], and the extension headers that packets to and from a care-of
//! address have. It stands beside whatever asks or answers on its node, and needs nothing of it.

use std::net::Ipv6Addr;

use anyhow::Result;
use handover::BindingEvent;
use mip6::cache::Change;
use mip6::correspondent::Config;
use netlink::Xfrm;
use netlink::xfrm::{Direction, Extension, Policy, State};
use topology::kind::mip6::correspondent::CorrespondentPlan;

use super::binding_event;
use super::kept::{Keeper, Kept, between, let_updates_in};
use crate::control::Controls;
use crate::host::Host;

/// Runs a correspondent at `address`.
pub(crate) async fn run(
    host: Host,
    controls: Controls,
    plan: CorrespondentPlan,
    address: Ipv6Addr,
) -> Result<()> {
    let rng = host.protocol_rng("mip6-correspondent");
    let config = Config {
        address,
        max_bindings: usize::try_from(plan.max_bindings)?,
        max_lifetime: plan.max_lifetime,
    };
    let correspondent = mip6::Correspondent::new(config, rng);
    let routes = Routes::open(address)?;
    Kept::new(correspondent, routes).run(host, controls).await
}

/// Extension headers for each binding (RFC 6275 §9.3.1, §9.3.2).
#[derive(Debug)]
struct Routes {
    xfrm: Xfrm,
    own: Ipv6Addr,
}

impl Routes {
    fn open(own: Ipv6Addr) -> Result<Routes> {
        let mut xfrm = Xfrm::open()?;
        let_updates_in(&mut xfrm)?;
        Ok(Routes { xfrm, own })
    }

    /// The states of a binding: of what leaves, and of what comes.
    fn states(&self, home: Ipv6Addr, care_of: Ipv6Addr) -> [State; 2] {
        let to = State {
            extension: Extension::Routing,
            source: self.own,
            destination: home,
            care_of,
        };
        let from = State {
            extension: Extension::HomeAddress,
            source: home,
            destination: self.own,
            care_of,
        };
        [to, from]
    }

    fn policies(&self, home: Ipv6Addr) -> [Policy; 2] {
        let (out, back) = (Extension::Routing, Extension::HomeAddress);
        [
            between(Direction::Out, (self.own, home), out),
            between(Direction::In, (home, self.own), back),
        ]
    }
}

impl Keeper<mip6::Correspondent> for Routes {
    type Told = BindingEvent;

    fn keep(
        &mut self,
        _: &mut mip6::Correspondent,
        change: Change,
    ) -> Result<Option<BindingEvent>> {
        match change {
            Change::Bound {
                home_address,
                care_of,
                previous,
                ..
            } if previous != Some(care_of) => {
                for state in self.states(home_address, care_of) {
                    self.xfrm.put_state(&state)?;
                }
                for policy in self.policies(home_address) {
                    self.xfrm.put_policy(&policy)?;
                }
            }
            Change::Bound { .. } => return Ok(None),
            Change::Removed {
                home_address,
                care_of,
                ..
            } => {
                for policy in self.policies(home_address) {
                    self.xfrm.delete_policy(&policy)?;
                }
                for state in self.states(home_address, care_of) {
                    self.xfrm.delete_state(&state)?;
                }
            }
        }
        Ok(Some(binding_event(change)))
    }
}
