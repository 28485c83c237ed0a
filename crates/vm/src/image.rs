//! From a distribution's `vmlinuz` to the `vmlinux` inside it.
//!
//! QEMU enters an uncompressed kernel directly (PVH), which saves the guest the slow work of
//! decompressing itself. The layout of a bzImage is Linux's `Documentation/arch/x86/boot.rst`.

use crate::unpack::unpack;

/// How an uncompressed kernel begins.
const ELF: &[u8] = b"\x7fELF";

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
    let vmlinux = if bytes.starts_with(ELF) {
        bytes.to_vec()
    } else {
        unpack(payload(bytes)?)?.into_owned()
    };
    if !vmlinux.starts_with(ELF) {
        return Err(format!(
            "its payload is neither xz nor zstd nor gzip (first bytes {:02x?}); unpack it to a \
             vmlinux with the kernel's scripts/extract-vmlinux and name that",
            &vmlinux[..vmlinux.len().min(4)]
        ));
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

    // See `unpack`.
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
        let lz4 = bzimage(&[0x02, 0x21, 0x4c, 0x18]);
        assert!(read(&lz4).unwrap_err().contains("neither xz nor zstd"));
        let whole = bzimage(ZSTD);
        let error = read(&whole[..whole.len() - 1]).unwrap_err();
        assert!(error.contains("cut short"));
    }
}
