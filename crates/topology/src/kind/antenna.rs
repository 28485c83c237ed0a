//! The radio of a node, be it a host or a router.

use units::{Eui64, ShortAddress};

use crate::decode::At;
use crate::file::{self, Profile};

tables! {
    /// A radio.
    pub struct Antenna {
        /// Extended address of its radio; default from the seed.
        pub eui64: Option<At<Eui64>>,
        /// Short address of its radio; default none.
        pub short_address: Option<At<ShortAddress>>,
        /// Where it stands or starts: `[x, y]` in metres; of a node that is no router also a place in
        /// an `area`, or for a `count` a `grid`. A node that starts with an `import` needs none.
        pub position: Option<file::Place>,
        /// `phy`: its radio's part; default as under `radio`.
        pub profile: Option<Profile>,
    }
}
