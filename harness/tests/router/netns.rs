//! Networks of namespaces for tests: hosts, switches between them, and router processes. Needs root (or CAP_SYS_ADMIN and
//! CAP_NET_ADMIN); everything disappears with the values that hold it.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use butter_harness::net::autoconf::mac;
use butter_harness::router::{CONFIG_VARIABLE, RouterConfig};
use futures_util::TryStreamExt;
use ipnet::{Ipv4Net, Ipv6Net};
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

use crate::skipped::skipped;

/// How long anything may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// Set to make a machine without namespaces fail these tests instead of skipping them.
const REQUIRED: &str = "BUTTER_REQUIRE_NETNS";

/// Whether the test may run; says so loudly where it may not.
///
/// # Panics
/// If it may not, and [`REQUIRED`] is set to 1.
pub(crate) fn available(test: &str) -> bool {
    let Err(error) = thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET)).join().expect("unshare does not panic") else {
        return true;
    };
    assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "network namespaces cannot be made here: {error}");
    skipped(format_args!("{test}: namespaces cannot be made here ({error}); {REQUIRED}=1 makes this a failure"));
    false
}

/// A network namespace, as long as it is held or anything runs in it.
#[derive(Debug)]
pub(crate) struct Namespace {
    file: File,
}

impl Namespace {
    /// A new one, its loopback interface up.
    pub(crate) fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("namespaces are available");
            // Whether an IPv6 address is free is known here, and need not be looked for.
            for key in ["dad_transmits", "router_solicitation_delay"] {
                let path = format!("/proc/sys/net/ipv6/conf/default/{key}");
                std::fs::write(path, "0").expect("the kernel has IPv6");
            }
            File::open("/proc/thread-self/ns/net").expect("/proc is mounted")
        };
        let namespace = Namespace { file: thread::spawn(make).join().expect("it was made") };
        namespace.netlink(async |handle| up(&handle, "lo").await);
        namespace
    }

    /// Does something in it. Sockets that are made there stay there.
    pub(crate) fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(&self.file, CloneFlags::CLONE_NEWNET).expect("a held namespace can be entered");
            act()
        };
        thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn netlink<T: Send, F: Future<Output = T>>(&self, act: impl FnOnce(Handle) -> F + Send) -> T {
        self.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (connection, handle, _) = rtnetlink::new_connection().unwrap();
                tokio::spawn(connection);
                act(handle).await
            })
        })
    }

    /// Adds a route.
    pub(crate) fn route(&self, to: Ipv4Net, via: Ipv4Addr) {
        self.netlink(async |handle| {
            let route =
                RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to.addr(), to.prefix_len()).gateway(via);
            handle.route().add(route.build()).execute().await.expect("the route can be added");
        });
    }

    /// Gives its only interface beside the loopback an IPv6 address, and a route.
    pub(crate) fn take_ipv6(&self, address: Ipv6Addr, prefix_len: u8, route: Option<(Ipv6Net, Ipv6Addr)>) {
        self.netlink(async |handle| {
            let links: Vec<_> = handle.link().get().execute().try_collect().await.expect("links can be listed");
            let index = links.iter().map(|link| link.header.index).max().expect("there is an interface");
            let add = handle.address().add(index, address.into(), prefix_len);
            add.execute().await.expect("an address can be added");
            if let Some((to, via)) = route {
                let route =
                    RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to.addr(), to.prefix_len()).gateway(via);
                handle.route().add(route.build()).execute().await.expect("the route can be added");
            }
        });
    }

    /// A UDP socket whose reads have a deadline.
    pub(crate) fn udp(&self, address: &str) -> UdpSocket {
        let socket = self.enter(|| UdpSocket::bind(address)).expect("the address is free");
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    /// A TCP listener.
    pub(crate) fn listen(&self, address: &str) -> TcpListener {
        self.enter(|| TcpListener::bind(address)).expect("the address is free")
    }

    /// Connects within the deadline.
    pub(crate) fn connect(&self, to: SocketAddrV4, within: Duration) -> io::Result<TcpStream> {
        let stream = self.enter(|| TcpStream::connect_timeout(&to.into(), within))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(stream)
    }
}

