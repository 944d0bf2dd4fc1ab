//! What a process may do: nothing but its networks. Set between fork and exec.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::prctl::{set_no_new_privs, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, chdir, fchdir, getpid, getppid, setgroups, setresgid, setresuid, write};

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
/// in `/`. It enters the control groups whose doors are given before it has memory of its own.
pub(super) fn confine(command: &mut Command, privileges: Privileges, folder: Option<OwnedFd>, groups: Vec<OwnedFd>) {
    let parent = getpid();
    let apply = move || {
        for door in &groups {
            write(door, b"0")?;
        }
        match &folder {
            Some(folder) => fchdir(folder)?,
            None => chdir(c"/")?,
        }
        drop_capabilities(privileges)?;
        if privileges == (Privileges::Node { change_user: true }) {
            drop_user()?;
        }
        set_no_new_privs()?;
        // Last: a change of user would undo it.
        set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != parent {
            // The harness has ended. An error with a text would allocate.
            return Err(Errno::ESRCH.into());
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
    let (user, group) = (Uid::from_raw(UNPRIVILEGED_ID), Gid::from_raw(UNPRIVILEGED_ID));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    Ok(setresuid(user, user, user)?)
}

fn prctl(option: libc::c_int, first: libc::c_ulong, second: libc::c_ulong) -> io::Result<()> {
    // SAFETY: every option that is used here takes plain numbers, and none changes memory of this process.
    match unsafe { libc::prctl(option, first, second, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
