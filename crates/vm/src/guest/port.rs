//! Port input and output, by which a guest and QEMU reach each other without an interrupt.

use std::io;

/// Writes bytes to an x86 I/O port, one after the other.
#[cfg(target_arch = "x86_64")]
pub(super) fn write_bytes(port: u16, bytes: &[u8]) -> io::Result<()> {
    with_access(|| {
        for &byte in bytes {
            // SAFETY: the port is one of QEMU's test devices, and there is access to it.
            unsafe {
                std::arch::asm!("out dx, al", in("dx") port, in("al") byte,
                    options(nomem, nostack, preserves_flags));
            }
        }
    })
}

/// Writes 16 bits to an x86 I/O port.
#[cfg(target_arch = "x86_64")]
pub(super) fn write_u16(port: u16, value: u16) -> io::Result<()> {
    with_access(|| {
        // SAFETY: the port is one of QEMU's devices, and there is access to it.
        unsafe {
            std::arch::asm!("out dx, ax", in("dx") port, in("ax") value,
                options(nomem, nostack, preserves_flags));
        }
    })
}

/// Fills `bytes` from an x86 I/O port, one after the other.
#[cfg(target_arch = "x86_64")]
pub(super) fn read_bytes(port: u16, bytes: &mut [u8]) -> io::Result<()> {
    with_access(|| {
        for byte in bytes {
            // SAFETY: the port is one of QEMU's devices, and there is access to it.
            unsafe {
                std::arch::asm!("in al, dx", in("dx") port, out("al") *byte,
                    options(nomem, nostack, preserves_flags));
            }
        }
    })
}

/// Does `work` while this thread has access to all ports: cheaper than to a few (`ioperm`), for
/// which the kernel copies a bitmap. It does not keep it: its children would inherit it.
#[cfg(target_arch = "x86_64")]
fn with_access(work: impl FnOnce()) -> io::Result<()> {
    let access = |level| {
        // SAFETY: changes nothing but which ports this thread has access to; refused without the
        // privilege.
        let done = unsafe { nix::libc::iopl(level) };
        nix::errno::Errno::result(done).map_err(io::Error::from)
    };
    access(3)?;
    work();
    access(0).map(drop)
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
