//! Commands to a router that runs: asked anywhere, carried out by the data path between two turns.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, anyhow};
use butter::core::time::Time;
use nix::sys::eventfd::{EfdFlags, EventFd};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::engine::RouterEngine;
use crate::net::link::LinkConfig;
use crate::net::network_policy::NetworkPolicy;

/// `POST`, of a [`RebindCommand`]: the NAT forgets every mapping.
pub const REBIND_PATH: &str = "/v1/rebind";
/// `POST`, of a [`SetLinkCommand`]: the uplink changes.
pub const LINK_PATH: &str = "/v1/link";

/// `POST`, of a [`SetFirewallCommand`]: other things pass.
pub const FIREWALL_PATH: &str = "/v1/firewall";

/// `POST`, of nothing: the router is as it was when it began, its counters too.
pub const RESET_PATH: &str = "/v1/reset";

/// Most commands that wait for the data path.
pub const COMMANDS_MAX: usize = 64;
/// How long the data path may take to carry one out.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// Has the NAT forget every mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RebindCommand {
    /// Its addresses outside from then on: as many as before or not, one at least.
    pub addresses: Vec<Ipv4Addr>,
}

/// Changes the models of the uplink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLinkCommand {
    /// Link model for packets that leave the LAN.
    pub up: LinkConfig,
    /// Link model for packets that enter the LAN.
    pub down: LinkConfig,
}

/// A request to let other things through from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetFirewallCommand {
    /// What passes from then on.
    pub policy: NetworkPolicy,
}

type Command = Box<dyn FnOnce(&mut RouterEngine, Time) + Send>;

/// The end that submits commands.
#[derive(Clone, Debug)]
pub struct Control {
    commands: SyncSender<Command>,
    bell: Arc<EventFd>,
}

/// The data path's end.
#[derive(Debug)]
pub struct Commands {
    commands: Receiver<Command>,
    bell: Arc<EventFd>,
}

/// Both ends.
///
/// # Errors
/// If the process has too many descriptors.
pub fn channel() -> anyhow::Result<(Control, Commands)> {
    let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
    let bell = Arc::new(EventFd::from_flags(flags).context("cannot make a bell for commands")?);
    let (sender, receiver) = sync_channel(COMMANDS_MAX);
    Ok((Control { commands: sender, bell: Arc::clone(&bell) }, Commands { commands: receiver, bell }))
}

impl Control {
    /// Has the data path do something, and waits for its answer.
    ///
    /// # Errors
    /// When it has too much to do, or has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut RouterEngine, Time) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (answer, answered) = oneshot::channel();
        let command: Command = Box::new(move |engine, now| {
            // Whoever asked may have given up.
            let _ = answer.send(act(engine, now));
        });
        self.commands.try_send(command).map_err(|error| anyhow!("the router takes no command: {error}"))?;
        self.bell.write(1).context("cannot tell the router of a command")?;
        let answered = timeout(COMMAND_TIMEOUT, answered).await.context("the router does not answer")?;
        answered.context("the router has ended")
    }
}

impl Commands {
    /// Carries out everything that waits.
    pub fn carry_out(&self, engine: &mut RouterEngine, now: Time) {
        // Empty when it was not rung: a command may come before its ring.
        let _ = self.bell.read();
        for command in self.commands.try_iter().take(COMMANDS_MAX) {
            command(engine, now);
        }
    }
}

impl AsFd for Commands {
    /// Readable when a command waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
