//! What holds for every configuration and every sequence of packets, against a model that remembers everything.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Out { host: u8, port: u16, to: SocketAddrV4 },
    In { from: SocketAddrV4, port: usize },
    Wait { seconds: u64 },
}

fn remotes() -> impl Strategy<Value = SocketAddrV4> {
    (1u8..4, 1u16..4).prop_map(|(host, port)| remote(host, port))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u8..5, 4_000u16..4_003, remotes()).prop_map(|(host, port, to)| Step::Out { host, port, to }),
        4 => (remotes(), 0usize..12).prop_map(|(from, port)| Step::In { from, port }),
        1 => (1u64..150).prop_map(|seconds| Step::Wait { seconds }),
    ];
    prop::collection::vec(step, 1..120)
}

fn configs() -> impl Strategy<Value = NatConfig> {
    let ports = prop_oneof![Just(Ports::Preserve), Just(Ports::Sequential), Just(Ports::Random)];
    (0usize..3, 0usize..3, ports).prop_map(|(mapping, filtering, ports)| NatConfig {
        mapping: ALL[mapping],
        filtering: ALL[filtering],
        ports,
        ..NatConfig::full_cone()
    })
}

/// The RFC, literally: every send is kept, and every question is answered by looking through all of them.
#[derive(Default)]
struct Model {
    sends: Vec<(Time, SocketAddrV4, SocketAddrV4, u16)>,
}

impl Model {
    fn depends(on: Dependence, a: SocketAddrV4, b: SocketAddrV4) -> bool {
        match on {
            Dependence::EndpointIndependent => true,
            Dependence::AddressDependent => a.ip() == b.ip(),
            Dependence::AddressAndPortDependent => a == b,
        }
    }

    /// Sends of the mapping at `port` that are still alive: those after the last gap of a time-out.
    fn living(&self, now: Time, port: u16) -> &[(Time, SocketAddrV4, SocketAddrV4, u16)] {
        let life = NatConfig::full_cone().udp_timeout;
        let mine = |send: &&(Time, SocketAddrV4, SocketAddrV4, u16)| send.3 == port;
        match self.sends.iter().rfind(mine) {
            Some(last) if last.0 + life > now => &self.sends,
            _ => &[],
        }
    }

    fn reaches(&self, now: Time, from: SocketAddrV4, port: u16, config: &NatConfig) -> Result<SocketAddrV4, NatDrop> {
        let mine: Vec<_> = self.living(now, port).iter().filter(|send| send.3 == port).collect();
        let inside = mine.last().ok_or(NatDrop::NoMapping)?.1;
        let permits = |send: &&&(Time, SocketAddrV4, SocketAddrV4, u16)| {
            send.1 == inside && send.0 + config.udp_timeout > now && Self::depends(config.filtering, send.2, from)
        };
        let open = config.filtering == Dependence::EndpointIndependent || mine.iter().any(|send| permits(&send));
        if open { Ok(inside) } else { Err(NatDrop::Filtered) }
    }

    fn mapped(&self, now: Time, inside: SocketAddrV4, to: SocketAddrV4, config: &NatConfig) -> Option<u16> {
        let same = |send: &&(Time, SocketAddrV4, SocketAddrV4, u16)| {
            send.1 == inside && Self::depends(config.mapping, send.2, to) && send.0 + config.udp_timeout > now
        };
        self.sends.iter().rfind(same).map(|send| send.3)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn behaves_as_the_model(config in configs(), steps in steps(), seed: u64) {
        let mut nat = Nat::new(config.clone(), &[OUTSIDE], seed);
        let mut model = Model::default();
        let mut now = Time::ZERO;
        let mut owners: BTreeMap<u16, (SocketAddrV4, Time)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Wait { seconds } => now = now + Duration::from_secs(seconds),
                Step::Out { host, port, to } => {
                    let from = inside(host, port);
                    let mapped = udp(&mut nat, now, from, to).port();
                    if let Some(before) = model.mapped(now, from, to, &config) {
                        prop_assert_eq!(mapped, before);
                    }
                    prop_assert!(mapped >= PORT_MIN);
                    if let Some(&(owner, until)) = owners.get(&mapped) {
                        prop_assert!(owner == from || until <= now, "two inside endpoints at one port");
                    }
                    owners.insert(mapped, (from, now + config.udp_timeout));
                    model.sends.push((now, from, to, mapped));
                }
                Step::In { from, port } => {
                    // A port that was used before, or one that never was.
                    let port = owners.keys().nth(port).copied().unwrap_or(1);
                    let got = udp_in(&mut nat, now, from, end(OUTSIDE.octets(), port));
                    prop_assert_eq!(got, model.reaches(now, from, port, &config));
                }
            }
        }
    }

    #[test]
    fn nobody_is_reached_before_sending(config in configs(), from in remotes(), port: u16, seed: u64) {
        let mut nat = Nat::new(config, &[OUTSIDE], seed);
        for protocol in [Protocol::Udp, Protocol::Tcp, Protocol::Echo] {
            let got = answer(&mut nat, at(0), protocol, from, end(OUTSIDE.octets(), port), SYN);
            prop_assert_eq!(got, Err(NatDrop::NoMapping));
        }
    }

    /// Whatever TCP says, the table stays consistent and bounded by what is alive.
    #[test]
    fn tcp_never_breaks_the_table(
        config in configs(),
        steps in prop::collection::vec((any::<bool>(), 0u8..8, 1u8..3, remotes(), 0u64..400), 1..200),
    ) {
        let mut nat = Nat::new(config, &[OUTSIDE], 1);
        let mut now = Time::ZERO;
        let mut ports = vec![4_000];
        for (out, flags, host, other, seconds) in steps {
            now = now + Duration::from_secs(seconds);
            let tcp = TcpFlags { syn: flags & 1 != 0, fin: flags & 2 != 0, rst: flags & 4 != 0 };
            if out {
                ports.push(send(&mut nat, now, Protocol::Tcp, inside(host, 4_000), other, tcp).port());
            } else {
                let to = end(OUTSIDE.octets(), ports[flags as usize % ports.len()]);
                let _ = answer(&mut nat, now, Protocol::Tcp, other, to, tcp);
            }
        }
        nat.expire(now + Duration::from_secs(10_000_000));
        prop_assert_eq!(nat.mappings(), 0);
    }
}
