//! What others' programs make of the router: STUN clients classify its NATs, clients of NAT-PMP and UPnP get mappings, and
//! Linux's own masquerade answers the same probes alike.
//!
//! | program | Debian package |
//! | --- | --- |
//! | `turnserver` | coturn |
//! | `stun` | stun-client |
//! | `natpmpc` | natpmpc |
//! | `upnpc` | miniupnpc |
//! | `nft` | nftables |
//! | `pystun3` | none: `pip install pystun3` |

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use butter_harness::net::nat::{MappingProtocol, NatConfig, Ports};

use crate::gateway::offering;
use crate::lab::{FAR, Lab, NEAR};
use crate::netns::{Namespace, available, eventually};
use crate::skipped::skipped;

/// Set to make a machine without one of the programs fail these tests instead of skipping them.
const REQUIRED: &str = "BUTTER_REQUIRE_TOOLS";
/// How long a program may take: STUN clients wait for answers that never come.
const PROGRAM_DEADLINE: Duration = Duration::from_secs(45);

/// Whether the test may run: namespaces can be made, and every program is there.
fn ready(test: &str, programs: &[&str]) -> bool {
    if !available(test) {
        return false;
    }
    let path = path();
    let is_there = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let Some(missing) = programs.iter().find(|program| !is_there(program)) else { return true };
    assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "{missing} is not installed");
    skipped(format_args!("{test}: {missing} is not installed; {REQUIRED}=1 makes this a failure"));
    false
}

/// Where programs are looked for: also where only root does.
fn path() -> std::ffi::OsString {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&own).chain(["/usr/sbin".into(), "/sbin".into()]);
    std::env::join_paths(folders).expect("they come from a path")
}

/// A program in a namespace, ended with the value.
struct Program(Child);

impl Program {
    fn start(namespace: &Namespace, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env("PATH", path());
        Program(namespace.enter(|| command.spawn()).unwrap_or_else(|error| panic!("{program}: {error}")))
    }

    /// What it says until it ends.
    fn output(mut self) -> String {
        let mut out = self.0.stdout.take().expect("it is piped");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).map(|_| text)
        });
        let deadline = Instant::now() + PROGRAM_DEADLINE;
        while self.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it goes on for more than {PROGRAM_DEADLINE:?}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        reader.join().expect("it does not panic").expect("it is text")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(namespace: &Namespace, program: &str, arguments: &[&str]) -> String {
    Program::start(namespace, program, arguments).output()
}

/// A STUN server on both addresses of the internet's host (RFC 3489 §10.1 needs two).
fn stun_server(lab: &Lab) -> Program {
    let database = format!("--userdb={}/turndb", env!("CARGO_TARGET_TMPDIR"));
    let arguments = ["-L", FAR[0], "-L", FAR[1], "-S", "-n", "--no-tls", "--no-dtls", "--no-cli", "-l", "/dev/null"];
    let server =
        Program::start(&lab.far, "turnserver", &[&arguments[..], &["--pidfile", "/dev/null", &database]].concat());
    let probe = lab.near.udp(&format!("{NEAR}:0"));
    probe.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    eventually("the STUN server answers", || {
        let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
        probe.send_to(&request, (FAR[0], 3_478)).unwrap();
        probe.recv(&mut [0; 500]).ok()
    });
    server
}

fn sequential() -> NatConfig {
    NatConfig { ports: Ports::Sequential, ..NatConfig::symmetric() }
}

