//! Delay, loss and rate between real sockets are what was asked for.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::statistics::quantile;

use crate::lab::{self, Lab};
use crate::netns::{DEADLINE, available, eventually};

fn perfect() -> LinkConfig {
    LinkConfig::default()
}

/// Answers every datagram until it gets an empty one.
fn echo(socket: &UdpSocket) {
    let mut buffer = [0; 2_048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).expect("the last one comes before the deadline");
        socket.send_to(&buffer[..length], from).unwrap();
        if length == 0 {
            return;
        }
    }
}

#[test]
fn ten_milliseconds_each_way_are_a_round_trip_of_twenty() {
    if !available("ten_milliseconds_each_way_are_a_round_trip_of_twenty") {
        return;
    }
    let link = LinkConfig { latency: Duration::from_millis(10), ..perfect() };
    let lab = Lab::start(lab::config(Some(NatConfig::full_cone()), link.clone(), link));
    let (near, far) = (lab.near.udp("0.0.0.0:0"), lab.far.udp("203.0.113.11:1000"));
    let mut round_trips = thread::scope(|scope| {
        scope.spawn(|| echo(&far));
        let trip = |payload: &[u8]| {
            let start = Instant::now();
            near.send_to(payload, "203.0.113.11:1000").unwrap();
            near.recv(&mut [0; 16]).expect("the answer comes");
            start.elapsed()
        };
        let trips: Vec<Duration> = (0..41).map(|_| trip(b"ping")).collect();
        trip(b"");
        trips
    });
    assert!(round_trips.iter().all(|trip| *trip >= Duration::from_millis(20)), "{round_trips:?}");
    round_trips.sort();
    // The median: a busy machine delays some.
    let median = quantile(&round_trips, 0.5).expect("there are round trips");
    assert!(median < Duration::from_millis(30), "{round_trips:?}");
}

#[test]
fn one_packet_in_ten_is_lost() {
    if !available("one_packet_in_ten_is_lost") {
        return;
    }
    const SENT: u64 = 3_000;
    let link = LinkConfig { loss: 0.1, ..perfect() };
    let lab = Lab::start(lab::config(Some(NatConfig::full_cone()), link, perfect()));
    let (near, far) = (lab.near.udp("0.0.0.0:0"), lab.far.udp("203.0.113.11:1000"));
    let counts = || {
        let up = lab.metric("butter_router_forwarded_packets_total{direction=\"up\"}");
        (up, lab.dropped("lost"))
    };
    let mut arrived = 0;
    for batch in 1..=SENT / 100 {
        for _ in 0..100 {
            near.send_to(b"x", "203.0.113.11:1000").unwrap();
        }
        // Read as they come, so that no socket's buffer overflows and what is missing was lost on the link.
        let up = eventually("the router has seen them all", || {
            let (up, lost) = counts();
            (up + lost == batch * 100).then_some(up)
        });
        while arrived < up {
            far.recv(&mut [0; 16]).expect("what was not lost arrives");
            arrived += 1;
        }
    }
    let (up, lost) = counts();
    assert_eq!((up + lost, arrived), (SENT, up));
    // Five deviations of a binomial distribution.
    let deviation = (SENT as f64 * 0.1 * 0.9).sqrt();
    assert!((lost as f64 - SENT as f64 * 0.1).abs() < 5.0 * deviation, "{lost} of {SENT} were lost");
}

/// Sends numbered datagrams outwards, fifty at a time, then a last one until it is there. What the far side has received.
fn numbered(lab: &Lab, count: u16) -> Vec<u16> {
    let (near, far) = (lab.near.udp("0.0.0.0:0"), lab.far.udp("203.0.113.11:1000"));
    let send = |number: u16| near.send_to(&[number.to_be_bytes(); 50].concat(), "203.0.113.11:1000").unwrap();
    let up = || lab.metric("butter_router_forwarded_packets_total{direction=\"up\"}");
    far.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut received = Vec::new();
    let mut buffer = [0; 2_048];
    for number in 0..count {
        send(number);
        if number % 50 == 49 {
            eventually("the router has seen them all", || (up() > u64::from(number)).then_some(()));
            while let Ok(length) = far.recv(&mut buffer) {
                assert_eq!(length, 100);
                received.push(u16::from_be_bytes([buffer[0], buffer[1]]));
            }
        }
    }
    received
}

#[test]
fn corrupted_packets_reach_no_socket() {
    if !available("corrupted_packets_reach_no_socket") {
        return;
    }
    let link = LinkConfig { corrupt: 0.3, ..perfect() };
    let lab = Lab::start(lab::config(Some(NatConfig::full_cone()), link, perfect()));
    let received = numbered(&lab, 500);
    let corrupted = lab.metric("butter_router_altered_total{change=\"corrupted\"}");
    assert!((100..200).contains(&corrupted), "{corrupted} of 500 were corrupted, not three in ten");
    assert_eq!(received.len() as u64, 500 - corrupted, "the receiving kernel tells by their checksums");
}

#[test]
fn copies_and_late_packets_reach_the_socket_so() {
    if !available("copies_and_late_packets_reach_the_socket_so") {
        return;
    }
    let link = LinkConfig { duplicate: 0.2, reorder: 0.1, ..perfect() };
    let lab = Lab::start(lab::config(Some(NatConfig::full_cone()), link, perfect()));
    let received = numbered(&lab, 500);
    let altered = |change: &str| lab.metric(&format!("butter_router_altered_total{{change=\"{change}\"}}")) as usize;
    let (twice, late) = (altered("duplicated"), altered("reordered"));
    assert!((50..150).contains(&twice) && (20..80).contains(&late), "{twice} copies, {late} late");
    assert_eq!(received.len(), 500 + twice);
    // As RFC 4737 §3.3 tells reordered packets: by a greater number that came before.
    let (mut seen, mut greatest, mut overtaken) = (BTreeSet::new(), 0, 0);
    for number in received {
        overtaken += usize::from(seen.insert(number) && number < greatest);
        greatest = greatest.max(number);
    }
    assert_eq!(seen.len(), 500);
    // Late ones at the end of fifty have no packet to overtake them.
    assert!(overtaken > late / 2 && overtaken <= late, "{overtaken} of {late}");
}

#[test]
fn a_rate_is_kept() {
    if !available("a_rate_is_kept") {
        return;
    }
    const BYTES: usize = 2_000_000;
    let link = LinkConfig { rate_bps: Some(20_000_000), ..perfect() };
    let lab = Lab::start(lab::config(Some(NatConfig::port_restricted()), link, perfect()));
    let listener = lab.far.listen("203.0.113.11:80");
    let mut near = lab.near.connect("203.0.113.11:80".parse().unwrap(), DEADLINE).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    far.set_read_timeout(Some(DEADLINE)).unwrap();
    let start = Instant::now();
    let mut received = vec![0; BYTES];
    thread::scope(|scope| {
        scope.spawn(|| near.write_all(&vec![7; BYTES]).unwrap());
        far.read_exact(&mut received).unwrap();
    });
    let took = start.elapsed().as_secs_f64();
    let ideal = BYTES as f64 * 8.0 / 20e6;
    assert!(took >= ideal, "faster than the link: {took} s, not {ideal} s");
    // Headers, a slow start, and a busy machine.
    assert!(took < ideal * 3.0, "{took} s, not {ideal} s");
}
