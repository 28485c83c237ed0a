//! The kernel's part of the setup: mounts, modules, entropy, loopback.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::libc;
use nix::mount::MsFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrLike as _, socket};
use nix::unistd::execv;

use crate::input::SEED_BYTES;
use crate::{VmError, root};

/// Where the copy of this program in large pages is.
const COPY: &CStr = c"/run/program/wpanlab";

/// Mounts a file system on a directory that exists.
pub(super) fn mount(
    source: &str,
    at: &Path,
    kind: &str,
    flags: MsFlags,
    data: &str,
) -> Result<(), VmError> {
    nix::mount::mount(Some(source), at, Some(kind), flags, Some(data))
        .map_err(VmError::sys("mount", format!("{kind} on {}", at.display())))
}

/// Mounts what every program expects.
pub(super) fn mount_all() -> Result<(), VmError> {
    let secure = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    for (kind, at, flags, data) in [
        ("proc", "/proc", secure, ""),
        ("sysfs", "/sys", secure, ""),
        ("devtmpfs", "/dev", MsFlags::MS_NOSUID, "mode=0755"),
        (
            "tmpfs",
            "/run",
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            "mode=0755",
        ),
        (
            "tmpfs",
            "/tmp",
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            "mode=1777",
        ),
    ] {
        mount(kind, Path::new(at), kind, flags, data)?;
    }
    Ok(())
}

/// Goes on as a copy of this program in memory of 2 MiB a page, if the kernel has such: a process
/// that starts from there and ends again has ten pages of code to map and unmap, not thousands.
pub(super) fn go_on_in_large_pages() -> Result<(), VmError> {
    let this = Path::new("/proc/self/exe");
    let directory = Path::new("/run/program");
    std::fs::create_dir(directory).map_err(VmError::io("make", directory.display()))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    if mount("tmpfs", directory, "tmpfs", flags, "mode=0755,huge=always").is_err() {
        return Ok(());
    }
    let copy = Path::new(OsStr::from_bytes(COPY.to_bytes()));
    std::fs::copy(this, copy).map_err(VmError::io("copy", this.display()))?;
    execv(COPY, &[COPY]).map_err(VmError::sys("execute", copy.display()))?;
    Ok(())
}

/// Whether this is that copy already.
pub(super) fn is_in_large_pages() -> bool {
    std::env::current_exe().is_ok_and(|path| path.as_os_str().as_bytes() == COPY.to_bytes())
}

/// Loads the modules of a list, in its order.
pub(super) fn load_modules(list: &str) -> Result<(), VmError> {
    let names = std::fs::read_to_string(list).map_err(VmError::io("read", list))?;
    for name in names.lines() {
        let path = format!("{}/{name}", root::MODULES);
        let file = File::open(&path).map_err(VmError::io("open module", &path))?;
        match finit_module(&file, c"", ModuleInitFlags::empty()) {
            // Another list may have brought it.
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(VmError::sys("load module", name)(errno)),
        }
    }
    Ok(())
}

/// Gives the kernel's generator a seed, so that it neither waits for noise nor gathers any, and
/// has it take effect at once.
pub(super) fn seed_random_numbers(seed: [u8; SEED_BYTES]) -> Result<(), VmError> {
    /// `struct rand_pool_info` of Linux `include/uapi/linux/random.h`.
    #[repr(C)]
    struct RandPoolInfo {
        entropy_bits: libc::c_int,
        size: libc::c_int,
        seed: [u8; SEED_BYTES],
    }
    const DEVICE: &str = "/dev/urandom";
    let info = RandPoolInfo {
        entropy_bits: 8 * SEED_BYTES as libc::c_int,
        size: SEED_BYTES as libc::c_int,
        seed,
    };
    let device = File::open(DEVICE).map_err(VmError::io("open", DEVICE))?;
    /// `RNDADDENTROPY` of the same header.
    const RNDADDENTROPY: libc::Ioctl = nix::request_code_write!(b'R', 0x03, 8) as libc::Ioctl;
    // SAFETY: the kernel reads `size` bytes after the two fields, all within `info`.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), RNDADDENTROPY, &info) };
    Errno::result(result).map_err(VmError::sys("seed", DEVICE))?;
    /// `RNDRESEEDCRNG` of the same header.
    const RNDRESEEDCRNG: libc::Ioctl = nix::request_code_none!(b'R', 0x07) as libc::Ioctl;
    // SAFETY: it takes no argument.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), RNDRESEEDCRNG) };
    Errno::result(result)
        .map(drop)
        .map_err(VmError::sys("seed", DEVICE))
}

/// Writes a value under `/proc/sys`.
pub(super) fn write_sysctl(name: &str, value: &str) -> Result<(), VmError> {
    let path = format!("/proc/sys/{name}");
    std::fs::write(&path, value).map_err(VmError::io("write", path))
}

/// `ip link set lo up`.
pub(super) fn loopback_up() -> Result<(), VmError> {
    up("lo").map_err(VmError::sys("bring up", "the loopback link"))
}

/// `ip address add ADDRESS dev NAME` with the prefix that its class has, and `ip link set NAME up`.
pub(super) fn ethernet_up(name: &str, address: Ipv4Addr) -> Result<(), VmError> {
    let failed = || VmError::sys("bring up", format!("{name}, the link to the host"));
    let address = SockaddrIn::from(SocketAddrV4::new(address, 0));
    let mut request = request(name);
    // SAFETY: it points at `address`, and a `sockaddr_in` is as long as a `sockaddr`.
    request.ifr_ifru.ifru_addr = unsafe { *address.as_ptr() };
    ask(libc::SIOCSIFADDR, &request).map_err(failed())?;
    up(name).map_err(failed())
}

fn up(name: &str) -> nix::Result<()> {
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    ask(libc::SIOCSIFFLAGS, &request)
}

/// What is asked about the interface of this name, without what is asked.
fn request(name: &str) -> libc::ifreq {
    // SAFETY: integers and an address, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays what ends it.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

fn ask(operation: libc::Ioctl, request: &libc::ifreq) -> nix::Result<()> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: `request` outlives the call and is of the type that the operation reads.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), operation, request) };
    Errno::result(result).map(drop)
}
