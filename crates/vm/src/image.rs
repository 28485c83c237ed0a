//! From a distribution's `vmlinuz` to the `vmlinux` inside it.
//!
//! QEMU enters an uncompressed kernel directly (PVH), which saves the guest the slow work of
//! decompressing itself. The layout of a bzImage is Linux's `Documentation/arch/x86/boot.rst`.

use std::io::Read;

/// An uncompressed kernel and what it says of itself.
#[derive(Debug)]
pub struct Image {
    /// The ELF file.
    pub vmlinux: Vec<u8>,
    /// The release (`uname -r`), such as `6.1.0-56-amd64`.
    pub release: String,
}

/// Reads a `vmlinuz` (bzImage) or a `vmlinux` (ELF).
///
/// # Errors
/// Says in words why the bytes are no bootable x86-64 kernel.
pub fn read(bytes: &[u8]) -> Result<Image, String> {
    let vmlinux = if bytes.starts_with(b"\x7fELF") {
        bytes.to_vec()
    } else {
        decompress(payload(bytes)?)?
    };
    if !vmlinux.starts_with(b"\x7fELF") {
        return Err("its payload is not an ELF file".into());
    }
    let release = release(&vmlinux).ok_or("no `Linux version` text in it")?;
    Ok(Image { vmlinux, release })
}

/// The compressed kernel inside a bzImage.
fn payload(bytes: &[u8]) -> Result<&[u8], String> {
    let u32_at = |offset: usize| -> Option<usize> {
        let field = bytes.get(offset..offset + 4)?;
        Some(u32::from_le_bytes(field.try_into().ok()?) as usize)
    };
    // 0x202 "HdrS", 0x1f1 setup_sects (0 means 4), 0x248 payload_offset from the start of
    // the protected-mode code, 0x24c payload_length (both since protocol 2.08).
    if bytes.get(0x202..0x206) != Some(b"HdrS") {
        return Err("neither an ELF file nor a bzImage (no `HdrS` at 0x202)".into());
    }
    let setup_sectors = match bytes[0x1f1] {
        0 => 4,
        n => usize::from(n),
    };
    let (offset, length) = u32_at(0x248)
        .zip(u32_at(0x24c))
        .ok_or("the bzImage header is cut short")?;
    let start = (setup_sectors + 1) * 512 + offset;
    bytes
        .get(start..start.saturating_add(length))
        .ok_or_else(|| "the bzImage is cut short".into())
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>, String> {
    let mut vmlinux = Vec::new();
    if payload.starts_with(b"\xfd7zXZ\0") {
        // One stream only: the build appends the unpacked size after it.
        lzma_rust2::XzReader::new(payload, false)
            .read_to_end(&mut vmlinux)
            .map_err(|e| format!("xz: {e}"))?;
    } else if payload.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        ruzstd::decoding::StreamingDecoder::new(payload)
            .map_err(|e| format!("zstd: {e}"))?
            .read_to_end(&mut vmlinux)
            .map_err(|e| format!("zstd: {e}"))?;
    } else {
        return Err(format!(
            "its payload is neither xz nor zstd (first bytes {:02x?}); unpack it to a vmlinux with \
             the kernel's scripts/extract-vmlinux and name that",
            &payload[..payload.len().min(4)]
        ));
    }
    Ok(vmlinux)
}

fn release(vmlinux: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    let mut from = 0;
    // The banner's format string (`Linux version %s`) may come before the banner.
    while let Some(at) = find(&vmlinux[from..], BANNER) {
        let start = from + at + BANNER.len();
        let word: String = vmlinux[start..]
            .iter()
            .take(128)
            .take_while(|b| b.is_ascii_graphic())
            .map(|&b| char::from(b))
            .collect();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return Some(word);
        }
        from = start;
    }
    None
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|&b| b == first) {
        if haystack[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bzImage with one setup sector around a payload, by the fields of boot.rst.
    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[0x1f1] = 1;
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x248..0x24c].copy_from_slice(&8u32.to_le_bytes());
        bytes[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(payload);
        bytes
    }

    // printf '\177ELF Linux version %%s Linux version 6.1.0-56-amd64 (x)\0' | zstd
    // and | xz --x86 --lzma2, of zstd 1.5.4 and xz 5.4.1.
    const CONTENT: &[u8] = b"\x7fELF Linux version %s Linux version 6.1.0-56-amd64 (x)\0";
    const ZSTD: &[u8] = include_bytes!("../tests/data/vmlinux.zst");
    const XZ: &[u8] = include_bytes!("../tests/data/vmlinux.xz");

    #[test]
    fn a_kernel_packed_by_the_xz_tool_with_its_x86_filter_is_unpacked() {
        let mut payload = XZ.to_vec();
        payload.extend((CONTENT.len() as u32).to_le_bytes());
        let image = read(&bzimage(&payload)).unwrap();
        assert_eq!(image.vmlinux, CONTENT);
        assert_eq!(image.release, "6.1.0-56-amd64");
    }

    #[test]
    fn a_kernel_packed_by_the_zstd_tool_is_unpacked() {
        let image = read(&bzimage(ZSTD)).unwrap();
        assert_eq!(image.vmlinux, CONTENT);
    }

    #[test]
    fn an_unpacked_kernel_is_taken_as_it_is() {
        assert_eq!(read(CONTENT).unwrap().vmlinux, CONTENT);
    }

    #[test]
    fn what_is_no_kernel_is_refused_with_the_reason() {
        assert!(read(b"#!/bin/sh").unwrap_err().contains("HdrS"));
        let gzip = bzimage(&[0x1f, 0x8b, 8, 0]);
        assert!(read(&gzip).unwrap_err().contains("neither xz nor zstd"));
        let whole = bzimage(ZSTD);
        let error = read(&whole[..whole.len() - 1]).unwrap_err();
        assert!(error.contains("cut short"));
    }
}
