//! Port input and output, by which a guest and QEMU reach each other without an interrupt.

use std::io;

/// Writes bytes to an x86 I/O port, one after the other.
#[cfg(target_arch = "x86_64")]
pub(super) fn write_bytes(port: u16, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: gives this thread access to one port; refused without the privilege.
    if unsafe { nix::libc::ioperm(port.into(), 1, 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for &byte in bytes {
        // SAFETY: the port is one of QEMU's test devices, and access was granted above.
        unsafe {
            std::arch::asm!("out dx, al", in("dx") port, in("al") byte,
                options(nomem, nostack, preserves_flags));
        }
    }
    Ok(())
}

/// Writes 16 bits to an x86 I/O port.
#[cfg(target_arch = "x86_64")]
pub(super) fn write_u16(port: u16, value: u16) -> io::Result<()> {
    // SAFETY: gives this thread access to two ports; refused without the privilege.
    if unsafe { nix::libc::ioperm(port.into(), 2, 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the port is one of QEMU's devices, and access was granted above.
    unsafe {
        std::arch::asm!("out dx, ax", in("dx") port, in("ax") value,
            options(nomem, nostack, preserves_flags));
    }
    Ok(())
}

/// Fills `bytes` from an x86 I/O port, one after the other.
#[cfg(target_arch = "x86_64")]
pub(super) fn read_bytes(port: u16, bytes: &mut [u8]) -> io::Result<()> {
    // SAFETY: gives this thread access to one port; refused without the privilege.
    if unsafe { nix::libc::ioperm(port.into(), 1, 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for byte in bytes {
        // SAFETY: the port is one of QEMU's devices, and access was granted above.
        unsafe {
            std::arch::asm!("in al, dx", in("dx") port, out("al") *byte,
                options(nomem, nostack, preserves_flags));
        }
    }
    Ok(())
}

/// Only x86 has ports, and only x86 guests are booted.
#[cfg(not(target_arch = "x86_64"))]
mod absent {
    use std::io;

    pub(crate) fn write_bytes(_port: u16, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn write_u16(_port: u16, _value: u16) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn read_bytes(_port: u16, _bytes: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
#[cfg(not(target_arch = "x86_64"))]
pub(super) use absent::{read_bytes, write_bytes, write_u16};
