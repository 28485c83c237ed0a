//! What kernels and their modules are packed with.

use std::borrow::Cow;
use std::io::Read;

/// How the three formats begin.
const XZ: &[u8] = b"\xfd7zXZ\0";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const GZIP: &[u8] = b"\x1f\x8b";

/// Unpacks xz, zstd or gzip, whatever its name says; what is none of them is given back as it is. Only
/// the first stream is read: behind it a kernel image has its unpacked size.
///
/// # Errors
/// The format and what is wrong.
pub(crate) fn unpack(packed: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let mut bytes = Vec::new();
    let (format, outcome) = if packed.starts_with(XZ) {
        let mut reader = lzma_rust2::XzReader::new(packed, false);
        ("xz", reader.read_to_end(&mut bytes))
    } else if packed.starts_with(ZSTD) {
        let mut reader = ruzstd::decoding::StreamingDecoder::new(packed)
            .map_err(|error| format!("zstd: {error}"))?;
        ("zstd", reader.read_to_end(&mut bytes))
    } else if packed.starts_with(GZIP) {
        let mut reader = flate2::bufread::GzDecoder::new(packed);
        ("gzip", reader.read_to_end(&mut bytes))
    } else {
        return Ok(Cow::Borrowed(packed));
    };
    outcome.map_err(|error| format!("{format}: {error}"))?;
    Ok(Cow::Owned(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    // What the tools of zstd 1.5.4, xz 5.4.1 (with --x86 --lzma2) and gzip 1.12 (with -n) make of it.
    const CONTENT: &[u8] = b"\x7fELF Linux version %s Linux version 6.1.0-56-amd64 (x)\0";
    const PACKED: [&[u8]; 3] = [
        include_bytes!("../tests/data/vmlinux.zst"),
        include_bytes!("../tests/data/vmlinux.xz"),
        include_bytes!("../tests/data/vmlinux.gz"),
    ];

    #[test]
    fn what_three_tools_packed_is_unpacked_also_with_more_behind_it() {
        for packed in PACKED {
            assert_eq!(unpack(packed).unwrap(), CONTENT);
            let followed = [packed, &(CONTENT.len() as u32).to_le_bytes()].concat();
            assert_eq!(unpack(&followed).unwrap(), CONTENT);
        }
    }

    #[test]
    fn what_is_not_packed_is_taken_as_it_is() {
        assert_eq!(unpack(CONTENT).unwrap(), CONTENT);
        assert!(unpack(b"").unwrap().is_empty());
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        for packed in PACKED {
            assert!(unpack(&packed[..packed.len() / 2]).is_err());
        }
    }
}
