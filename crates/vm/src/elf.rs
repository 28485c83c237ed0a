//! The questions asked of an ELF file: what processor is it for, what loads it, and where does what is
//! loaded end.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::elf::{EM_X86_64, FileHeader64, PT_INTERP, PT_LOAD};
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
