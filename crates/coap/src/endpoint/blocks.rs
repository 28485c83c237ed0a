//! Block-wise transfer at the server (RFC 7959): what an [`Endpoint`] does with the blocks of
//! peers before and after its owner.

use std::net::SocketAddrV6;

use units::SimTime;

use super::Endpoint;
use super::bodies::{Asked, Key, Upload, cut};
use super::peer::Peer;
use crate::block::{Block, BlockSize, entity_tag};
use crate::message::{Code, Response, option};
use crate::protection::ContextId;
use crate::wire::Message;

/// What a request is after its blocks have been looked at.
pub(super) enum Taken {
    /// Complete: what it says about blocks, and its body.
    Whole(Asked, Vec<u8>),
    /// To be answered so, without the owner.
    Answered(Response),
}

impl Endpoint {
    /// Has the blocks that are sent to a host and asked of it no larger than `size`, as its link
    /// wants them; `None`: than [`Params::block_size`](crate::Params::block_size) again. The port
    /// does not count. It is of the address: what [`Endpoint::retarget`] moves elsewhere goes on in
    /// blocks as it began.
    pub fn set_block_size(&mut self, host: SocketAddrV6, size: Option<BlockSize>) {
        let host = Peer::from(host).host();
        match size {
            Some(size) => drop(self.block_sizes.insert(host, size)),
            None => drop(self.block_sizes.remove(&host)),
        }
    }

    /// The largest block to and from a peer.
    pub(super) fn block_size(&self, peer: impl Into<Peer>) -> BlockSize {
        let own = self.block_sizes.get(&peer.into().host()).copied();
        own.unwrap_or(self.params.block_size)
    }

    /// Takes the block that a request carries, and finds the one that it asks for.
    pub(super) fn take_blocks(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        context: Option<ContextId>,
        message: &Message,
    ) -> Taken {
        let options = &message.options;
        let blocks = Block::of(options, option::BLOCK1)
            .and_then(|block1| Ok((block1, Block::of(options, option::BLOCK2)?)));
        let (block1, block2) = match blocks {
            Ok(blocks) => blocks,
            Err(bad) => {
                let response = Response::diagnostic(Code::BAD_REQUEST, &bad.to_string());
                return Taken::Answered(response);
            }
        };
        let key = Key::new(from.into(), context, message.code, options);
        if let Some(asked) = block2.filter(|block| block.number > 0) {
            let lifetime = self.params.exchange_lifetime();
            let largest = self.block_size(from);
            let key = match message.payload.as_slice() {
                [] => key.clone(),
                body => key.clone().with_body(body),
            };
            if let Some(kept) = self.downloads.touch(now, &key, lifetime) {
                return Taken::Answered(cut(kept, Some(asked), largest));
            }
        }
        let body = match block1 {
            None => Ok(message.payload.clone()),
            Some(block) => self.take_upload(now, from, &key, block, message),
        };
        match body {
            Ok(body) => {
                let asked = Asked {
                    key: key.with_body(&body),
                    block1,
                    block2,
                };
                Taken::Whole(asked, body)
            }
            Err(response) => Taken::Answered(response),
        }
    }

    /// Adds a block to a request's body: the whole, or what to answer before it is.
    fn take_upload(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        key: &Key,
        block: Block,
        message: &Message,
    ) -> Result<Vec<u8>, Response> {
        let length = message.payload.len();
        let fits = match block.more {
            true => length == block.size.bytes(),
            false => length <= block.size.bytes(),
        };
        if !fits {
            let text = format!("a block of {} bytes holds {length}", block.size.bytes());
            return Err(Response::diagnostic(Code::BAD_REQUEST, &text));
        }
        let so_far = self.uploads.take(now, key).filter(|_| block.number > 0);
        let mut body = so_far.map_or_else(Vec::new, |upload| upload.0);
        // "the server has not received the blocks of the request body that it needs to proceed
        // [...] (e.g., due to the blocks arriving out of order or not at all)" (§2.9.2).
        if block.offset() != body.len() {
            let text = format!("{} bytes so far, block at {}", body.len(), block.offset());
            let response = Response::diagnostic(Code::REQUEST_ENTITY_INCOMPLETE, &text);
            return Err(with_block1(response, block));
        }
        let announced = message.options.get_uint(option::SIZE1).unwrap_or(0);
        let max_body = self.params.max_body;
        if body.len() + length > max_body || announced > max_body as u64 {
            let mut response = Response::new(Code::REQUEST_ENTITY_TOO_LARGE);
            response.options.push_uint(option::SIZE1, max_body as u64);
            return Err(response);
        }
        body.extend_from_slice(&message.payload);
        if !block.more {
            return Ok(body);
        }
        let lifetime = self.params.exchange_lifetime();
        if !self.uploads.keep(now, key.clone(), lifetime, Upload(body)) {
            let text = "too many bodies are on their way";
            return Err(Response::diagnostic(Code::SERVICE_UNAVAILABLE, text));
        }
        // "a server that wants a smaller block size [...] uses a smaller SZX value" (§2.3).
        let size = block.size.min(self.block_size(from));
        let response = Response::new(Code::CONTINUE);
        Err(with_block1(response, Block { size, ..block }))
    }

    /// The block of a response that a request asks for; what the response has more is kept for
    /// the requests to come.
    pub(super) fn first_block(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        asked: Asked,
        mut response: Response,
    ) -> Response {
        let largest = self.block_size(to);
        let size = asked
            .block2
            .map_or(largest, |block| block.size.min(largest));
        let in_blocks = response.payload.len() > size.bytes() && response.code.is_success();
        let untagged = response.options.get(option::ETAG).is_none();
        if in_blocks && untagged && self.params.block_etags {
            let tag = entity_tag(&response.payload);
            response.options.push(option::ETAG, tag);
        }
        let first = cut(&response, asked.block2, largest);
        if in_blocks {
            let lifetime = self.params.exchange_lifetime();
            // The further blocks are no notifications (RFC 7959 §3.4).
            response.options.remove(option::OBSERVE);
            self.downloads.keep(now, asked.key, lifetime, response);
        }
        match asked.block1 {
            Some(block) => with_block1(first, block),
            None => first,
        }
    }
}

fn with_block1(mut response: Response, block: Block) -> Response {
    response.options.push_uint(option::BLOCK1, block.value());
    response
}
