//! The Block1 and Block2 options (RFC 7959 §2.2) and what identifies a representation.

use crate::message::{Options, option};

/// The size of a block: a power of two from 16 to 1024 bytes, on the wire its exponent SZX
/// (RFC 7959 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockSize(u8);

impl BlockSize {
    /// 16 bytes.
    pub const MIN: BlockSize = BlockSize(0);
    /// 1024 bytes.
    pub const MAX: BlockSize = BlockSize(6);

    /// The size of `bytes` bytes; `None` if there is no such size.
    pub fn new(bytes: usize) -> Option<BlockSize> {
        (0..=6).map(BlockSize).find(|size| size.bytes() == bytes)
    }

    /// In bytes.
    pub const fn bytes(self) -> usize {
        16 << self.0
    }
}

/// The value of a Block1 or Block2 option.
///
/// ```text
///  0                   1                   2
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                   NUM                 |M| SZX |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// The option is a `uint`: leading zero bytes are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// NUM, at most 2^20 - 1: the place of the block in the body, in blocks of this size.
    pub number: u32,
    /// M: more blocks follow.
    pub more: bool,
    /// SZX.
    pub size: BlockSize,
}

impl Block {
    /// The first block of a body.
    pub const fn first(more: bool, size: BlockSize) -> Block {
        Block {
            number: 0,
            more,
            size,
        }
    }

    /// The block that begins `offset` bytes into the body; `offset` is a multiple of `size`.
    pub const fn at(offset: usize, more: bool, size: BlockSize) -> Block {
        Block {
            number: (offset / size.bytes()) as u32,
            more,
            size,
        }
    }

    /// Where in the body it begins, in bytes.
    pub const fn offset(self) -> usize {
        self.number as usize * self.size.bytes()
    }

    /// Decodes an option value; `None` if it is longer than 3 bytes or its SZX is 7, which "is
    /// reserved, i.e., MUST NOT be sent and MUST lead to a 4.00 Bad Request response code upon
    /// reception in a request" (RFC 7959 §2.2).
    pub fn decode(value: &[u8]) -> Option<Block> {
        if value.len() > 3 {
            return None;
        }
        let value = value.iter().fold(0, |sum, b| sum << 8 | u32::from(*b));
        let szx = (value & 7) as u8;
        (szx != 7).then_some(Block {
            number: value >> 4,
            more: value & 8 != 0,
            size: BlockSize(szx),
        })
    }

    /// The option value, for [`Options::push_uint`].
    pub fn value(self) -> u64 {
        u64::from(self.number) << 4 | u64::from(self.more) << 3 | u64::from(self.size.0)
    }

    /// The option `number` of `options`, Block1 or Block2, if it is there.
    ///
    /// # Errors
    /// The option is there and is not valid.
    pub fn of(options: &Options, number: u16) -> Result<Option<Block>, BadBlock> {
        match options.get(number) {
            None => Ok(None),
            Some(value) => Block::decode(value).map(Some).ok_or(BadBlock(number)),
        }
    }
}

/// A Block option is too long or has the reserved SZX 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option {} is no block: at most 3 bytes, SZX 0 to 6", if *.0 == option::BLOCK1 { "Block1" } else { "Block2" })]
pub struct BadBlock(pub u16);

/// An entity tag for a body (RFC 7252 §5.10.6): its FNV-1a hash of 64 bits, so that a server
/// that has forgotten the body makes the same tag of the same body again.
pub fn entity_tag(body: &[u8]) -> [u8; 8] {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    body.iter().fold(OFFSET_BASIS, hash).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The values in the figures of RFC 7959 §3, `NUM/M/size`.
    #[test]
    fn values_are_those_of_the_standard() {
        let block = |number, more, bytes| Block {
            number,
            more,
            size: BlockSize::new(bytes).unwrap(),
        };
        // §2.2: "NUM: 0, M: 0, SZX: 0" is the value 0, so no byte.
        assert_eq!(Block::decode(&[]), Some(block(0, false, 16)));
        // 1/1/128: 1 << 4 | 1 << 3 | 3.
        assert_eq!(Block::decode(&[0x1b]), Some(block(1, true, 128)));
        // 9/0/1024: 9 << 4 | 6.
        assert_eq!(block(9, false, 1024).value(), 0x96);
        assert_eq!(
            Block::decode(&[0xff, 0xff, 0xfe]),
            Some(block((1 << 20) - 1, true, 1024))
        );
    }

    #[test]
    fn the_reserved_size_and_four_bytes_are_refused() {
        assert_eq!(Block::decode(&[0x07]), None);
        assert_eq!(Block::decode(&[0, 0, 0, 0x06]), None);
        let mut options = Options::new();
        options.push(option::BLOCK2, [0x0f]);
        let error = Block::of(&options, option::BLOCK2).unwrap_err();
        assert!(error.to_string().contains("Block2"), "{error}");
    }

    #[test]
    fn sizes_are_the_powers_of_two_from_16_to_1024() {
        let sizes: Vec<usize> = (0..5000).filter(|n| BlockSize::new(*n).is_some()).collect();
        assert_eq!(sizes, [16, 32, 64, 128, 256, 512, 1024]);
    }

    /// The vectors of draft-eastlake-fnv, appendix C.
    #[test]
    fn entity_tags_are_fnv_1a() {
        assert_eq!(entity_tag(b""), 0xcbf29ce484222325_u64.to_be_bytes());
        assert_eq!(entity_tag(b"a"), 0xaf63dc4c8601ec8c_u64.to_be_bytes());
        assert_eq!(entity_tag(b"foobar"), 0x85944171f73967e8_u64.to_be_bytes());
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same_number(value in 0_u32..1 << 24) {
            let bytes = value.to_be_bytes();
            match Block::decode(&bytes[1..]) {
                Some(block) => prop_assert_eq!(block.value(), u64::from(value)),
                None => prop_assert_eq!(value & 7, 7),
            }
        }
    }
}
