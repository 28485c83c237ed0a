//! A request and its response, block by block (RFC 7959), as the client sees them.
//!
//! One [`Transfer`] is one request of the owner's. It makes the message to send next and takes
//! the response to it, until the response to the whole is there. It knows of no Message IDs,
//! peers or times, so a peer that moves in the middle changes nothing for it.

use super::Failure;
use super::bodies::of_resource;
use super::echo::Proof;
use super::outstanding::Awaited;
use crate::block::{Block, BlockSize};
use crate::message::{Code, Options, Request, Response, option};
use crate::no_response::NoResponse;

/// How often a download begins again because the representation has changed.
const MAX_RESTARTS: u32 = 3;

/// A request on its way out and its response on its way in.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    /// As the owner gave it.
    request: Request,
    /// The owner wrote a Block option itself: messages pass as they are.
    by_hand: bool,
    /// The size of blocks that both sides can do with.
    size: BlockSize,
    /// Bytes of the request's body that the server has taken; none: it goes out in one piece.
    taken: Option<usize>,
    /// The response so far; none before its first block.
    download: Option<Download>,
    restarts: u32,
    /// A length that the server announced, and the other one that came.
    misjudged: Option<(u64, usize)>,
    max_body: usize,
    proof: Proof,
}

/// A response that has begun to arrive.
#[derive(Clone, Debug)]
struct Download {
    code: Code,
    /// The options of the first block, without Block2.
    options: Options,
    body: Vec<u8>,
}

/// What a response means.
#[derive(Debug)]
pub(super) enum Progress {
    /// Send [`Transfer::message`] next.
    Continue,
    /// The whole response.
    Done(Response),
    /// The blocks make no response.
    Failed(Failure),
}

impl Transfer {
    /// Bodies of requests longer than `size` go out in blocks; responses longer than `max_body`
    /// bytes are not taken.
    pub(super) fn new(request: Request, size: BlockSize, max_body: usize) -> Transfer {
        let by_hand = [option::BLOCK1, option::BLOCK2]
            .iter()
            .any(|number| request.options.get(*number).is_some());
        let mut transfer = Transfer {
            request,
            by_hand,
            size,
            taken: None,
            download: None,
            restarts: 0,
            misjudged: None,
            max_body,
            proof: Proof::default(),
        };
        transfer.begin();
        transfer
    }

    /// The rest of a response to `request` of which `first` is the first block.
    pub(super) fn rest(mut self, first: Response) -> (Transfer, Progress) {
        self.taken = None;
        let progress = self.handle_download(first);
        (self, progress)
    }

    /// Whether the message that was sent last is a block of the request with more to follow.
    pub(super) fn uploads(&self) -> bool {
        self.taken
            .is_some_and(|taken| self.upload_block(taken).0.more)
    }

    /// What is expected after the message to send next (RFC 7967 §2.1). Until the last block of a
    /// request its server has nothing to do with the option, since it says how the transfer goes on.
    pub(super) fn awaited(&self) -> Awaited {
        let block = Block::of(&self.request.options, option::BLOCK1);
        let has_more = self.uploads() || block.is_ok_and(|block| block.is_some_and(|b| b.more));
        let unwanted = NoResponse::of(&self.request.options);
        match has_more || self.download.is_some() {
            false if unwanted.suppresses_all() => Awaited::Nothing,
            false if unwanted.suppresses(Code::CHANGED) => Awaited::Error,
            _ => Awaited::Response,
        }
    }

    /// Whether it goes in blocks, as far as is known: its request does, or a block of its response
    /// has come.
    pub(super) fn is_in_blocks(&self) -> bool {
        self.taken.is_some() || self.download.is_some()
    }

    /// Whether a server has one place for the bodies of both (RFC 7959 §2.4, §2.5).
    pub(super) fn is_like(&self, other: &Transfer) -> bool {
        let (one, two) = (&self.request, &other.request);
        // Of a FETCH the body tells, where it goes along with every block (RFC 8132 §2).
        let told_apart = one.method == Code::FETCH
            && one.payload != two.payload
            && [self, other].iter().all(|t| !t.has_long_request());
        !(self.by_hand || other.by_hand)
            && one.method == two.method
            && !told_apart
            && of_resource(&one.options).eq(of_resource(&two.options))
    }

    fn has_long_request(&self) -> bool {
        self.request.payload.len() > self.size.bytes()
    }

    /// From the first message on.
    pub(super) fn begin(&mut self) {
        let in_blocks = !self.by_hand && self.has_long_request();
        self.taken = in_blocks.then_some(0);
        self.download = None;
    }

    /// The request that the owner gave.
    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    /// Begins again with another value of an option.
    pub(super) fn begin_with(&mut self, number: u16, value: u64) {
        self.request.options.remove(number);
        self.request.options.push_uint(number, value);
        self.begin();
    }

    /// Takes a response that wants to know where the request comes from; whether it is one, after
    /// which the request begins again with what it wants.
    pub(super) fn proves(&mut self, response: &Response) -> bool {
        let proves = self.proof.take(response);
        if proves {
            self.begin();
        }
        proves
    }

    /// The message to send next.
    pub(super) fn message(&self) -> Request {
        let mut message = self.next_message();
        self.proof.push(&mut message.options);
        message
    }

