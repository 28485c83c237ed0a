//! CoMP and CoMM: codec, tables and the WMMS, client and node machines.
