//! Correspondents: who asks nodes with a home address, and can be told where they are.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::{KERNEL_MODULES, MAX_RR_BINDING_S, alone_on_the_backbone, lifetime};
use crate::decode::At;
use crate::kind::{NodePlan, Serves, ServiceFacts, ServicePlan, ServiceTable};
use crate::resolve::{Context, Resolver};

tables! {
    /// Correspondent (RFC 6275 §9): is told by nodes with `mobility: mipv6-ro` that it asks where they
    /// are, and sends there.
    pub struct Correspondent {
        /// How many nodes it has room for; at least 1; default 256.
        pub max_bindings: Option<At<u32>>,
        /// How long it keeps a binding at most; whole multiples of 4 s up to 420 s; default 420 s.
        pub max_lifetime: Option<At<Duration>>,
    }
}

pub(super) fn is_correspondent(table: &ServiceTable) -> bool {
    matches!(table, ServiceTable::Correspondent(_))
}

/// Whether a node of a plan is one.
pub(super) fn runs_on(node: &NodePlan) -> bool {
    let mut services = node.services.iter();
    services.any(|service| matches!(service, ServicePlan::Correspondent(_)))
}

/// A correspondent, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrespondentPlan {
    /// For how many home addresses it has room.
    pub max_bindings: u32,
    /// How long it keeps a binding at most, a multiple of 4 s.
    #[serde(with = "duration")]
    pub max_lifetime: Duration,
}

impl Correspondent {
    /// The plan of the service at `path`.
    pub(crate) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> CorrespondentPlan {
        alone_on_the_backbone(r, context, path, is_correspondent);
        let longest = MAX_RR_BINDING_S;
        CorrespondentPlan {
            max_bindings: r.at_least_one(&format!("{path}.max_bindings"), self.max_bindings, 256),
            max_lifetime: lifetime(
                r,
                &format!("{path}.max_lifetime"),
                self.max_lifetime,
                longest,
                longest,
            ),
        }
    }
}

impl Serves for Correspondent {}

impl ServiceFacts for CorrespondentPlan {
    fn kernel_modules(&self) -> &'static [&'static str] {
        KERNEL_MODULES
    }

    fn describe(&self) -> Vec<String> {
        vec!["correspondent".into()]
    }
}