    fn next_message(&self) -> Request {
        let mut message = Request {
            payload: Vec::new(),
            ..self.request.clone()
        };
        let options = &mut message.options;
        if let Some(download) = self.download.as_ref().filter(|d| !d.body.is_empty()) {
            // "the client [...] MUST NOT include the Observe Option" in the requests for the
            // other blocks: those would be another observation (RFC 7959 §3.4).
            options.remove(option::OBSERVE);
            let next = Block::at(download.body.len(), false, self.size);
            options.push_uint(option::BLOCK2, next.value());
            // It tells the response from others on the same path (RFC 8132 §2); one that went
            // out in blocks does not go out again (RFC 7959 §2.7).
            if message.method == Code::FETCH && !self.has_long_request() {
                message.payload.clone_from(&self.request.payload);
            }
            return message;
        }
        let Some(taken) = self.taken else {
            message.payload.clone_from(&self.request.payload);
            // Early negotiation (RFC 7959 §2.4): the first request already names the size.
            if !self.by_hand && self.size < BlockSize::MAX && message.method.is_safe() {
                let size = Block::first(false, self.size);
                message.options.push_uint(option::BLOCK2, size.value());
            }
            return message;
        };
        let (block, payload) = self.upload_block(taken);
        if taken == 0 {
            options.push_uint(option::SIZE1, self.request.payload.len() as u64);
        }
        options.push_uint(option::BLOCK1, block.value());
        message.payload = payload.to_vec();
        message
    }

    fn upload_block(&self, taken: usize) -> (Block, &[u8]) {
        let rest = &self.request.payload[taken.min(self.request.payload.len())..];
        let length = rest.len().min(self.size.bytes());
        let block = Block::at(taken, rest.len() > length, self.size);
        (block, &rest[..length])
    }

    /// Takes the response to [`Transfer::message`].
    pub(super) fn handle(&mut self, response: Response) -> Progress {
        if self.by_hand {
            return Progress::Done(response);
        }
        match self.taken {
            Some(taken) => self.handle_upload(taken, response),
            None => self.handle_download(response),
        }
    }

    fn handle_upload(&mut self, taken: usize, response: Response) -> Progress {
        let (sent, payload) = self.upload_block(taken);
        let length = payload.len();
        let Ok(answered) = Block::of(&response.options, option::BLOCK1) else {
            return Progress::Failed(Failure::BadBlock);
        };
        if response.code == Code::REQUEST_ENTITY_TOO_LARGE {
            // "the response SHOULD include a Block1 Option with a smaller SZX" as a hint to try
            // again with it (RFC 7959 §2.9.3).
            return match answered {
                Some(hint) if taken == 0 && hint.size < self.size => {
                    self.size = hint.size;
                    Progress::Continue
                }
                _ => Progress::Done(response),
            };
        }
        if !response.code.is_success() || !sent.more {
            self.taken = None;
            return self.handle_download(response);
        }
        // 2.31 Continue, or a server that acts on every block as it comes (RFC 7959 §2.3).
        match answered {
            Some(block) if block.number == sent.number => {
                self.taken = Some(taken + length);
                self.size = self.size.min(block.size);
                Progress::Continue
            }
            _ => Progress::Failed(Failure::BadBlock),
        }
    }

    fn handle_download(&mut self, response: Response) -> Progress {
        let block = match Block::of(&response.options, option::BLOCK2) {
            Ok(Some(block)) if response.code.is_success() => block,
            // A representation that has become too short for the block asked for.
            Ok(_) if response.code == Code::BAD_REQUEST && self.download.is_some() => {
                return self.restart();
            }
            Ok(_) => return Progress::Done(response),
            Err(_) => return Progress::Failed(Failure::BadBlock),
        };
        let download = match &mut self.download {
            Some(download) if block.number > 0 => {
                let same = |number| download.options.get(number) == response.options.get(number);
                if block.offset() != download.body.len() || download.code != response.code {
                    return Progress::Failed(Failure::BadBlock);
                }
                // "If blocks of different representations are received, the client [...] MUST NOT
                // assemble them" (RFC 7959 §2.4): it asks again from the beginning.
                if !same(option::ETAG) {
                    return self.restart();
                }
                download
            }
            _ if block.number > 0 => return Progress::Failed(Failure::BadBlock),
            begun => {
                let mut options = response.options.clone();
                options.remove(option::BLOCK2);
                begun.insert(Download {
                    code: response.code,
                    options,
                    body: Vec::new(),
                })
            }
        };
        let length = response.payload.len();
        let fits = match block.more {
            true => length == block.size.bytes(),
            false => length <= block.size.bytes(),
        };
        if !fits {
            return Progress::Failed(Failure::BadBlock);
        }
        if download.body.len() + length > self.max_body {
            return Progress::Failed(Failure::BodyTooLarge);
        }
        download.body.extend_from_slice(&response.payload);
        if block.more {
            self.size = self.size.min(block.size);
            return Progress::Continue;
        }
        let (announced, length) = (
            download.options.get_uint(option::SIZE2),
            download.body.len(),
        );
        let is_tagged = download.options.get(option::ETAG).is_some();
        if let Some(announced) = announced
            && announced != length as u64
            && !is_tagged
            && self.request.method.is_safe()
            // The same once more is a bad estimate, which Size2 may be (RFC 7959 §4).
            && self.misjudged.replace((announced, length)) != Some((announced, length))
        {
            return self.restart();
        }
        let done = self.download.take().map(|d| Response {
            code: d.code,
            options: d.options,
            payload: d.body,
        });
        Progress::Done(done.unwrap_or(response))
    }

    /// Asks again from the beginning, unless that would change something once more.
    fn restart(&mut self) -> Progress {
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS || !self.request.method.is_safe() {
            return Progress::Failed(Failure::BodyChanges);
        }
        self.begin();
        // What is asked again is the representation of now, not its observation.
        self.request.options.remove(option::OBSERVE);
        Progress::Continue
    }
}
