//! Network namespaces, held by file descriptor.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::fstat;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::protocols::NETLINK_ROUTE;

use crate::direct::Direct;
use crate::error::{Error, Failure, Result};

/// A network namespace. It lives as long as a handle, a process, a socket or a bind mount
/// holds it; clones are the same namespace.
#[derive(Clone, Debug)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
}

impl Namespace {
    /// A new namespace, its loopback up. Equals `ip netns add` without a name. Needs
    /// CAP_SYS_ADMIN.
    pub fn create() -> Result<Namespace> {
        Namespace::current()?.and_back(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|e| Error::io("network namespace", "create", e))?;
            let namespace = Namespace::current()?;
            loopback_up()?;
            Ok(namespace)
        })
    }

    /// The namespace of the calling thread.
    pub fn current() -> Result<Namespace> {
        Namespace::open("/proc/thread-self/ns/net")
    }

    /// A namespace that is bound to a path, or a process's `/proc/PID/ns/net`.
    pub fn open(path: impl AsRef<Path>) -> Result<Namespace> {
        let path = path.as_ref();
        let file =
            File::open(path).map_err(|e| Error::io(path.display(), "open network namespace", e))?;
        Ok(Namespace {
            fd: Arc::new(file.into()),
        })
    }

    /// Binds the namespace to `path`, which is created, so that it outlives this process and
    /// `nsenter --net=PATH` finds it. `ip netns attach` does the same under `/run/netns`.
    pub fn bind_to(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |e: io::Error| Error::io(path.display(), "bind network namespace", e);
        File::options()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(failed)?;
        let source = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        let bound = mount(
            Some(source.as_str()),
            path,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        );
        bound.map_err(|e| {
            // The mount's error is the one to report; an empty file may stay behind.
            let _ = fs::remove_file(path);
            failed(e.into())
        })
    }

    /// Undoes [`Namespace::bind_to`]: unmounts and removes `path`. Equals `ip netns del`.
    pub fn unbind(path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |e: io::Error| Error::io(path.display(), "unbind network namespace", e);
        umount2(path, MntFlags::MNT_DETACH).map_err(|e| failed(e.into()))?;
        fs::remove_file(path).map_err(failed)
    }

    /// Runs `f` inside the namespace, on the calling thread, which is back in its own namespace
    /// afterwards, also when `f` panics. Sockets made by `f` stay in the namespace; threads that it
    /// starts, too. Needs CAP_SYS_ADMIN, unless the thread is there already.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> Result<R> {
        let home = Namespace::current()?;
        if home.identity()? == self.identity()? {
            return Ok(f());
        }
        home.and_back(|| {
            self.enter_this_thread()?;
            Ok(f())
        })
    }

    /// Moves the calling thread into the namespace: for a daemon, before it starts another
    /// thread.
    pub fn enter_this_thread(&self) -> Result<()> {
        setns(&self.fd, CloneFlags::CLONE_NEWNET)
            .map_err(|e| Error::io("network namespace", "enter", e))
    }

    /// What it has and no other one (namespaces(7)).
    fn identity(&self) -> Result<(u64, u64)> {
        let file = fstat(&self.fd).map_err(|e| Error::io("network namespace", "stat", e))?;
        Ok((file.st_dev, file.st_ino))
    }

    /// Runs `f`, which may change the calling thread's namespace, and takes the thread back to this
    /// one. A thread of its own for `f` would cost several times as much, and there are some ten calls
    /// for each node.
    fn and_back<R>(&self, f: impl FnOnce() -> Result<R>) -> Result<R> {
        let outcome = catch_unwind(AssertUnwindSafe(f));
        self.enter_this_thread()?;
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes the loopback of the calling thread's namespace up, without a runtime.
fn loopback_up() -> Result<()> {
    /// The loopback is the first interface of every namespace.
    const LOOPBACK: u32 = 1;
    let message = LinkUnspec::new_with_index(LOOPBACK).up().build();
    let up = || {
        let mut rtnl = Direct::open(NETLINK_ROUTE).map_err(Failure::Io)?;
        rtnl.route(&RouteNetlinkMessage::SetLink(message), 0)
    };
    up().map_err(|failure| failure.at("lo", "set up", &[]))
}
