//! The `butter` program as a user meets it: processes, exit states, what they print. On loopback or in a network namespace of
//! its own; every wait is for a condition, with a deadline.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use butter::api::{ErrorBody, PeersBody, PutBody, SnapshotBody, StatusBody, StoragePlace};
use serde::de::DeserializeOwned;

#[path = "program/keywords.rs"]
mod keywords;

const BUTTER: &str = env!("CARGO_BIN_EXE_butter");
const DEADLINE: Duration = Duration::from_secs(40);
/// Pause between looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running node, killed when dropped.
struct Node {
    process: Child,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn butter(arguments: &[&str]) -> Command {
    let mut command = Command::new(BUTTER);
    command.args(arguments).env_clear().env("BUTTER_LOG", "warn").stdin(Stdio::null());
    command
}

fn output(mut command: Command) -> Output {
    command.output().expect("the program starts")
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

impl Node {
    /// On loopback, with those who have the same multicast port.
    fn start(port: u16, more: &[&str]) -> Self {
        let group = format!("224.0.0.1:{port}");
        let place = ["--listen", "127.0.0.1:0", "--lan", "lo", "--group", &group];
        Self::start_as(butter(&["run"]), &[&place, more].concat())
    }

    fn start_as(mut command: Command, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api");
        let process = command.arg(format!("--api=unix:{}", socket.display())).args(more).spawn().unwrap();
        let node = Node { process, socket, _folder: folder };
        until("the node answers", || node.http("GET", "/v1/status", b""));
        node
    }

    fn ask(&self, arguments: &[&str]) -> Command {
        let mut command = butter(arguments);
        command.env("BUTTER_API", format!("unix:{}", self.socket.display()));
        command
    }

    fn says(&self, arguments: &[&str]) -> String {
        let output = output(self.ask(arguments));
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn put(&self, value: &[u8]) -> String {
        let mut process = self.ask(&["put", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(value).unwrap();
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Status code and body; `None` without an answer.
    fn http(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
        let status = std::str::from_utf8(&answer[..end]).ok()?.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_off(end + 4)))
    }

    fn json<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.http("GET", path, b"").expect("an answer");
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    }

    fn knows(&self, count: u64) {
        until(&format!("{count} known hosts"), || {
            (self.json::<StatusBody>("/v1/status").known_hosts >= count).then_some(())
        });
    }

    fn send_signal(&self, name: &str) {
        let killed = Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    fn signal(&mut self, name: &str) -> std::process::ExitStatus {
        self.send_signal(name);
        until_ended(self)
    }
}

fn until_ended(node: &mut Node) -> std::process::ExitStatus {
    until("the node has ended", || node.process.try_wait().unwrap())
}

#[test]
fn a_value_goes_in_at_one_node_and_comes_out_at_another() {
    let (a, b) = (Node::start(19_801, &["--set", "replicas=2"]), Node::start(19_801, &["--set", "replicas=2"]));
    a.knows(1);
    b.knows(1);
    let value: Vec<u8> = (0..50_000u32).flat_map(u32::to_le_bytes).collect();
    let id = a.put(&value);
    let found = output(b.ask(&["get", &id]));
    assert!(found.status.success());
    assert!(found.stdout == value, "every byte of a binary value");
    assert!(String::from_utf8(found.stderr).unwrap().contains("hops"));

    let view: SnapshotBody = b.json("/v1/snapshot");
    assert_eq!(view.id.to_string(), b.says(&["id"]).trim());
    assert_eq!(view.known_hosts.len(), 1);
    assert_eq!(view.neighbours, 1);
    assert!(view.blocks.contains(&id.parse().unwrap()), "two copies of each block: everybody has one");
    let peers: PeersBody = b.json("/v1/peers");
    assert_eq!(peers.peers[0].id, view.known_hosts[0]);
    assert!(peers.peers[0].link.is_some());
    assert!(b.says(&["peers"]).starts_with(a.says(&["id"]).trim()));
    assert!(b.says(&["status"]).contains("1 of 1 known hosts"));

    let (status, metrics) = a.http("GET", "/metrics", b"").unwrap();
    let metrics = String::from_utf8(metrics).unwrap();
    assert_eq!(status, 200);
    for line in ["butter_known_hosts 1", "butter_puts_total{result=\"acknowledged\"} 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
}

#[test]
fn refusals_have_a_reason_and_a_status() {
    let node = Node::start(19_802, &["--set", "deadline=100ms", "--set", "storage=4KiB"]);
    let nothing = "00".repeat(32);
    let incomplete = output(node.ask(&["get", &nothing]));
    assert_eq!(incomplete.status.code(), Some(4));
    let text = String::from_utf8(incomplete.stderr).unwrap();
    assert!(text.starts_with("butter: incomplete: no peer could be asked"), "{text}");
    assert!(text.contains("remedy: "), "{text}");
    for (method, path, body, status, why) in [
        ("GET", format!("/v1/blobs/{nothing}"), vec![], 504, "no neighbour"),
        ("GET", "/v1/blobs/xyz".to_owned(), vec![], 400, "64 hexadecimal digits"),
        ("POST", "/v1/blobs".to_owned(), vec![7; 10], 504, "too few copies"),
        ("POST", "/v1/blobs".to_owned(), vec![7; 100_000], 507, "storage of this node is full"),
        ("GET", "/elsewhere".to_owned(), vec![], 404, "nothing at this path"),
    ] {
        let (got, body) = node.http(method, &path, &body).unwrap();
        let error: ErrorBody = serde_json::from_slice(&body).unwrap();
        assert_eq!(got, status, "{path}: {error:?}");
        assert!(error.error.contains(why), "{path}: {error:?}");
        assert_eq!(error.search.is_some(), method == "GET" && status == 504, "{error:?}");
        assert_eq!(error.shortage.is_some(), method == "POST" && status == 504, "{error:?}");
        if let Some(shortage) = error.shortage {
            assert_eq!((shortage.copies, shortage.wanted, shortage.lacking, shortage.unanswered), (1, 3, 1, 0));
            assert!(error.error.contains(&shortage.id.to_string()), "{error:?}");
            assert!(error.remedy.unwrap().contains("start more nodes"));
        }
    }
}

#[test]
fn stopped_holder_is_not_a_value_that_never_was() {
    let settings = ["--set", "replicas=1", "--set", "deadline=2s"];
    let nodes = [0; 3].map(|_| Node::start(19_808, &settings));
    nodes.iter().for_each(|node| node.knows(2));
    let id = nodes[0].put(b"kept by one alone");
    let nothing = "00".repeat(32);
    let get = |id: &str| {
        let (status, body) = nodes[1].http("GET", &format!("/v1/blobs/{id}"), b"").unwrap();
        (status, serde_json::from_slice::<ErrorBody>(&body).unwrap())
    };
    let (status, absent) = get(&nothing);
    assert_eq!((status, absent.search), (404, None), "{absent:?}");
    let not_found = output(nodes[1].ask(&["get", &nothing]));
    assert_eq!(not_found.status.code(), Some(1));
    assert_eq!(String::from_utf8(not_found.stderr).unwrap(), "butter: not found\n");

    nodes[0].send_signal("-STOP");
    let (status, unsure) = get(&id);
    nodes[0].send_signal("-CONT");
    let search = unsure.search.unwrap_or_else(|| panic!("{unsure:?}"));
    assert_eq!((status, search.asked, search.answered), (504, 2, 1), "{unsure:?}");
    assert_eq!(search.timed_out + search.unreachable, 1, "{unsure:?}");
    assert!(unsure.remedy.unwrap().contains("ask again"));
}

#[test]
fn node_that_leaves_alone_says_that_its_blocks_are_lost() {
    let mut command = butter(&["run"]);
    command.stderr(Stdio::piped());
    let place = ["--listen", "127.0.0.1:0", "--lan", "lo", "--group", "224.0.0.1:19809", "--set", "replicas=1"];
    let mut node = Node::start_as(command, &place);
    node.put(b"one block");
    assert!(node.signal("-TERM").success());
    let mut log = String::new();
    node.process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("WARN") && log.contains("blocks=1") && log.contains("lost with this node"), "{log}");
}

#[test]
fn what_cannot_be_done_is_said_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let no_node = format!("--api=unix:{}/none", folder.path().display());
    let run = |more: &[&'static str]| [&["run", "--no-discover", "--listen", "127.0.0.1:0"], more].concat();
    let nothing_there: &[&str] = &["get", "00", &no_node];
    for (arguments, status, remedy) in [
        (run(&["--api", "0.0.0.0:0"]), 3, "--api-token"),
        (run(&["--api", "127.0.0.1:0", "--set", "heartbeat=2"]), 2, "with its unit"),
        (run(&["--api", "127.0.0.1:0", "--set", "beat=2s"]), 2, "heartbeat"),
        (run(&["--api", "127.0.0.1:0", "--join", "nowhere:port"]), 2, "HOST:PORT"),
        (vec!["id", &no_node], 3, "start one with `butter run`"),
        (nothing_there.to_vec(), 2, "64 hexadecimal digits"),
        (vec!["put", "/no/such/file", &no_node], 2, "/no/such/file"),
        (vec!["run", "--lan", "wlan9", "--api", "127.0.0.1:0", "--listen", "127.0.0.1:0"], 3, "--no-discover"),
    ] {
        let output = output(butter(&arguments));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(remedy), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_token_opens_the_api_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}/api", folder.path().display());
    let (token, wrong) = ("correct horse battery staple", "incorrect horse battery staple");
    let group = ["--lan", "lo", "--group", "224.0.0.1:19803", "--listen", "127.0.0.1:0", "--api", &socket];
    let process = butter(&["run"]).args(group).env("BUTTER_API_TOKEN", token).spawn().unwrap();
    let node = Node { process, socket: folder.path().join("api"), _folder: folder };
    assert_eq!(until("the node answers", || node.http("GET", "/v1/status", b"")).0, 401);
    let with = |token: &str| {
        output({
            let mut command = node.ask(&["id"]);
            command.env("BUTTER_API_TOKEN", token);
            command
        })
    };
    assert!(with(token).status.success());
    let refused = with(wrong);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--api-token"));
}

#[test]
fn a_node_leaves_gracefully_on_a_signal_and_on_request() {
    let (mut a, mut b, c) = (Node::start(19_804, &[]), Node::start(19_804, &[]), Node::start(19_804, &[]));
    for node in [&a, &b, &c] {
        node.knows(2);
    }
    // As its terminal does when it is closed.
    assert_eq!(a.signal("-HUP").code(), Some(0));
    assert!(!a.socket.exists(), "the socket is cleared away");
    b.says(&["leave"]);
    assert_eq!(until("it has left", || b.process.try_wait().unwrap()).code(), Some(0));
    until("both are forgotten", || c.json::<SnapshotBody>("/v1/snapshot").known_hosts.is_empty().then_some(()));
}

#[test]
fn node_started_paused_opens_no_peer_socket_before_start() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let paused = ["--start-paused", "--no-discover", "--listen", &port];
    let mut node = Node::start_as(butter(&["run"]), &paused);
    let refused = output(node.ask(&["status"]));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("`butter start`"), "{said}");
    let taken = std::net::UdpSocket::bind(&port).expect("a paused node leaves the port alone");
    drop(taken);
    node.says(&["start"]);
    until("the node runs", || output(node.ask(&["status"])).status.success().then_some(()));
    std::net::UdpSocket::bind(&port).expect_err("a node that runs has the port");
    // To one that runs it is no news.
    node.says(&["start"]);
    assert!(node.signal("-TERM").success());
    // SIGTERM ends a paused node as well.
    assert!(Node::start_as(butter(&["run"]), &paused).signal("-TERM").success());
}

#[test]
fn a_killed_node_comes_back_as_itself() {
    let store = tempfile::tempdir().unwrap();
    let keep = ["--store", store.path().to_str().unwrap()];
    let mut first = Node::start(19_805, &keep);
    let id = first.says(&["id"]);
    first.signal("-KILL");
    assert!(first.socket.exists(), "killed, it could not clear it away");
    let api = format!("--api=unix:{}", first.socket.display());
    first.process = butter(&["run", "--no-discover", "--listen", "127.0.0.1:0", &api]).args(keep).spawn().unwrap();
    until("the node answers", || first.http("GET", "/v1/status", b""));
    assert_eq!(first.says(&["id"]), id);
    // A second one on the same socket is turned away, and does not push the first aside.
    let second = output(butter(&["run", "--no-discover", "--listen", "127.0.0.1:0", &api]));
    assert_eq!(second.status.code(), Some(3));
    assert_eq!(first.says(&["id"]), id);
}

/// Ends a node at random instants while it stores values. It alone holds them: what it has acknowledged must be there again.
#[test]
fn nothing_acknowledged_is_lost_by_kills_at_random_instants() {
    const ROUNDS: u64 = 30;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let mut acknowledged: Vec<(String, Vec<u8>)> = Vec::new();
    let mut pause = 0x9E37_79B9_u64;
    for round in 0..ROUNDS {
        let mut node = Node::start(19_816, &["--set", "replicas=1", "--no-discover", "--store", store]);
        for (id, value) in &acknowledged {
            let found = node.http("GET", &format!("/v1/blobs/{id}"), b"").expect("an answer");
            assert!(found == (200, value.clone()), "round {round}: {id} was acknowledged: {}", found.0);
        }
        pause = pause.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let until = Instant::now() + Duration::from_micros(pause % 150_000);
        let kept = std::thread::scope(|scope| {
            let puts = scope.spawn(|| {
                let mut kept = Vec::new();
                for number in 0_u64.. {
                    let length = [10, 3_000, 9_000][(number % 3) as usize];
                    let value: Vec<u8> = (0..length).map(|at| (round * 7 + number * 13 + at) as u8).collect();
                    let Some((201, body)) = node.http("POST", "/v1/blobs", &value) else { break };
                    let id = serde_json::from_slice::<PutBody>(&body).unwrap().id;
                    kept.push((id.to_string(), value));
                }
                kept
            });
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            node.send_signal("-KILL");
            puts.join().unwrap()
        });
        acknowledged.extend(kept);
        until_ended(&mut node);
    }
    assert!(acknowledged.len() as u64 > ROUNDS, "{} values in {ROUNDS} rounds", acknowledged.len());
}

#[test]
fn a_full_disk_is_named_and_the_node_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // A limit on the length of files, in blocks of 512 or 1,024 bytes, stands for a full disk.
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 8192; exec \"$0\" \"$@\"", BUTTER, "run", "--no-discover"]);
    limited.env_clear().env("BUTTER_LOG", "off").stdin(Stdio::null());
    let store = folder.path().to_str().unwrap();
    let node = Node::start_as(limited, &["--listen", "127.0.0.1:0", "--set", "replicas=1", "--store", store]);
    let value = |number: u32| number.to_le_bytes().repeat(16_384);
    let mut stored = Vec::new();
    let refusal = loop {
        let (status, body) = node.http("POST", "/v1/blobs", &value(stored.len() as u32)).expect("an answer");
        if status != 201 {
            break (status, serde_json::from_slice::<ErrorBody>(&body).unwrap().error);
        }
        stored.push(serde_json::from_slice::<PutBody>(&body).unwrap().id);
        assert!(stored.len() < 1_000, "the disk is never full");
    };
    assert_eq!(refusal.0, 507, "{refusal:?}");
    assert!(refusal.1.contains("no space is left on the disk"), "{refusal:?}");
    let status: StatusBody = node.json("/v1/status");
    let storage = status.storage.unwrap();
    assert_eq!(storage.place, StoragePlace::Disk);
    assert!(storage.fault.unwrap().contains("no space is left"));
    assert!(node.says(&["status"]).contains("takes no blocks: no space is left on the disk"));
    for (number, id) in stored.iter().enumerate() {
        let found = node.http("GET", &format!("/v1/blobs/{id}"), b"").expect("an answer");
        assert!(found == (200, value(number as u32)), "{number} of {}: {}", stored.len(), found.0);
    }
}

