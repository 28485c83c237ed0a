//! What the tables and the machines say about bindings.

use std::borrow::Cow;
use std::fmt;

/// Who tells the correspondents of a new T_Addr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingMode {
    /// The node, at once with the WMMS (CoMM §4.2).
    Direct,
    /// The WMMS, after the node told it (CoMM §4.1).
    Relayed,
    /// Nobody: who asks the WMMS finds the node, and who does not loses it. The baseline without
    /// mobility; *ours*. A WMMS is to be told of the node, too ([`Wmms::says_nothing_of`]).
    ///
    /// [`Wmms::says_nothing_of`]: crate::wmms::Wmms::says_nothing_of
    Nobody,
}

/// Why an entry left a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The node deregistered.
    Deregistered,
    /// A binding update or registration with Lifetime 0.
    LifetimeZero,
    /// Its lifetime ended without a refresh.
    LifetimeEnded,
    /// The node was asked and did not answer: its T_Addr is doubtful.
    NoAnswer,
    /// Somebody else had the WMMS forget the node.
    DeregisteredByAnother,
    /// Somebody else told the WMMS where the node is.
    TakenByAnother,
    /// Somebody else told the WMMS that the node cannot receive.
    HeldByAnother,
    /// The hold on the node outlasted the client's patience: its state is doubtful.
    HoldOverdue,
}

impl Removal {
    /// In the words of [`BindingEvent::Removed`](handover::BindingEvent::Removed).
    pub fn text(self) -> &'static str {
        match self {
            Removal::Deregistered => "deregistered",
            Removal::LifetimeZero => "lifetime 0",
            Removal::LifetimeEnded => "lifetime ended",
            Removal::NoAnswer => "no answer",
            Removal::DeregisteredByAnother => "deregistered by somebody else",
            Removal::TakenByAnother => "taken by somebody else",
            Removal::HeldByAnother => "put on hold by somebody else",
            Removal::HoldOverdue => "hold overdue",
        }
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl From<Removal> for Cow<'static, str> {
    fn from(removal: Removal) -> Cow<'static, str> {
        removal.text().into()
    }
}

/// A deadline of a table's entry that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired<A> {
    /// The entry is gone.
    Lifetime(A),
    /// The node's sleep period is over: H_Flag is 0 again.
    Sleep(A),
}