async fn index(handle: &Handle, name: &str) -> u32 {
    let link = handle.link().get().match_name(name.to_owned()).execute().try_next().await;
    link.expect("the interface is there").expect("the interface is there").header.index
}

async fn up(handle: &Handle, name: &str) {
    let index = index(handle, name).await;
    handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.expect("it can be set up");
}

/// Switches that hosts can be attached to.
#[derive(Debug)]
pub(crate) struct Switches {
    namespace: Namespace,
    count: AtomicU32,
}

impl Switches {
    /// None yet.
    pub(crate) fn new() -> Self {
        Switches { namespace: Namespace::new(), count: AtomicU32::new(0) }
    }

    /// Adds a switch.
    pub(crate) fn add(&self, name: &str) {
        self.namespace.netlink(async |handle| {
            handle.link().add(LinkBridge::new(name).build()).execute().await.expect("a bridge can be made");
            up(&handle, name).await;
        });
    }

    /// Attaches a host with these addresses.
    pub(crate) fn attach(&self, host: &Namespace, switch: &str, addresses: &[Ipv4Net]) {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let (port, interface) = (format!("p{number}"), format!("e{number}"));
        self.namespace.netlink(async |handle| {
            handle.link().add(LinkVeth::new(&port, &interface).build()).execute().await.expect("a veth can be made");
            let there = LinkUnspec::new_with_index(index(&handle, &interface).await).setns_by_fd(host.file.as_raw_fd());
            handle.link().set(there.build()).execute().await.expect("it can be moved");
            let bridge = index(&handle, switch).await;
            let here = LinkUnspec::new_with_index(index(&handle, &port).await).controller(bridge).up();
            handle.link().set(here.build()).execute().await.expect("it can be attached");
        });
        host.netlink(async |handle| {
            let index = index(&handle, &interface).await;
            let mac = mac(addresses[0].addr()).to_vec();
            handle.link().set(LinkUnspec::new_with_index(index).address(mac).build()).execute().await.expect("a MAC");
            for address in addresses {
                let add = handle.address().add(index, address.addr().into(), address.prefix_len());
                add.execute().await.expect("an address can be added");
            }
            up(&handle, &interface).await;
        });
    }
}

/// A router process in a namespace. Ends with the value.
#[derive(Debug)]
pub(crate) struct Router {
    child: Child,
}

impl Router {
    /// Starts it, and waits until its control proxy answers `operator`.
    pub(crate) fn start(namespace: &Namespace, config: &RouterConfig, operator: &Namespace) -> Self {
        let mut router = Router::spawn(namespace, config);
        let control = control_address(config);
        eventually("the router answers", || {
            if let Some(status) = router.child.try_wait().unwrap() {
                panic!("the router has ended: {status}");
            }
            operator.connect(control, DEADLINE).ok()
        });
        router
    }

    /// Starts it.
    pub(crate) fn spawn(namespace: &Namespace, config: &RouterConfig) -> Self {
        let mut command = Self::command(config);
        Router { child: namespace.enter(|| command.spawn()).expect("the program can be started") }
    }

    /// The program with its configuration.
    pub(crate) fn command(config: &RouterConfig) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        let config = serde_json::to_string(config).expect("it is plain data");
        command.arg("router").env(CONFIG_VARIABLE, config).stdin(Stdio::null());
        command
    }

    /// The process.
    pub(crate) fn of(child: Child) -> Self {
        Router { child }
    }

    /// Sends SIGTERM, and waits for the end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).expect("it runs");
        self.ended()
    }

    /// Waits for the end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        eventually("the router ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a router's proxy listens.
pub(crate) fn control_address(config: &RouterConfig) -> SocketAddrV4 {
    SocketAddrV4::new(config.management.expect("it has one").address, config.control_port)
}

/// Asks until there is an answer.
///
/// # Panics
/// If there is none before the deadline.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// One HTTP exchange: the whole answer.
pub(crate) fn http(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

/// The value of one series of a router.
pub(crate) fn metric(operator: &Namespace, config: &RouterConfig, series: &str) -> u64 {
    let mut stream = operator.connect(control_address(config), DEADLINE).expect("the proxy listens");
    let text = http(&mut stream, "GET /metrics HTTP/1.1\r\nHost: router\r\nConnection: close\r\n\r\n");
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().expect("a number")
}