#[test]
fn a_store_that_another_node_uses_is_refused_and_said_so() {
    let store = tempfile::tempdir().unwrap();
    let keep = ["--store", store.path().to_str().unwrap()];
    let first = Node::start(19_806, &keep);
    let id = first.says(&["id"]);
    let mut second = butter(&["run", "--no-discover", "--listen", "127.0.0.1:0"]);
    second.args(keep);
    let refused = output(second);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("another node uses the store"), "{said}");
    assert_eq!(first.says(&["id"]), id);
}

/// A shell command in a network of its own, where there is nothing but loopback: unshare is util-linux's. All its processes end
/// with it. `None` where that cannot be made.
fn in_own_network(command: &str) -> Option<Command> {
    let namespace = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--net", "--map-root-user", "--pid", "--fork", "--kill-child", "sh", "-c", command])
            .env("BUTTER_LOG", "warn");
        unshare
    };
    if !namespace("ip link set lo up").output().is_ok_and(|output| output.status.success()) {
        // What `eprintln!` prints is captured, and `.ci/run` counts these lines.
        let reason = "namespaces cannot be made here (unshare --net --map-root-user --pid; ip link set lo up)";
        writeln!(std::io::stderr(), "skipped: {reason}").expect("standard error is open");
        return None;
    }
    Some(namespace(&format!("ip link set lo up; {command}")))
}

