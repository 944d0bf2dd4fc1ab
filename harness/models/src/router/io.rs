//! The data path's one loop: reads frames, asks the engine, sends what is due.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Context;
use butter::core::time::Time;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use smallvec::SmallVec;

use super::control::Commands;
use super::engine::RouterEngine;
use super::frame::Side;
use super::metrics::RouterMetrics;
use super::offload::Offload;
use super::socket::{PacketSocket, RECEIVE_LEN, ReceivedFrame};
use super::stats::DropCause;

/// Most frames that are read from one side before the other has its turn.
const FRAMES_PER_TURN: usize = 32;
/// How often what others count is looked at.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// The sockets of a router.
#[derive(Debug)]
pub struct Sockets {
    /// The socket on the LAN.
    pub inside: PacketSocket,
    /// On the network that it is behind.
    pub outside: Option<PacketSocket>,
}

/// Routes for ever.
///
/// # Errors
/// When an interface has gone.
pub fn run(
    engine: &mut RouterEngine,
    sockets: &Sockets,
    commands: &Commands,
    metrics: &RouterMetrics,
) -> anyhow::Result<()> {
    // Timers are otherwise up to 50 µs late, a good part of a LAN's round trip.
    nix::sys::prctl::set_timerslack(1).context("cannot set the timer slack")?;
    let start = Instant::now();
    let clock = || Time::ZERO + start.elapsed();
    let mut buffer = Box::new([0; RECEIVE_LEN]);
    let mut look = Time::ZERO;
    loop {
        let now = clock();
        if now >= look {
            count_overruns(engine, sockets)?;
            look = now + LOOK_AROUND;
        }
        let mappings = engine.mappings(now);
        metrics.publish(engine.stats(), mappings);
        wait(sockets, commands, engine.next_due().min(look).since(now)).context("cannot wait for frames")?;
        commands.carry_out(engine, clock());
        for side in [Side::Inside, Side::Outside] {
            let Some(socket) = sockets.of(side) else { continue };
            read(engine, sockets, side, socket, &mut buffer, &clock)
                .with_context(|| format!("the {side:?} interface"))?;
        }
        let mut unsent = 0;
        engine.advance(clock(), &mut |side, offload, frame| unsent += sockets.send(side, offload, frame));
        engine.count_drops(DropCause::NotSent, unsent);
    }
}

impl Sockets {
    fn of(&self, side: Side) -> Option<&PacketSocket> {
        match side {
            Side::Inside => Some(&self.inside),
            Side::Outside => self.outside.as_ref(),
        }
    }

    /// Sends a frame; returns how many could not be.
    fn send(&self, side: Side, offload: Offload, frame: &[u8]) -> u64 {
        let Some(socket) = self.of(side) else { return 1 };
        match socket.send(offload, frame) {
            Ok(()) => 0,
            Err(error) => {
                tracing::trace!(?side, length = frame.len(), %error, "not sent");
                1
            }
        }
    }
}

fn wait(sockets: &Sockets, commands: &Commands, most: Duration) -> nix::Result<()> {
    let poll = |socket| PollFd::new(AsFd::as_fd(socket), PollFlags::POLLIN);
    let mut all: SmallVec<[PollFd<'_>; 3]> =
        std::iter::once(&sockets.inside).chain(&sockets.outside).map(poll).collect();
    all.push(PollFd::new(commands.as_fd(), PollFlags::POLLIN));
    match ppoll(&mut all, Some(TimeSpec::from(most)), None) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(error) => Err(error),
    }
}

fn read(
    engine: &mut RouterEngine,
    sockets: &Sockets,
    side: Side,
    socket: &PacketSocket,
    buffer: &mut [u8; RECEIVE_LEN],
    clock: &impl Fn() -> Time,
) -> io::Result<()> {
    let mut unsent = 0;
    for _ in 0..FRAMES_PER_TURN {
        match socket.receive(buffer) {
            Ok(ReceivedFrame::Frame(offload, frame)) => {
                let mut out = |side, offload, frame: &[u8]| unsent += sockets.send(side, offload, frame);
                engine.receive(clock(), side, offload, frame, &mut out);
            }
            Ok(ReceivedFrame::Unknown) => engine.count_drops(DropCause::Offload, 1),
            Ok(ReceivedFrame::Nothing) => break,
            // It may come up again, as when a container is disconnected and connected.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => break,
            Err(error) => return Err(error),
        }
    }
    engine.count_drops(DropCause::NotSent, unsent);
    Ok(())
}

fn count_overruns(engine: &mut RouterEngine, sockets: &Sockets) -> anyhow::Result<()> {
    for socket in std::iter::once(&sockets.inside).chain(&sockets.outside) {
        engine.count_drops(DropCause::Overrun, socket.overruns().context("cannot read the sockets' statistics")?);
    }
    Ok(())
}
