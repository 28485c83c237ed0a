//! What is asked of an ELF file: what processor is it for, what loads it, where does what is loaded end,
//! and how is it mapped in large pages.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::elf::{EM_X86_64, FileHeader64, PF_W, PT_INTERP, PT_LOAD};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};

type Elf<'a> = ElfFile64<'a, Endianness>;

/// The dynamic loader that the program at `path` asks for (`PT_INTERP`); `None` if it is static. Only
/// its headers are read.
///
/// # Errors
/// Says why the guest's processor, an x86-64, cannot execute the file.
pub fn interpreter(path: &Path) -> Result<Option<PathBuf>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    interpreter_in(&ReadCache::new(file))
}

fn interpreter_in<'a>(data: impl ReadRef<'a>) -> Result<Option<PathBuf>, String> {
    let bad = |e| format!("not a 64-bit ELF program: {e}");
    let header = FileHeader64::<Endianness>::parse(data).map_err(bad)?;
    let endian = header.endian().map_err(bad)?;
    if header.e_machine(endian) != EM_X86_64 {
        return Err("not a program for x86-64, which is what the guest is on every host".into());
    }
    for program_header in header.program_headers(endian, data).map_err(bad)? {
        if program_header.p_type(endian) == PT_INTERP {
            let found = program_header.interpreter(endian, data).map_err(bad)?;
            return Ok(found.map(|path| PathBuf::from(OsStr::from_bytes(path))));
        }
    }
    Ok(None)
}

/// The file without its sections that are not loaded (symbols, debug information): what a
/// guest never reads need not be copied into it.
///
/// # Errors
/// Says why the bytes are not a 64-bit ELF file.
pub fn loaded_part(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let elf = Elf::parse(bytes).map_err(|e| format!("not a 64-bit ELF program: {e}"))?;
    let endian = elf.endian();
    let header = elf.elf_header();
    let table_end = header.e_phoff.get(endian)
        + u64::from(header.e_phnum.get(endian)) * u64::from(header.e_phentsize.get(endian));
    let end = elf
        .elf_program_headers()
        .iter()
        .filter(|h| h.p_type(endian) == PT_LOAD)
        .map(|h| h.p_offset(endian).saturating_add(h.p_filesz(endian)))
        .fold(table_end, u64::max);
    let end = usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len());
    let mut loaded = bytes[..end].to_vec();
    // Elf64_Ehdr: e_shoff at 40 (8 bytes), e_shnum at 60 and e_shstrndx at 62 (2 each).
    loaded[40..48].fill(0);
    loaded[60..64].fill(0);
    Ok(loaded)
}

/// The file with every segment that is not written to widened to whole large pages (2 MiB), where
/// the address space and the file have room: the kernel maps a large page only where all of it is
/// the program's. The linker starts and ends segments anywhere, so that up to 4 MiB of code would
/// be mapped, and unmapped, 4 KiB at a time by every process.
///
/// # Errors
/// Says why the bytes are not a 64-bit ELF file.
pub fn in_large_pages(mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let loads = Load::all(&bytes)?;
    let mut taken = 0;
    for (i, load) in loads.iter().enumerate() {
        let mut widened = load.clone();
        if !load.writable && load.offset % LARGE_PAGE == load.start % LARGE_PAGE {
            let start = load.start - load.start % LARGE_PAGE;
            let end = load.end.next_multiple_of(LARGE_PAGE);
            let next = loads.get(i + 1).map_or(u64::MAX, |next| {
                let page = if next.writable { PAGE } else { LARGE_PAGE };
                next.start - next.start % page
            });
            if start >= taken {
                widened.start = start;
                widened.offset -= load.start - start;
            }
            if end <= next {
                widened.end = end;
            }
        }
        taken = widened.end;
        widened.write(&mut bytes);
    }
    Ok(bytes)
}

/// A large page of x86-64.
const LARGE_PAGE: u64 = 2 << 20;
/// A page.
const PAGE: u64 = 4 << 10;

/// A segment that is loaded.
#[derive(Clone, Debug, PartialEq)]
struct Load {
    /// Where in the file its entry of the program header table stands.
    entry: usize,
    writable: bool,
    /// Where in the file its content stands.
    offset: u64,
    /// Where in memory it begins and ends.
    start: u64,
    end: u64,
}

impl Load {
    fn all(bytes: &[u8]) -> Result<Vec<Load>, String> {
        let elf = Elf::parse(bytes).map_err(|e| format!("not a 64-bit ELF program: {e}"))?;
        let endian = elf.endian();
        let table = elf.elf_header().e_phoff.get(endian) as usize;
        let size = usize::from(elf.elf_header().e_phentsize.get(endian));
        let headers = elf.elf_program_headers().iter().enumerate();
        headers
            .filter(|(_, h)| h.p_type(endian) == PT_LOAD)
            .map(|(i, h)| {
                let start = h.p_vaddr(endian);
                let end = start.checked_add(h.p_memsz(endian));
                Ok(Load {
                    entry: table + i * size,
                    writable: h.p_flags(endian).0 & PF_W.0 != 0,
                    offset: h.p_offset(endian),
                    start,
                    end: end
                        .filter(|end| *end <= u64::MAX - LARGE_PAGE)
                        .ok_or("a segment ends beyond the address space")?,
                })
            })
            .collect()
    }

