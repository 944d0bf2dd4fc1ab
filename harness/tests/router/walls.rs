//! Nothing passes but through the NAT: not to private addresses of other LANs, not past the router by the kernel.

use std::fs;

use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::router::{RouterConfig, SideConfig};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::lab::{self, Lab};
use crate::netns::{Namespace, Router, available, eventually, metric};

/// A second LAN on the internet of a lab.
struct Beta {
    host: Namespace,
    config: RouterConfig,
    _namespace: Namespace,
    _router: Router,
}

fn second_lan(lab: &Lab) -> Beta {
    let side = |subnet: &str, address: &str| SideConfig {
        subnet: subnet.parse().unwrap(),
        address: address.parse().unwrap(),
        gateway: None,
    };
    let config = RouterConfig {
        inside: side("10.2.0.0/24", "10.2.0.1"),
        outside: Some(side("203.0.113.0/24", "203.0.113.3")),
        management: Some(side("10.9.0.0/24", "10.9.0.3")),
        ..lab.config.clone()
    };
    let (host, namespace) = (Namespace::new(), Namespace::new());
    lab.switches.add("beta");
    let attach = |who, switch: &str, net: &str| lab.switches.attach(who, switch, &[net.parse().unwrap()]);
    attach(&host, "beta", "10.2.0.2/24");
    host.route("0.0.0.0/0".parse().unwrap(), config.inside.address);
    attach(&namespace, "beta", "10.2.0.254/24");
    attach(&namespace, "internet", "203.0.113.3/24");
    attach(&namespace, "management", "10.9.0.3/24");
    let router = Router::start(&namespace, &config, &lab.operator);
    Beta { host, config, _namespace: namespace, _router: router }
}

#[test]
fn a_lan_does_not_reach_a_private_address_of_another() {
    if !available("a_lan_does_not_reach_a_private_address_of_another") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::full_cone());
    let beta = second_lan(&lab);
    let (alpha_socket, beta_socket) = (lab.near.udp("10.1.0.2:4001"), beta.host.udp("10.2.0.2:4001"));

    alpha_socket.send_to(b"private", "10.2.0.2:4001").unwrap();
    eventually("alpha's router has no route", || (lab.dropped("no_route") == 1).then_some(()));
    let error = alpha_socket.take_error().unwrap();
    assert!(error.is_none(), "an unconnected socket gets no error: {error:?}");

    // A host on the internet that sends to beta's router on purpose does not get past it either.
    lab.far.route("10.2.0.0/24".parse().unwrap(), "203.0.113.3".parse().unwrap());
    let far = lab.far.udp("203.0.113.11:1000");
    far.send_to(b"private", "10.2.0.2:4001").unwrap();
    let not_for_us = "butter_router_dropped_total{cause=\"not_for_us\"}";
    eventually("beta's router refuses it", || (metric(&lab.operator, &beta.config, not_for_us) == 1).then_some(()));

    // The other way is open: through both NATs, by their outside addresses.
    beta_socket.send_to(b"open", "203.0.113.2:4001").unwrap();
    alpha_socket.send_to(b"hello", "203.0.113.3:4001").unwrap();
    let mut buffer = [0; 16];
    let (length, from) = beta_socket.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from.to_string().as_str()), (&b"hello"[..], "203.0.113.2:4001"));
    beta_socket.set_nonblocking(true).unwrap();
    assert!(beta_socket.recv(&mut buffer).is_err(), "nothing else has come");
}

/// A network without a NAT: both sides route plainly, and the internet's own router, which has no outside, knows the way.
#[test]
fn a_network_without_a_nat_is_routed_plainly() {
    if !available("a_network_without_a_nat_is_routed_plainly") {
        return;
    }
    let lab = Lab::start(lab::config(None, LinkConfig::default(), LinkConfig::default()));
    let internet = RouterConfig {
        inside: SideConfig { address: "203.0.113.1".parse().unwrap(), ..lab.config.outside.unwrap() },
        outside: None,
        management: Some(SideConfig { address: "10.9.0.4".parse().unwrap(), ..lab.config.management.unwrap() }),
        routes: vec![(lab.config.inside.subnet, lab.config.outside.unwrap().address)],
        ..lab.config.clone()
    };
    let namespace = Namespace::new();
    lab.switches.attach(&namespace, "internet", &["203.0.113.254/24".parse().unwrap()]);
    lab.switches.attach(&namespace, "management", &["10.9.0.4/24".parse().unwrap()]);
    let _router = Router::start(&namespace, &internet, &lab.operator);
    lab.far.route("0.0.0.0/0".parse().unwrap(), internet.inside.address);

    let (near, far) = (lab.near.udp("10.1.0.2:4001"), lab.far.udp("203.0.113.11:1000"));
    far.send_to(b"hello", "10.1.0.2:4001").unwrap();
    let mut buffer = [0; 16];
    let (_, from) = near.recv_from(&mut buffer).unwrap();
    assert_eq!(from.to_string(), "203.0.113.11:1000");
    near.send_to(b"hello", from).unwrap();
    let (_, from) = far.recv_from(&mut buffer).unwrap();
    assert_eq!(from.to_string(), "10.1.0.2:4001");
    let within = "butter_router_forwarded_packets_total{direction=\"within\"}";
    eventually("the internet's router has sent it to the sibling", || {
        (metric(&lab.operator, &internet, within) == 1).then_some(())
    });
}

/// Docker turns forwarding on for every container, and makes /proc/sys read-only there.
#[test]
fn the_kernel_does_not_forward_even_where_its_switch_is_read_only() {
    if !available("the_kernel_does_not_forward_even_where_its_switch_is_read_only") {
        return;
    }
    let mut lab = Lab::wired(lab::config(Some(NatConfig::full_cone()), LinkConfig::default(), LinkConfig::default()));
    let mut command = Router::command(&lab.config);
    let child = lab.router_namespace.enter(|| {
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
        let on = |flags| mount(Some("/proc/sys"), "/proc/sys", None::<&str>, flags, None::<&str>);
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        on(MsFlags::MS_BIND).unwrap();
        on(MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY).unwrap();
        assert!(fs::write("/proc/sys/net/ipv4/ip_forward", "0").is_err(), "it is read-only");
        command.spawn().unwrap()
    });
    lab.router = Some(Router::of(child));
    eventually("the router answers", || lab.operator.connect(lab.control(), crate::netns::DEADLINE).ok());
    let forwarding = lab.router_namespace.enter(|| {
        let all = fs::read_dir("/proc/sys/net/ipv4/conf").unwrap().map(|entry| entry.unwrap().path());
        let interfaces = all.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with('e'));
        interfaces.map(|path| fs::read_to_string(path.join("forwarding")).unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(forwarding, ["0\n", "0\n", "0\n"]);

    // A packet that the kernel would forward as it is: from a host that has a route into the LAN.
    lab.far.route("10.1.0.0/24".parse().unwrap(), "203.0.113.2".parse().unwrap());
    let (near, far) = (lab.near.udp("10.1.0.2:4001"), lab.far.udp("203.0.113.11:1000"));
    far.send_to(b"private", "10.1.0.2:4001").unwrap();
    eventually("the router refuses it", || (lab.dropped("not_for_us") == 1).then_some(()));
    near.send_to(b"out", "203.0.113.11:1000").unwrap();
    let (_, outside) = far.recv_from(&mut [0; 16]).unwrap();
    far.send_to(b"in", outside).unwrap();
    let mut buffer = [0; 16];
    let length = near.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"in", "the first to arrive");
}