#[test]
fn two_nodes_on_copies_of_one_store_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = |store: &str, more: &str| {
        format!(
            "{BUTTER} run --lan lo --listen 127.0.0.1:0 --api unix:{store}.sock --store {store} 2>{store}.log {more}"
        )
    };
    let script = format!(
        "(timeout 1 {BUTTER} run --lan lo --listen 127.0.0.1:0 --api unix:a.sock --store a || true); cp -a a b; {} {}",
        run("a", "&"),
        run("b", "")
    );
    let Some(mut command) = in_own_network(&script) else { return };
    let mut nodes = command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("both say so", || {
        let says = |log: &str| {
            let log = std::fs::read_to_string(folder.path().join(log)).unwrap_or_default();
            log.contains("another node has this identity")
        };
        (says("a.log") && says("b.log")).then_some(())
    });
    nodes.kill().unwrap();
    nodes.wait().unwrap();
}

#[test]
fn two_nodes_find_each_other_without_being_told_anything() {
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("second");
    let script = format!("{BUTTER} run --listen 0.0.0.0:4002 --api unix:{} & {BUTTER} run \"$@\"", second.display());
    let Some(mut command) = in_own_network(&script) else { return };
    command.arg("sh");
    let first = Node::start_as(command, &[]);
    first.knows(1);
    let id = first.says(&["id"]);
    let peers = output({
        let mut command = butter(&["peers"]);
        command.env("BUTTER_API", format!("unix:{}", second.display()));
        command
    });
    assert!(String::from_utf8(peers.stdout).unwrap().starts_with(id.trim()));
    first.says(&["leave"]);
}
