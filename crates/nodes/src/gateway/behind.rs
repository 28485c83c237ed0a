//! The Message ID of what a node said, told to who asked the gateway: by it the message is found in a capture, where
//! neither HTTP nor CoAP over a WebSocket has one ("Message ID" is left out, RFC 8323 §3.2): pure.

use coap::Response;
use service::Outcome;

/// The option of a response that holds it, as an uint. It is elective and safe to forward, so that who does not know it
/// ignores it; its number is of those that are kept for experiments (RFC 7252 §12.2).
const OPTION: u16 = 65000;

/// The HTTP header field that has it.
pub(super) const HEADER: &str = "coap-message-id";

/// Adds it to what the node said; what the node itself has put there is not one.
fn tell(message_id: u16, response: &mut Response) {
    response.options.remove(OPTION);
    response.options.push_uint(OPTION, message_id.into());
}

/// An outcome whose response, if there is one, has it.
pub(super) fn told(mut outcome: Outcome) -> Outcome {
    if let Outcome::Answered {
        message_id,
        response,
    }
    | Outcome::Notified {
        message_id,
        response,
        ..
    } = &mut outcome
    {
        tell(*message_id, response);
    }
    outcome
}

/// The Message ID that [`tell`] has added.
pub(super) fn message_id(response: &Response) -> Option<u64> {
    response.options.get_uint(OPTION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use coap::Code;

    #[test]
    fn a_node_does_not_say_it_itself() {
        let mut response = Response::new(Code::CONTENT);
        response.options.push_uint(OPTION, 7);
        tell(4711, &mut response);
        let told: Vec<_> = (response.options.iter())
            .filter(|(number, _)| *number == OPTION)
            .collect();
        assert_eq!(told, [(OPTION, &4711_u16.to_be_bytes()[..])]);
        assert_eq!(message_id(&response), Some(4711));
    }
}
