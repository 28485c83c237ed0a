//! A request of hwsim that is made, and whose answer is written down, whatever happens to the caller.
//!
//! NEW_RADIO takes milliseconds in the kernel, and only its answer says which radio it made. A caller
//! that is killed meanwhile leaves a radio that nobody knows of. A child process does not die
//! with it.

use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, setsid};

/// `NLMSG_ERROR`, `NLM_F_REQUEST` and `NLM_F_ACK` of `linux/netlink.h`.
const NLMSG_ERROR: u16 = 2;
const REQUEST_AND_ACK: u16 = 1 | 4;

/// Sends `command` without attributes to a family, in a child process, which gives what the kernel
/// answers to `answered` before it ends. `answered` may make system calls only.
///
/// Returns the acknowledgement's code; a negative one is an errno.
pub(crate) fn request(family: u16, command: u8, answered: impl Fn(u32)) -> io::Result<i32> {
    let kind = SockType::Raw;
    let flags = SockFlag::SOCK_CLOEXEC;
    let protocol = SockProtocol::NetlinkGeneric;
    let netlink = socket(AddressFamily::Netlink, kind, flags, protocol)?;
    let (answer, to_parent) = pipe()?;
    // SAFETY: the child makes system calls only, on what it has on its stack, and does not return.
    match unsafe { fork() }? {
        ForkResult::Child => {
            in_child(&netlink, family, command, &answered, to_parent);
            // SAFETY: it does not return, and runs nothing of the parent's.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop(to_parent);
            let code = read(answer);
            // It has nothing more to say.
            waitpid(child, None)?;
            code
        }
    }
}

fn in_child(
    netlink: &OwnedFd,
    family: u16,
    command: u8,
    answered: &impl Fn(u32),
    mut to_parent: PipeWriter,
) {
    // A signal to the caller's process group is not for it.
    let _ = setsid();
    let code = match exchange(netlink, family, command) {
        Ok(code) => code,
        Err(errno) => -(errno as i32),
    };
    if let Ok(code) = u32::try_from(code) {
        answered(code);
    }
    // The parent may be dead.
    let _ = to_parent.write_all(&code.to_ne_bytes());
}

/// The bytes of the request, and of the acknowledgement that the kernel answers with: `nlmsghdr`,
/// then `genlmsghdr` or `nlmsgerr`.
fn exchange(netlink: &OwnedFd, family: u16, command: u8) -> Result<i32, Errno> {
    let mut request = [0; 20];
    request[..4].copy_from_slice(&20_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&family.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_AND_ACK.to_ne_bytes());
    request[16..18].copy_from_slice(&[command, 1]);
    let kernel = NetlinkAddr::new(0, 0);
    sendto(netlink.as_raw_fd(), &request, &kernel, MsgFlags::empty())?;
    let mut answer = [0; 512];
    let length = loop {
        match recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            received => break received?,
        }
    };
    acknowledged(&answer[..length.min(answer.len())]).ok_or(Errno::EBADMSG)
}

/// The code of an acknowledgement.
fn acknowledged(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let code = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == NLMSG_ERROR).then_some(code)
}

fn read(mut answer: PipeReader) -> io::Result<i32> {
    let mut code = [0; 4];
    answer.read_exact(&mut code)?;
    Ok(i32::from_ne_bytes(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_a_child_and_the_parent_hears_what_it_said() {
        // Nobody's family; the answer's code is an error.
        let code = request(0x7fff, 3, |_| panic!("no number")).unwrap();
        assert_eq!(Errno::from_raw(-code), Errno::ENOENT);
    }

    #[test]
    fn only_an_acknowledgement_has_a_code() {
        let mut answer = [0; 36];
        answer[4] = 2;
        answer[16] = 7;
        assert_eq!(acknowledged(&answer), Some(7));
        answer[4] = 3;
        assert_eq!(acknowledged(&answer), None);
        assert_eq!(acknowledged(&answer[..18]), None);
    }
}
