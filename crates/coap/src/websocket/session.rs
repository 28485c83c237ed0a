//! [`Session`]: signaling, and an endpoint's messages as those of a WebSocket.

use std::collections::VecDeque;

use machine::{Machine as _, earlier};
use units::SimTime;

use super::frame::Frame;
use super::signaling::{
    ABORT, BAD_CSM_OPTION, BLOCK_WISE_TRANSFER, CSM, MAX_MESSAGE_SIZE, PING, PONG, RELEASE,
};
use super::{BASE_MESSAGE_SIZE, KEEP_ALIVE, PEER};
use crate::block::BlockSize;
use crate::endpoint::{Endpoint, Event, RequestId};
use crate::message::{Code, Kind, Options, option};
use crate::wire::{Message, Token};

/// What a message has beside the payload at most, where blocks are chosen for a peer: "adds 128 bytes to a maximum
/// block size of 1024" (RFC 8323 §5.3.2).
const HEAD: usize = 128;

/// SZX of a BERT block (RFC 8323 §6).
const BERT: u64 = 7;

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The peer has not sent its CSM.
    Opening,
    Open,
    /// The peer has released the connection: it ends when all is answered.
    Released,
    /// What is left is to be sent, and the connection closed.
    Over,
}

/// One end of a CoAP connection over a WebSocket: see the [module](super). Either end may ask and answer.
///
/// Whoever owns one gives it messages and the time, gives commands to its [`Session::endpoint`], then drains
/// [`Session::poll_event`] and [`Session::poll_transmit`], closes the WebSocket if [`Session::is_over`], and calls
/// [`Session::handle_timeout`] when [`Session::poll_timeout`] says.
#[derive(Debug)]
pub struct Session {
    endpoint: Endpoint,
    stage: Stage,
    out: VecDeque<Frame>,
    /// Of what comes to the endpoint next.
    message_id: u16,
    /// Of the notifications that came (§7.1: what they say themselves "MUST be ignored on reception").
    notifications: u64,
    /// When the peer is asked whether it is there.
    ping_at: SimTime,
    pinged: Option<RequestId>,
}

impl Session {
    /// Begins one that is open from now on, of an endpoint that has done nothing yet.
    pub fn new(now: SimTime, endpoint: Endpoint) -> Session {
        // "Each endpoint MUST send a CSM as its first message" (§4.3).
        let mut csm = Frame::new(CSM);
        let size = BASE_MESSAGE_SIZE as u64;
        csm.options.push_uint(MAX_MESSAGE_SIZE, size);
        csm.options.push(BLOCK_WISE_TRANSFER, []);
        Session {
            endpoint: endpoint.connected(),
            stage: Stage::Opening,
            out: VecDeque::from([csm]),
            message_id: 0,
            notifications: 0,
            ping_at: now + KEEP_ALIVE,
            pinged: None,
        }
    }

    /// The endpoint, for commands; its peer is [`PEER`].
    pub fn endpoint(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    /// Whether the connection has ended: what [`Session::poll_transmit`] still has is sent, and the WebSocket closed.
    pub fn is_over(&self) -> bool {
        match self.stage {
            Stage::Over => true,
            // "SHOULD delay the closing of the connection until it has responded to all requests" (§5.5).
            Stage::Released => self.endpoint.unanswered() == 0,
            Stage::Opening | Stage::Open => false,
        }
    }

    /// A binary message came.
    pub fn handle_message(&mut self, now: SimTime, bytes: &[u8]) {
        if self.stage == Stage::Over {
            return;
        }
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            // "The recipient rejects such messages by sending an Abort message and otherwise ignoring" (§5.6).
            Err(error) => return self.abort(None, &error.to_string()),
        };
        // What is answered shows the peer, and all between, that we are there; what is not answered does not.
        if frame.code.is_request() || frame.code == PING {
            self.ping_at = now + KEEP_ALIVE;
        }
        match (frame.code.class(), self.stage) {
            // "Empty messages (Code 0.00) can always be sent and MUST be ignored by the recipient" (§3.4).
            (0, _) if frame.code == Code::EMPTY => {}
            (7, _) => self.handle_signal(now, &frame),
            // "Endpoints MUST treat a missing or invalid CSM as a connection error" (§3.3).
            (_, Stage::Opening) => self.abort(None, "expected a CSM before anything else"),
            _ => self.hand_in(now, frame),
        }
    }

    /// The instant of [`Session::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: SimTime) {
        self.endpoint.handle_timeout(now);
        if self.ping_at <= now && !self.is_over() {
            self.ping_at = now + KEEP_ALIVE;
            let endpoint = &mut self.endpoint;
            self.pinged.get_or_insert_with(|| endpoint.ping(now, PEER));
        }
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<SimTime> {
        match self.stage {
            Stage::Over => None,
            _ => earlier(self.endpoint.poll_timeout(), Some(self.ping_at)),
        }
    }

