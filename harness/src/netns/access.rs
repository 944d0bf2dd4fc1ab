//! Whether network namespaces can be had here: as root, or as an ordinary user in a user namespace of one's own.

use std::fmt::Write;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, thread};

use anyhow::{Context, anyhow};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use crate::netns::netlink::{self, Netlink};
use crate::router::socket::PacketSocket;

/// Holds the number of the process that shall enter a user namespace at its start.
const ENTER_VARIABLE: &str = "BUTTER_ENTER_NAMESPACES";
/// What the trial in a process of its own writes when all went well.
const TRIAL_PASSED: &str = "namespaces can be made";
/// Number of the interface of the trial.
const TRIAL_INTERFACE: u32 = 1_000;

/// How namespaces are had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceAccess {
    /// This process may make them.
    Ready,
    /// It must enter a user namespace first: see [`enter`].
    InUserNamespace,
}

/// Why network namespaces cannot be used. Nothing was created.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel refuses them to this user, or lacks a part that they need.
    #[error("cannot create network namespaces here")]
    NotAvailable {
        /// What the kernel refused, and in which operation.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What the user can do about it.
        remedy: String,
    },
    /// This program could not start itself again, in a user namespace.
    #[error("cannot restart this program in a user namespace")]
    Restart(#[source] io::Error),
}

impl NamespaceError {
    /// What the user can do about it, if that is known.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            NamespaceError::NotAvailable { remedy, .. } => Some(remedy),
            NamespaceError::Restart(_) => None,
        }
    }
}

/// Whether this process has entered a user namespace of its own.
static ENTERED: OnceLock<()> = OnceLock::new();

/// Whether this process has entered a user namespace of its own: it plays on namespaces, and nothing else.
pub fn entered() -> bool {
    ENTERED.get().is_some()
}

/// Finds out by trying, in namespaces that are gone afterwards.
///
/// # Errors
/// With the reason and the remedy.
pub fn access() -> Result<NamespaceAccess, NamespaceError> {
    let own = match thread::spawn(trial).join() {
        Ok(Ok(())) => return Ok(NamespaceAccess::Ready),
        Ok(Err(error)) => error,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    if entered() {
        return Err(failed(own));
    }
    match trial_apart() {
        Ok(()) => Ok(NamespaceAccess::InUserNamespace),
        Err(error) => Err(failed(error)),
    }
}

/// Begins this program anew, with the same arguments, in a user namespace. Returns only if that fails.
pub fn enter() -> NamespaceError {
    let mut arguments = env::args_os();
    let mut command = Command::new("/proc/self/exe");
    command.arg0(arguments.next().unwrap_or_else(|| "harness".into())).args(arguments);
    let error = command.env(ENTER_VARIABLE, std::process::id().to_string()).exec();
    NamespaceError::Restart(error)
}

/// What [`enter`] asks of the process that it begins: to be called before anything else, as only a process with one thread is let
/// into a user namespace.
///
/// # Errors
/// If it was asked and is not possible.
pub fn enter_if_asked() -> Result<(), NamespaceError> {
    // Whoever inherited the variable is another process.
    if env::var(ENTER_VARIABLE).is_ok_and(|pid| pid == std::process::id().to_string()) {
        enter_user_namespace().map_err(failed)?;
        let _ = ENTERED.set(());
    }
    Ok(())
}

/// What the process of [`trial_apart`] does: before anything else.
/// Returns whether it succeeded; the reason against it goes to standard error.
pub fn trial_main() -> bool {
    match enter_user_namespace().and_then(|()| trial()) {
        Ok(()) => {
            butter_cli::output::text(&format!("{TRIAL_PASSED}\n"));
            true
        }
        Err(error) => {
            butter_cli::output::message(&format!("{error:#}"));
            false
        }
    }
}

/// Tries in a process of its own, which enters a user namespace.
fn trial_apart() -> anyhow::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    let output =
        command.arg("namespace-trial").stdin(Stdio::null()).output().context("this program cannot be started")?;
    if output.stdout.starts_with(TRIAL_PASSED.as_bytes()) {
        return Ok(());
    }
    Err(anyhow!("{}", String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Enters a user namespace in which this user is root, and the only one.
fn enter_user_namespace() -> anyhow::Result<()> {
    let (user, group) = (geteuid(), getegid());
    // A mount namespace as well: file systems in memory are made in one's own only.
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).context("making a user namespace")?;
    let maps =
        [("setgroups", "deny".to_owned()), ("uid_map", format!("0 {user} 1")), ("gid_map", format!("0 {group} 1"))];
    for (file, text) in maps {
        let path = format!("/proc/self/{file}");
        fs::write(&path, text).with_context(|| format!("writing {path} of a user namespace"))?;
    }
    Ok(())
}

/// Does what a run needs on a thread that ends with it: a network namespace, an interface, a packet socket.
fn trial() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace")?;
    let namespace = File::open("/proc/thread-self/ns/net").context("/proc/thread-self/ns/net cannot be opened")?;
    let netlink = Netlink::open()?;
    netlink.perform(vec![netlink::up(1), netlink::bridge("trial", TRIAL_INTERFACE)])?;
    let far = netlink::VethPeer { namespace: namespace.as_raw_fd(), name: "far", mac: [2, 0, 0, 0, 0, 1] };
    netlink.perform(vec![netlink::veth(TRIAL_INTERFACE, &far)])?;
    PacketSocket::open(TRIAL_INTERFACE).map(drop).context("a packet socket")
}

fn failed(source: anyhow::Error) -> NamespaceError {
    NamespaceError::NotAvailable { source: source.into(), remedy: remedy(&Switches::here(), geteuid().is_root()) }
}

/// What the kernel lets ordinary users do; `None` for what this kernel does not have.
#[derive(Clone, Copy, Debug, Default)]
struct Switches {
    clone: Option<u64>,
    apparmor: Option<u64>,
    users_max: Option<u64>,
    networks_max: Option<u64>,
}

impl Switches {
    fn here() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok();
        Switches {
            clone: read("kernel/unprivileged_userns_clone"),
            apparmor: read("kernel/apparmor_restrict_unprivileged_userns"),
            users_max: read("user/max_user_namespaces"),
            networks_max: read("user/max_net_namespaces"),
        }
    }
}