/// Every kind, and what the two clients call it.
fn kinds() -> [(&'static str, NatConfig, &'static str, &'static str); 6] {
    [
        ("full-cone", NatConfig::full_cone(), "Independent Mapping, Independent Filter", "Full Cone"),
        (
            "address-restricted",
            NatConfig::address_restricted(),
            "Independent Mapping, Address Dependent Filter",
            "Restric NAT",
        ),
        (
            "port-restricted",
            NatConfig::port_restricted(),
            "Independent Mapping, Port Dependent Filter",
            "Restric Port NAT",
        ),
        ("symmetric", NatConfig::symmetric(), "Dependent Mapping", "Symmetric NAT"),
        ("symmetric, sequential", sequential(), "Dependent Mapping", "Symmetric NAT"),
        ("cgnat", NatConfig::cgnat(), "Independent Mapping, Independent Filter", "Full Cone"),
    ]
}

#[test]
fn debians_stun_client_classifies_every_nat_as_declared() {
    if !ready("debians_stun_client_classifies_every_nat_as_declared", &["turnserver", "stun"]) {
        return;
    }
    std::thread::scope(|scope| {
        for (name, nat, expected, _) in kinds() {
            scope.spawn(move || {
                let (preserves, hairpins) = (nat.ports == Ports::Preserve, nat.hairpin);
                let lab = Lab::with_nat(nat);
                let _server = stun_server(&lab);
                let said = run(&lab.near, "stun", &[FAR[0]]);
                let line = said.lines().find(|line| line.starts_with("Primary: ")).unwrap_or(&said).to_owned();
                assert!(line.starts_with(&format!("Primary: {expected}")), "{name}: {said}");
                assert_eq!(line.contains("preserves ports"), preserves, "{name}: {said}");
                assert_eq!(line.contains("will hairpin"), hairpins, "{name}: {said}");
            });
        }
    });
}

#[test]
fn pystun3_classifies_every_nat_as_declared() {
    if !ready("pystun3_classifies_every_nat_as_declared", &["turnserver", "pystun3"]) {
        return;
    }
    std::thread::scope(|scope| {
        for (name, nat, _, expected) in kinds() {
            scope.spawn(move || {
                let lab = Lab::with_nat(nat);
                let _server = stun_server(&lab);
                let said = run(&lab.near, "pystun3", &["-H", FAR[0], "-P", "3478", "-i", NEAR, "-p", "54320"]);
                assert!(said.contains(&format!("NAT Type: {expected}\n")), "{name}: {said}");
            });
        }
    });
}

#[test]
fn natpmpc_gets_and_gives_up_mappings() {
    if !ready("natpmpc_gets_and_gives_up_mappings", &["natpmpc"]) {
        return;
    }
    let lab = offering(&[MappingProtocol::NatPmp]);
    let said = run(&lab.near, "natpmpc", &["-g", "10.1.0.1"]);
    assert!(said.contains("Public IP address : 203.0.113.2"), "{said}");
    let said = run(&lab.near, "natpmpc", &["-g", "10.1.0.1", "-a", "5000", "4001", "udp", "3600"]);
    assert!(said.contains("Mapped public port 5000 protocol UDP to local port 4001 liftime 3600"), "{said}");
    let said = run(&lab.near, "natpmpc", &["-g", "10.1.0.1", "-a", "0", "4001", "udp", "0"]);
    assert!(said.contains("Mapped public port 0 protocol UDP to local port 4001 liftime 0"), "{said}");
}

#[test]
fn upnpc_finds_the_router_and_gets_lists_and_deletes_mappings() {
    if !ready("upnpc_finds_the_router_and_gets_lists_and_deletes_mappings", &["upnpc"]) {
        return;
    }
    let lab = offering(&[MappingProtocol::Upnp]);
    // It takes documentation addresses such as 203.0.113.2 for unusable ones: -i lets it go on.
    let upnpc = |arguments: &[&str]| run(&lab.near, "upnpc", &[&["-i", "-m", NEAR], arguments].concat());
    let said = upnpc(&["-a", NEAR, "4001", "5000", "udp", "3600"]);
    assert!(said.contains("external 203.0.113.2:5000 UDP is redirected to internal 10.1.0.2:4001"), "{said}");
    let listed = upnpc(&["-l"]);
    assert!(listed.contains("ExternalIPAddress = 203.0.113.2"), "{listed}");
    assert!(listed.lines().any(|line| line.contains("UDP") && line.contains("5000->10.1.0.2:4001")), "{listed}");
    let said = upnpc(&["-d", "5000", "udp"]);
    assert!(said.contains("UPNP_DeletePortMapping() returned : 0"), "{said}");
    assert!(!upnpc(&["-l"]).contains("5000->"));
}

/// What a probe sees of a NAT: where each of four sends comes from (compared with the first), and which of four answers to
/// another socket's mapping get in; then the same again after a pause.
fn observe(near: &Namespace, far: &Namespace) -> Vec<String> {
    let ends = FAR.iter().flat_map(|address| [1_000, 1_001].map(|port| format!("{address}:{port}")));
    let far: Vec<(String, std::net::UdpSocket)> = ends.map(|end| (end.clone(), far.udp(&end))).collect();
    let mut seen = Vec::new();
    let reach = |from: &std::net::UdpSocket, index: usize| {
        from.send_to(b"probe", &far[index].0).unwrap();
        far[index].1.recv_from(&mut [0; 16]).expect("it arrives").1
    };
    let socket = near.udp("0.0.0.0:4001");
    let first = reach(&socket, 0);
    seen.push(format!("seen as {first}"));
    seen.extend((1..4).map(|index| format!("{index}: the same {}", reach(&socket, index) == first)));
    let other = near.udp("0.0.0.0:4002");
    let outside = reach(&other, 0);
    for index in [1, 2, 3, 0] {
        far[index].1.send_to(&[index as u8], outside).unwrap();
        other.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut buffer = [0; 16];
        seen.push(format!("{index}: answered {:?}", other.recv_from(&mut buffer).ok().map(|(_, from)| from)));
    }
    // A closed port: the error finds its way back.
    let refused = near.udp("0.0.0.0:4003");
    refused.connect((FAR[0], 9)).unwrap();
    refused.send(b"to no host").unwrap();
    seen.push(format!("a closed port: {:?}", refused.recv(&mut [0; 16]).map_err(|error| error.kind())));
    seen
}

/// The kernel as the router of the same lab.
#[test]
fn port_restricted_behaves_as_linuxs_masquerade() {
    if !ready("port_restricted_behaves_as_linuxs_masquerade", &["nft"]) {
        return;
    }
    let router = Lab::with_nat(NatConfig::port_restricted());
    let ours = observe(&router.near, &router.far);
    let mut config = router.config.clone();
    // The one that the namespace has without a router process.
    config.inside.address = "10.1.0.254".parse().unwrap();
    let kernel = Lab::wired(config);
    kernel.router_namespace.enter(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).unwrap();
    let rules = "add table ip nat ; add chain ip nat post { type nat hook postrouting priority 100 ; } ; \
                 add rule ip nat post ip saddr 10.1.0.0/24 masquerade";
    let said = run(&kernel.router_namespace, "nft", &[rules]);
    assert_eq!((said.as_str(), ours), ("", observe(&kernel.near, &kernel.far)));
}
