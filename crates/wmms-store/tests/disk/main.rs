//! The store on disks that fail: power cuts, damage, a disk that is full or broken.
//!
//! A few hundred updates; `WPANLAB_UPDATES=10000 cargo test -p wmms-store --test disk -- --nocapture`
//! for more.

mod damage;
mod disk;
mod load;
mod power_cut;
mod trouble;
