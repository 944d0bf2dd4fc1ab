//! What a process may do: nothing but its networks. Set between fork and exec.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// User and group 65534, which own nothing on the host.
pub(crate) const UNPRIVILEGED_ID: u32 = 65_534;

/// `CAP_NET_ADMIN` and `CAP_NET_RAW` of `linux/capability.h`.
const NET_ADMIN: i32 = 12;
const NET_RAW: i32 = 13;
/// More capabilities than any kernel has.
const CAPABILITIES_MAX: i32 = 64;
/// `SECBIT_NOROOT` and its lock, of `linux/securebits.h`: root gets no capability by being root.
const NO_ROOT: libc::c_ulong = 1 | 1 << 1;

/// The power of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privileges {
    /// None. With `change_user` it runs as user 65534, else as the user of the harness.
    Node {
        /// Whether there is such a user here: not in a namespace with one user.
        change_user: bool,
    },
    /// Over the networks of its namespace.
    Router,
}

/// Confines what `command` starts. It ends when the thread that starts it ends, and works in `folder` if one is given, else
/// in `/`.
pub(super) fn confine(command: &mut Command, privileges: Privileges, folder: Option<OwnedFd>) {
    // SAFETY: getpid has no preconditions.
    let parent = unsafe { libc::getpid() };
    let apply = move || {
        match &folder {
            // SAFETY: a plain system call on a descriptor that is held.
            Some(folder) => done(unsafe { libc::fchdir(folder.as_raw_fd()) })?,
            // SAFETY: a constant C string.
            None => done(unsafe { libc::chdir(c"/".as_ptr()) })?,
        }
        drop_capabilities(privileges)?;
        if privileges == (Privileges::Node { change_user: true }) {
            drop_user()?;
        }
        prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
        // Last: a change of user would undo it.
        prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0)?;
        // SAFETY: getppid has no preconditions.
        if unsafe { libc::getppid() } != parent {
            return Err(io::Error::other("the harness has ended"));
        }
        Ok(())
    };
    // SAFETY: only system calls that are async-signal-safe, on memory of this closure; nothing is allocated.
    unsafe { command.pre_exec(apply) };
}

fn drop_capabilities(privileges: Privileges) -> io::Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0)?;
    let keeps = |capability| privileges == Privileges::Router && (capability == NET_ADMIN || capability == NET_RAW);
    for capability in (0..CAPABILITIES_MAX).filter(|capability| !keeps(*capability)) {
        match prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong, 0) {
            // This kernel has no more.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            other => other?,
        }
    }
    if privileges != Privileges::Router {
        prctl(libc::PR_SET_SECUREBITS, NO_ROOT, 0)?;
    }
    Ok(())
}

fn drop_user() -> io::Result<()> {
    // SAFETY: no groups are given, and the other calls take plain numbers.
    unsafe {
        done(libc::setgroups(0, std::ptr::null()))?;
        done(libc::setresgid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID))?;
        done(libc::setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID))
    }
}

fn prctl(option: libc::c_int, first: libc::c_ulong, second: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the options used here take numbers only.
    done(unsafe { libc::prctl(option, first, second, 0, 0) })
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
