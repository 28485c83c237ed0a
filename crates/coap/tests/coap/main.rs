//! The endpoint against RFC 7252, under virtual time; its codec against bytes of other
//! implementations; its shell on the loopback interface, also with libcoap and aiocoap
//! at the other end.
//!
//! Modules named `sN_M` hold the tests of RFC 7252 section N.M.

mod support;

mod aiocoap;
mod aiocoap_websocket;
mod cocoa;
mod codec;
mod driver;
mod golden;
mod libcoap;
mod lossy_link;
mod protection;
mod recall;
mod retarget;
mod rfc6690;
mod rfc7641;
mod rfc7959;
mod rfc7967;
mod rfc8132;
mod rfc9175;
mod s4_2_reliable;
mod s4_3_unreliable;
mod s4_4_correlation;
mod s4_5_deduplication;
mod s4_7_congestion;
mod s5_2_responses;
mod s5_3_1_tokens;
mod s5_3_matching;
mod s5_4_critical;
mod websocket;