    /// The next event of the endpoint.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            match self.endpoint.poll_event()? {
                Event::Pong { id } if self.pinged == Some(id) => self.pinged = None,
                Event::Failed { id, .. } if self.pinged == Some(id) => self.stage = Stage::Over,
                event => return Some(event),
            }
        }
    }

    /// The next binary message to send.
    pub fn poll_transmit(&mut self, now: SimTime) -> Option<Vec<u8>> {
        while self.stage != Stage::Over
            && let Some(transmit) = self.endpoint.poll_transmit()
        {
            // What the endpoint sends decodes.
            if let Ok(message) = Message::decode(&transmit.payload) {
                self.hand_out(now, message);
            }
        }
        self.out.pop_front().map(|frame| frame.encode())
    }

    /// Gives the endpoint what came.
    fn hand_in(&mut self, now: SimTime, frame: Frame) {
        let mut message = Message {
            kind: match frame.code.is_request() {
                true => Kind::Confirmable,
                false => Kind::NonConfirmable,
            },
            code: frame.code,
            message_id: self.message_id,
            token: frame.token,
            options: frame.options,
            payload: frame.payload,
        };
        self.message_id = self.message_id.wrapping_add(1);
        message.options.remove(option::NO_RESPONSE);
        for number in [option::BLOCK1, option::BLOCK2] {
            if !without_bert(&mut message.options, number, message.payload.len()) {
                return self.abort(None, "a BERT block, which was not announced");
            }
        }
        if frame.code.is_response() && message.options.get(option::OBSERVE).is_some() {
            message.options.remove(option::OBSERVE);
            self.notifications += 1;
            let sequence = self.notifications & 0x00ff_ffff;
            message.options.push_uint(option::OBSERVE, sequence);
        }
        self.give(now, &message);
    }

    fn give(&mut self, now: SimTime, message: &Message) {
        // Nothing is ignored: an endpoint answers for every message itself.
        let Ok(()) = self.endpoint.handle_datagram(now, PEER, &message.encode());
    }

    /// Sends what the endpoint has to say, if it is anything over a connection.
    fn hand_out(&mut self, now: SimTime, message: Message) {
        let id = message.message_id;
        match (message.kind, message.code) {
            // A ping asks for a Reset over UDP.
            (Kind::Confirmable, Code::EMPTY) => {
                let mut ping = Frame::new(PING);
                ping.token = Token::new(&id.to_be_bytes()).unwrap_or_default();
                return self.out.push_back(ping);
            }
            (_, Code::EMPTY) => return,
            // "Positive acknowledgment of receipt occurring at the TCP level" (§7.2).
            (Kind::Confirmable, _) => self.give(now, &Message::empty(Kind::Acknowledgement, id)),
            _ => {}
        }
        self.out.push_back(Frame {
            code: message.code,
            token: message.token,
            options: message.options,
            payload: message.payload,
        });
    }

    fn handle_signal(&mut self, now: SimTime, frame: &Frame) {
        let critical = frame.options.iter().map(|(number, _)| number);
        let critical = critical.into_iter().find(|n| option::is_critical(*n));
        match (frame.code, critical) {
            (CSM, Some(number)) => self.abort(Some(number), "this option is not understood"),
            // "If a Signaling Option is critical and not understood by the receiver, it MUST abort the connection"
            // (§5.2).
            (_, Some(number)) => {
                let text = format!("option {number} of {} is not understood", frame.code);
                self.abort(None, &text);
            }
            (CSM, None) => self.handle_csm(&frame.options),
            _ if self.stage == Stage::Opening && frame.code != ABORT => {
                self.abort(None, "expected a CSM before anything else");
            }
            (PING, None) => self.out.push_back(Frame {
                token: frame.token,
                ..Frame::new(PONG)
            }),
            (PONG, None) => {
                if let Ok(id) = frame.token.as_bytes().try_into() {
                    let id = u16::from_be_bytes(id);
                    self.give(now, &Message::empty(Kind::Reset, id));
                }
            }
            (RELEASE, None) => self.stage = Stage::Released,
            (ABORT, None) => self.stage = Stage::Over,
            (code, None) => self.abort(None, &format!("there is no signal {code}")),
        }
    }

    fn handle_csm(&mut self, options: &Options) {
        if let Some(value) = options.get(MAX_MESSAGE_SIZE) {
            let takes = options.get_uint(MAX_MESSAGE_SIZE).unwrap_or_default();
            let takes = usize::try_from(takes).unwrap_or(usize::MAX);
            let size = takes.saturating_sub(HEAD).min(BlockSize::MAX.bytes());
            let fits = |exponent: &u32| 1_usize << *exponent <= size;
            let size = (4..=10)
                .rev()
                .find(fits)
                .and_then(|e| BlockSize::new(1 << e));
            match size.filter(|_| value.len() <= 4) {
                Some(size) => self.endpoint.limit_blocks(size),
                None => {
                    let reason =
                        "expected a Max-Message-Size of at least 144 bytes, in 4 bytes at most";
                    return self.abort(Some(MAX_MESSAGE_SIZE), reason);
                }
            }
        }
        if self.stage == Stage::Opening {
            self.stage = Stage::Open;
        }
    }

    /// Ends the connection: what has not been sent is not sent any more.
    fn abort(&mut self, bad_csm_option: Option<u16>, reason: &str) {
        let mut abort = Frame::new(ABORT);
        if let Some(number) = bad_csm_option {
            abort.options.push_uint(BAD_CSM_OPTION, number.into());
        }
        abort.payload = reason.into();
        self.out.push_back(abort);
        self.stage = Stage::Over;
    }
}

/// Makes a BERT option one of 1024 bytes, "interpreted in the same way as the equivalent Option with SZX == 6" (§6);
/// `false` if the payload is of more blocks than one.
fn without_bert(options: &mut Options, number: u16, payload: usize) -> bool {
    let Some(value) = options.get_uint(number).filter(|value| value & 7 == BERT) else {
        return true;
    };
    options.remove(number);
    options.push_uint(number, value - 1);
    payload <= BlockSize::MAX.bytes()
}
