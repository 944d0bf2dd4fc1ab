//! Where nodes keep what outlives them: a file system in memory that has no name anywhere, so that nothing of it can be left.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Gid, Uid, fchown};

use crate::netns::process::UNPRIVILEGED_ID;

/// `FSCONFIG_CMD_CREATE` of `linux/mount.h`.
const CREATE: libc::c_uint = 6;

/// The stores of a run.
#[derive(Debug)]
pub(super) struct NodeStores {
    root: OwnedFd,
    /// Whether they belong to the unprivileged user, or to the user who runs the harness.
    unprivileged: bool,
    made: AtomicU32,
}

impl AsRawFd for NodeStores {
    fn as_raw_fd(&self) -> RawFd {
        self.root.as_raw_fd()
    }
}

impl NodeStores {
    /// None yet.
    pub(super) fn new(unprivileged: bool) -> anyhow::Result<Self> {
        let root = memory().context("making a file system for the stores of nodes (needs Linux 5.2)")?;
        Ok(NodeStores { root, unprivileged, made: AtomicU32::new(0) })
    }

    /// The store of a node, to work in; with `anew` it is another one, and empty.
    pub(super) fn of(&self, name: &str, anew: bool) -> anyhow::Result<OwnedFd> {
        let open = || -> nix::Result<OwnedFd> { if anew { self.make(name) } else { self.open(name) } };
        open().with_context(|| format!("the store of {name}"))
    }

    fn make(&self, name: &str) -> nix::Result<OwnedFd> {
        // Of the one before nothing is looked at again: it goes with the run.
        let stale = format!("{name}.{}", self.made.fetch_add(1, Ordering::Relaxed));
        match renameat(&self.root, name, &self.root, stale.as_str()) {
            Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
        mkdirat(&self.root, name, Mode::S_IRWXU)?;
        let folder = self.open(name)?;
        if self.unprivileged {
            fchown(&folder, Some(Uid::from_raw(UNPRIVILEGED_ID)), Some(Gid::from_raw(UNPRIVILEGED_ID)))?;
        }
        Ok(folder)
    }

    fn open(&self, name: &str) -> nix::Result<OwnedFd> {
        openat(&self.root, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
    }
}

/// A file system in memory (fsopen(2)), attached nowhere.
fn memory() -> io::Result<OwnedFd> {
    let none: *const libc::c_char = std::ptr::null();
    let name: &CStr = c"tmpfs";
    let context = call(|| {
        // SAFETY: a C string and flags; the result is a new descriptor.
        unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), 1) }
    })?;
    // SAFETY: `context` is held; this command takes no key and no value.
    let created = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CREATE, none, none, 0) };
    if created == -1 {
        return Err(io::Error::last_os_error());
    }
    call(|| {
        // SAFETY: `context` is held; the result is a new descriptor.
        unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1, 0) }
    })
}

/// A system call that returns a descriptor.
fn call(make: impl FnOnce() -> libc::c_long) -> io::Result<OwnedFd> {
    match make() {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just made it, and no other owner exists.
        descriptor => Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) }),
    }
}
