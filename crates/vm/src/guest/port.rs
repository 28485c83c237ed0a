//! Port output, by which a guest reaches QEMU without an interrupt.

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

/// Only x86 has ports, and only x86 guests are booted.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn write_bytes(_port: u16, _bytes: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
