//! Captures and run directories, from outside: one program, since linking ten takes longer than running them.

mod common;

mod analysis;
mod attachment;
mod bounded;
mod cases;
mod mobility_header;
mod options;
mod peers;
mod run;
mod sniffers;
mod transfers;