    /// Writes it into its entry, and as much of the file as it asks for. What is written to has a
    /// part that is not in the file, and stays as it is.
    fn write(&self, bytes: &mut Vec<u8>) {
        if self.writable {
            return;
        }
        let length = self.end - self.start;
        // Elf64_Phdr: p_offset at 8, then p_vaddr, p_paddr, p_filesz and p_memsz, 8 bytes each.
        let fields = [self.offset, self.start, self.start, length, length];
        for (i, field) in fields.into_iter().enumerate() {
            let at = self.entry + 8 + i * 8;
            bytes[at..at + 8].copy_from_slice(&field.to_le_bytes());
        }
        let end = (self.offset + length) as usize;
        bytes.resize(bytes.len().max(end), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_is_static_and_has_sections_to_lose() {
        let path = std::env::current_exe().unwrap();
        assert_eq!(interpreter(&path).unwrap(), None);
        let me = std::fs::read(path).unwrap();
        let loaded = loaded_part(&me).unwrap();
        assert!(loaded.len() < me.len());
        assert_eq!(interpreter_in(loaded.as_slice()).unwrap(), None);
    }

    /// A program of these segments: offset, address, size, and whether it is written to.
    fn program(loads: &[(u64, u64, u64, bool)]) -> Vec<u8> {
        // Elf64_Ehdr: magic, 64 bits, little-endian, version 1; ET_EXEC for x86-64; the table of
        // 56-byte entries at 64.
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[16..20].copy_from_slice(&[2, 0, 62, 0]);
        bytes[20] = 1;
        bytes[32] = 64;
        bytes[52] = 64;
        bytes[54] = 56;
        bytes[56] = loads.len() as u8;
        for &(offset, start, size, writable) in loads {
            let flags = if writable { 6_u32 } else { 5 };
            bytes.extend(PT_LOAD.0.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            for field in [offset, start, start, size, size, LARGE_PAGE] {
                bytes.extend(field.to_le_bytes());
            }
        }
        bytes
    }

    /// Offset, beginning and end of each segment once it is widened, and the file's length.
    fn widened(loads: &[(u64, u64, u64, bool)]) -> (Vec<(u64, u64, u64)>, u64) {
        let wide = in_large_pages(program(loads)).unwrap();
        let loads = Load::all(&wide).unwrap();
        let places = loads.iter().map(|l| (l.offset, l.start, l.end)).collect();
        (places, wide.len() as u64)
    }

    #[test]
    fn code_is_widened_to_large_pages_and_stays_where_it_was() {
        // As LLD lays it out: each segment goes on in the file where the one before ended.
        let (loads, length) = widened(&[
            (0, 0x20_0000, 0x42_24c0, false),
            (0x42_24c0, 0x82_24c0, 0x104_7c80, false),
            (0x146_a140, 0x1a6_a140, 0x7ec0, true),
        ]);
        let expected = [
            (0, 0x20_0000, 0x80_0000),
            (0x40_0000, 0x80_0000, 0x1a0_0000),
            (0x146_a140, 0x1a6_a140, 0x1a7_2000),
        ];
        assert_eq!(loads, expected);
        assert_eq!(length, 0x160_0000, "the file has what is mapped");
    }

    #[test]
    fn no_segment_is_widened_into_another_or_from_another_place_of_the_file() {
        let close = [
            (0, 0x20_0000, 0x1000, false),
            (0x1000, 0x20_1000, 0x1000, false),
            (0x2000, 0x20_2000, 0x1000, true),
        ];
        let as_it_was = |&(offset, start, size, _): &_| (offset, start, start + size);
        assert_eq!(widened(&close).0, close.each_ref().map(as_it_was));
        // Linked for pages of 4 KiB.
        let small = [(0x1000, 0x40_2000, 0x1000, false)];
        assert_eq!(widened(&small).0, small.each_ref().map(as_it_was));
    }

    #[test]
    fn a_segment_beyond_the_address_space_is_refused() {
        assert!(in_large_pages(program(&[(0, u64::MAX - 5, 9, false)])).is_err());
    }

    #[test]
    fn a_program_of_the_distribution_is_dynamic() {
        let loader = interpreter(Path::new("/bin/sh")).unwrap().unwrap();
        assert!(loader.is_absolute() && loader.is_file(), "{loader:?}");
    }

    #[test]
    fn a_script_is_not_a_program() {
        let error = interpreter_in(b"#!/bin/sh\n".as_slice()).unwrap_err();
        assert!(error.contains("ELF"), "{error}");
    }

    #[test]
    fn a_program_for_another_processor_is_refused() {
        let mut other = std::fs::read("/bin/sh").unwrap();
        // Elf64_Ehdr: e_machine at 18; 183 is EM_AARCH64.
        other[18..20].copy_from_slice(&183u16.to_le_bytes());
        let error = interpreter_in(other.as_slice()).unwrap_err();
        assert!(error.contains("x86-64"), "{error}");
    }
}
