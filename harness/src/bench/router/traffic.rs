//! What is sent through whatever is between two hosts: a stream, questions with answers, and a flood of small packets.

use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::socket::{MsgFlags, MultiHeaders, sendmmsg, setsockopt, sockopt};

use super::lab::{FAR, Lab};

/// How long anything may be silent before a measurement fails.
const DEADLINE: Duration = Duration::from_secs(10);
/// Bytes written or read at once.
const CHUNK: usize = 256 << 10;
/// Part of a stream's time that is not counted, while it gets going.
const WARM_UP: f64 = 0.25;
/// Bytes of a question, of an answer, and of each packet of a flood.
const SMALL: usize = 64;
/// Questions that are not counted.
const FIRST_QUESTIONS: usize = 200;
/// Packets of a flood are sent in bursts: so many a second.
const BURSTS_PER_SECOND: u32 = 1_000;
/// Room for a flood before its receiver, in bytes.
const RECEIVE_BUFFER: usize = 16 << 20;
const PORT: u16 = 1_000;

fn far(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(FAR, port)
}

/// Bits per second of a TCP stream from the near host to the far one.
pub(super) fn stream(lab: &Lab, time: Duration) -> anyhow::Result<f64> {
    let listener = lab.far.enter(|| TcpListener::bind(far(PORT)))?.context("listening")?;
    let sender = lab.near.enter(|| TcpStream::connect_timeout(&far(PORT).into(), DEADLINE))?.context("connecting")?;
    // BBR, which some machines prefer, takes losses for nothing. Where there is no Cubic, what there is.
    let _ = setsockopt(&sender, sockopt::TcpCongestion, &"cubic".into());
    let (receiver, _) = listener.accept().context("accepting")?;
    receiver.set_read_timeout(Some(DEADLINE))?;
    sender.set_write_timeout(Some(DEADLINE))?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| write_until(&sender, &done));
        let measured = measure_stream(&receiver, time);
        done.store(true, Ordering::Relaxed);
        // A writer that waits for room ends when the reader has gone.
        drop(receiver);
        sending.join().expect("it does not panic");
        measured
    })
}

fn write_until(mut stream: &TcpStream, done: &AtomicBool) {
    let chunk = vec![7; CHUNK];
    while !done.load(Ordering::Relaxed) && stream.write_all(&chunk).is_ok() {}
}

fn measure_stream(mut stream: &TcpStream, time: Duration) -> anyhow::Result<f64> {
    let mut chunk = vec![0; CHUNK];
    let mut read_for = |time: Duration| -> anyhow::Result<(u64, Duration)> {
        let (begun, mut bytes) = (Instant::now(), 0);
        while begun.elapsed() < time {
            bytes += stream.read(&mut chunk).context("the stream has stalled")? as u64;
        }
        Ok((bytes, begun.elapsed()))
    };
    read_for(time.mul_f64(WARM_UP))?;
    let (bytes, took) = read_for(time.mul_f64(1.0 - WARM_UP))?;
    Ok(bytes as f64 * 8.0 / took.as_secs_f64())
}

/// Round trips of so many questions, one after the other, in microseconds and in order of size.
pub(super) fn round_trips(lab: &Lab, count: usize) -> anyhow::Result<Vec<f64>> {
    let answerer = lab.far.enter(|| UdpSocket::bind(far(PORT)))?.context("binding")?;
    let asker = lab.near.enter(|| UdpSocket::bind("0.0.0.0:0"))?.context("binding")?;
    asker.connect(far(PORT)).context("connecting")?;
    for socket in [&answerer, &asker] {
        socket.set_read_timeout(Some(DEADLINE))?;
    }
    thread::scope(|scope| {
        let answering = scope.spawn(|| answer(&answerer));
        let mut trips = Vec::with_capacity(count);
        let mut buffer = [0; SMALL];
        for number in 0..count + FIRST_QUESTIONS {
            let begun = Instant::now();
            asker.send(&[1; SMALL]).context("asking")?;
            asker.recv(&mut buffer).context("waiting for an answer")?;
            if number >= FIRST_QUESTIONS {
                trips.push(begun.elapsed().as_secs_f64() * 1e6);
            }
        }
        asker.send(&[]).context("ending")?;
        answering.join().expect("it does not panic").context("answering")?;
        trips.sort_by(f64::total_cmp);
        Ok(trips)
    })
}

/// Sends every datagram back, until an empty one comes.
fn answer(socket: &UdpSocket) -> std::io::Result<()> {
    let mut buffer = [0; SMALL];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        socket.send_to(&buffer[..length], from)?;
    }
}

/// What became of a flood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flooded {
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Seconds that sending took.
    pub(super) took_s: f64,
}

/// Small packets from the near host to the far one, so many a second.
pub(super) fn flood(lab: &Lab, per_second: u32, time: Duration) -> anyhow::Result<Flooded> {
    let receiver = lab.far.enter(|| UdpSocket::bind(far(PORT)))?.context("binding")?;
    if setsockopt(&receiver, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        setsockopt(&receiver, sockopt::RcvBuf, &RECEIVE_BUFFER).context("asking for room")?;
    }
    receiver.set_read_timeout(Some(Duration::from_millis(200)))?;
    let sender = lab.near.enter(|| UdpSocket::bind("0.0.0.0:0"))?.context("binding")?;
    sender.connect(far(PORT)).context("connecting")?;
    // The first packet waits for addresses to be resolved, and is none of the flood.
    let mut buffer = [0; SMALL];
    sender.send(&[0; SMALL]).context("sending")?;
    receiver.recv(&mut buffer).context("nothing arrives")?;

    let (received, done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; SMALL];
            // A pause after the end of sending means that nothing is under way any more.
            while receiver.recv(&mut buffer).map(|_| received.fetch_add(1, Ordering::Relaxed)).is_ok()
                || !done.load(Ordering::Relaxed)
            {}
        });
        let begun = Instant::now();
        let sent = send_bursts(&sender, per_second.div_ceil(BURSTS_PER_SECOND) as usize, time);
        let took_s = begun.elapsed().as_secs_f64();
        done.store(true, Ordering::Relaxed);
        Ok((sent?, took_s))
    })
    .map(|(sent, took_s)| Flooded { sent, received: received.load(Ordering::Relaxed), took_s })
}

fn send_bursts(socket: &UdpSocket, burst: usize, time: Duration) -> anyhow::Result<u64> {
    let mut headers = MultiHeaders::<()>::preallocate(burst, None);
    let payload = [7; SMALL];
    let packet = [IoSlice::new(&payload)];
    let addresses = vec![None; burst];
    let pause = Duration::from_secs(1) / BURSTS_PER_SECOND;
    let (begun, mut sent, mut bursts) = (Instant::now(), 0, 0);
    while begun.elapsed() < time {
        let mut left = burst;
        while left > 0 {
            let packets = std::iter::repeat_n(&packet, left);
            let done = sendmmsg(socket.as_raw_fd(), &mut headers, packets, &addresses, [], MsgFlags::empty());
            let done = done.context("sending")?.count();
            left -= done;
            sent += done as u64;
        }
        bursts += 1;
        thread::sleep((pause * bursts).saturating_sub(begun.elapsed()));
    }
    Ok(sent)
}
