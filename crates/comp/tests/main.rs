//! CoMP, from outside: one program, since linking sixteen takes longer than running them.

mod support;

mod expiry;
mod failures;
mod handovers;
mod ordering;
mod parties;
mod places;
mod procedures;
mod protection;
mod restart;
mod roles;
mod seam;
mod silent_wmms;
mod strangers;
mod targets;
mod transfers;
mod wire;
