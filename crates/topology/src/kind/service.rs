//! The services of a node, as the file lists them.

use schemars::JsonSchema;

use super::{ServicePlan, ServiceTable};
use crate::decode::{Block, Decode, Decoder};
use crate::diagnostic::Span;
use crate::resolve::{Context, Resolver};
use crate::tree::Tree;

tables! {
    /// What runs on a node beside what its other keys say.
    pub struct ServiceKeys {
        /// What runs on the node: `{ sensors: [ … ] }`, `{ polls: [ … ] }`, … In a shorthand, beside
        /// what that stands for.
        pub services: Option<Vec<Listed>>,
    }
}

/// A service and where the list of services has it.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct Listed(Block<ServiceTable>);

impl Decode for Listed {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        Decode::decode(tree, d).map(Listed)
    }
}

impl ServiceKeys {
    /// The services.
    pub(crate) fn services(self) -> Vec<Service> {
        let listed = self.services.into_iter().flatten().enumerate();
        let service = |(i, Listed(block)): (usize, Listed)| Service {
            path: format!("services[{i}].{}", block.table.word()),
            span: Some(block.span),
            table: block.table,
        };
        listed.map(service).collect()
    }
}

/// A service of a node.
#[derive(Clone, Debug)]
pub struct Service {
    /// Where it stands in the node's table; empty if that is the table itself.
    pub path: String,
    /// Where it stands in the file, if it is not a shorthand's.
    pub span: Option<Span>,
    /// What it is.
    pub table: ServiceTable,
}

impl Service {
    /// A service that a shorthand stands for.
    pub(crate) fn of_shorthand(path: &str, table: ServiceTable) -> Service {
        Service {
            path: path.to_owned(),
            span: None,
            table,
        }
    }

    /// Where its table stands in the file, if that of its node stands at `node`.
    pub(crate) fn path_below(&self, node: &str) -> String {
        match self.path.as_str() {
            "" => node.to_owned(),
            path => format!("{node}.{path}"),
        }
    }

    /// The plan.
    pub(crate) fn plan<'t>(&self, r: &mut Resolver<'t>, context: &Context<'_, 't>) -> ServicePlan {
        let path = self.path_below(&context.path);
        self.table.plan(r, context, &path)
    }
}
