//! The two questions asked of an ELF file: is it static, and where does what is loaded end.

use object::Endianness;
use object::elf::{PT_INTERP, PT_LOAD};
use object::read::elf::{ElfFile64, ProgramHeader};

type Elf<'a> = ElfFile64<'a, Endianness>;

/// Whether the program asks for a dynamic loader (`PT_INTERP`).
///
/// # Errors
/// Says why the bytes are not a 64-bit ELF file.
pub fn needs_interpreter(bytes: &[u8]) -> Result<bool, String> {
    let elf = Elf::parse(bytes).map_err(|e| format!("not a 64-bit ELF program: {e}"))?;
    let endian = elf.endian();
    Ok(elf
        .elf_program_headers()
        .iter()
        .any(|h| h.p_type(endian) == PT_INTERP))
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
        let me = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(!needs_interpreter(&me).unwrap());
        let loaded = loaded_part(&me).unwrap();
        assert!(loaded.len() < me.len());
        assert!(!needs_interpreter(&loaded).unwrap());
    }

    #[test]
    fn a_program_of_the_distribution_is_dynamic() {
        let sh = std::fs::read("/bin/sh").unwrap();
        assert!(needs_interpreter(&sh).unwrap());
    }

    #[test]
    fn a_script_is_not_a_program() {
        assert!(
            needs_interpreter(b"#!/bin/sh\n")
                .unwrap_err()
                .contains("ELF")
        );
    }
}