fn remedy(switches: &Switches, root: bool) -> String {
    let off = [
        (switches.clone == Some(0) && !root, "kernel.unprivileged_userns_clone=1"),
        (switches.apparmor == Some(1) && !root, "kernel.apparmor_restrict_unprivileged_userns=0"),
        (switches.users_max == Some(0) && !root, "user.max_user_namespaces=15000"),
        (switches.networks_max.is_some_and(|max| max < NETWORKS_FEW), "user.max_net_namespaces=15000"),
    ];
    let mut text = String::new();
    for (_, setting) in off.into_iter().filter(|(is_off, _)| *is_off) {
        let _ = write!(text, "sudo sysctl -w {setting}; ");
    }
    if text.is_empty() {
        text.push_str(
            "in a container, start that with --privileged; else load what the kernel lacks: sudo modprobe -a veth bridge af_packet; ",
        );
    }
    text.push_str(if root {
        "or use the backend sim, which needs nothing."
    } else {
        "or run as root; or use the backend sim, which needs nothing."
    });
    text
}

/// Network namespaces that a run of moderate size needs.
const NETWORKS_FEW: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_names_what_is_switched_off() {
        let on = Switches { clone: Some(1), apparmor: Some(0), users_max: Some(100), networks_max: Some(1_000) };
        let check = |switches: Switches, root, expected: &str| {
            let text = remedy(&switches, root);
            assert!(text.starts_with(expected), "{text}");
        };
        check(
            Switches { clone: Some(0), ..on },
            false,
            "sudo sysctl -w kernel.unprivileged_userns_clone=1; or run as root",
        );
        check(
            Switches { apparmor: Some(1), ..on },
            false,
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0;",
        );
        check(Switches { users_max: Some(0), ..on }, false, "sudo sysctl -w user.max_user_namespaces=15000;");
        check(Switches { networks_max: Some(3), ..on }, true, "sudo sysctl -w user.max_net_namespaces=15000; or use");
        check(on, true, "in a container");
        check(Switches { clone: Some(0), ..Switches::default() }, true, "in a container");
    }
}
