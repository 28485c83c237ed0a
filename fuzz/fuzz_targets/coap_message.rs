//! `coap::wire::Message::decode`: accepts exactly what RFC 7252 §3 does, and reads in it what two
//! other decoders read.

#![no_main]

use coap::wire::Message;
use libfuzzer_sys::fuzz_target;
use toad_msg::TryFromBytes;
use wpanlab_fuzz::rfc7252::Plain;

/// A message as toad-msg reads it.
type Toad = toad_msg::alloc::Message;

fuzz_target!(|datagram: &[u8]| {
    let decoded = Message::decode(datagram);
    let plain = Plain::read(datagram);
    assert_eq!(decoded.as_ref().ok().map(Plain::from), plain);
    let Ok(message) = decoded else {
        return;
    };
    let encoded = message.encode();
    assert_eq!(Message::decode(&encoded).as_ref(), Ok(&message));
    // The shortest form is the only one that is written, and nothing gets longer.
    assert!(encoded.len() <= datagram.len());
    agrees_with_toad(&message, datagram);
});

fn agrees_with_toad(message: &Message, datagram: &[u8]) {
    let toad = Toad::try_from_bytes(datagram).expect("toad-msg reads what we read");
    assert_eq!(toad.id.0, message.message_id);
    assert_eq!(&toad.token.0[..], message.token.as_bytes());
    assert_eq!(u8::from(toad.code), message.code.0);
    assert_eq!(toad.payload.0, message.payload);
    let mut options: Vec<(u32, Vec<u8>)> = Vec::new();
    for (number, values) in &toad.opts {
        options.extend(values.iter().map(|value| (number.0, value.0.clone())));
    }
    options.sort_by_key(|(number, _)| *number);
    let ours = message.options.iter();
    assert!(
        options
            .into_iter()
            .eq(ours.map(|(number, value)| (number.into(), value.to_vec())))
    );
}
