//! QEMU's firmware configuration device (QEMU `docs/specs/fw_cfg.rst`), read by port input: at
//! the same instant of the guest's time whenever the host had the bytes ready.

use std::io;

use super::port;

/// Selects an item; the data port then gives its bytes in order.
const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
/// The item that lists the named ones.
const DIRECTORY: u16 = 0x19;
/// An entry of the directory: size and key, big-endian, two reserved bytes, the name with zeros.
const ENTRY_BYTES: usize = 64;
const NAME_AT: usize = 8;

/// The content of the item called `name`.
pub(super) fn read(name: &str) -> io::Result<Vec<u8>> {
    port::write_u16(SELECTOR, DIRECTORY)?;
    let mut count = [0; 4];
    port::read_bytes(DATA, &mut count)?;
    // What no device answers reads as ones: that directory would have no end.
    let count = match u32::from_be_bytes(count) {
        u32::MAX => 0,
        count => count,
    };
    let (size, key) = find(count, name, |entry| port::read_bytes(DATA, entry))?;
    let mut content = vec![0; size as usize];
    port::write_u16(SELECTOR, key)?;
    port::read_bytes(DATA, &mut content)?;
    Ok(content)
}

/// Size and key of the entry called `name` among the `count` that `next` reads.
fn find(
    count: u32,
    name: &str,
    mut next: impl FnMut(&mut [u8]) -> io::Result<()>,
) -> io::Result<(u32, u16)> {
    for _ in 0..count {
        let mut entry = [0; ENTRY_BYTES];
        next(&mut entry)?;
        let (numbers, padded) = entry.split_at(NAME_AT);
        let found = padded.split(|&byte| byte == 0).next();
        if found == Some(name.as_bytes()) {
            let size = u32::from_be_bytes([numbers[0], numbers[1], numbers[2], numbers[3]]);
            return Ok((size, u16::from_be_bytes([numbers[4], numbers[5]])));
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory as the specification lays it out.
    fn directory(items: &[(&str, u32, u16)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, size, key) in items {
            bytes.extend(size.to_be_bytes());
            bytes.extend(key.to_be_bytes());
            bytes.extend([0; 2]);
            let mut padded = name.as_bytes().to_vec();
            padded.resize(56, 0);
            bytes.extend(padded);
        }
        bytes
    }

    #[test]
    fn an_item_is_found_by_its_whole_name() {
        let bytes = directory(&[("opt/a/inputs", 7, 0x20), ("opt/a/input", 0x1_0203, 0x21)]);
        let find = |name| {
            let mut entries = bytes.chunks(ENTRY_BYTES);
            super::find(2, name, |entry| {
                entry.copy_from_slice(entries.next().unwrap());
                Ok(())
            })
        };
        assert_eq!(find("opt/a/input").unwrap(), (0x1_0203, 0x21));
        assert_eq!(find("opt/a").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
