//! Requests to the kernel, many at a time: a system call for each batch instead of two for each request.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::RawFd;

use anyhow::{Context, bail};
use ipnet::Ipv4Net;
use rtnetlink::packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkMessage};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use rtnetlink::packet_route::route::RouteType;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};
use rtnetlink::{AddressMessageBuilder, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

/// Requests in a batch: the answers to all of them have room in a socket's buffer.
const BATCH_MAX: usize = 64;

/// A request, and what it is for.
#[derive(Debug)]
pub(crate) struct Request {
    message: RouteNetlinkMessage,
    flags: u16,
    what: &'static str,
}

/// The kernel's network configuration in one namespace.
pub(crate) struct Netlink {
    socket: Socket,
}

impl Netlink {
    /// In the namespace of this thread.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // An error's answer does not carry the request back.
            socket.set_cap_ack(true)?;
            Ok(socket)
        };
        Ok(Netlink { socket: open().context("opening a netlink socket")? })
    }

    /// Makes all requests in their order, until one fails.
    pub(crate) fn perform(&self, requests: Vec<Request>) -> anyhow::Result<()> {
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            self.batch(requests.by_ref().take(BATCH_MAX))?;
        }
        Ok(())
    }

    fn batch(&self, requests: impl Iterator<Item = Request>) -> anyhow::Result<()> {
        let (mut bytes, mut purposes) = (Vec::new(), Vec::new());
        for request in requests {
            let mut header = NetlinkHeader::default();
            header.flags = NLM_F_REQUEST | NLM_F_ACK | request.flags;
            header.sequence_number = purposes.len() as u32;
            let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request.message));
            message.finalize();
            let at = bytes.len();
            bytes.resize(at + message.buffer_len().next_multiple_of(4), 0);
            message.serialize(&mut bytes[at..]);
            purposes.push(request.what);
        }
        self.socket.send(&bytes, 0).context("asking the kernel by netlink")?;
        let mut answered = 0;
        while answered < purposes.len() {
            // The kernel has answered all requests before it returns from the call that brought them.
            let (answers, _) = self.socket.recv_from_full().context("reading the kernel's answers")?;
            answered += take_answers(&answers, &purposes)?;
        }
        Ok(())
    }
}

/// Counts answers; an error if one tells of one.
fn take_answers(mut bytes: &[u8], purposes: &[&'static str]) -> anyhow::Result<usize> {
    let mut count = 0;
    while !bytes.is_empty() {
        let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).context("an answer of the kernel")?;
        if let NetlinkPayload::Error(error) = &answer.payload {
            count += 1;
            if error.code.is_some() {
                let what = purposes.get(answer.header.sequence_number as usize).copied().unwrap_or("a request");
                return Err(error.to_io()).context(what);
            }
        }
        let length = (answer.header.length as usize).next_multiple_of(4);
        if length == 0 {
            bail!("an answer of the kernel without a length");
        }
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(count)
}

/// Makes a switch.
pub(crate) fn bridge(name: &str, index: u32) -> Request {
    // All that is sent to a group reaches everybody: whether somebody asked for it is not looked at.
    let mut message = LinkBridge::new(name).mcast_snooping(false).up().build();
    message.header.index = index;
    Request {
        message: RouteNetlinkMessage::NewLink(message),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        what: "making a bridge",
    }
}

/// One end of a cable, in another namespace than the one that is asked.
pub(crate) struct VethPeer<'a> {
    pub(crate) namespace: RawFd,
    pub(crate) name: &'a str,
    pub(crate) mac: [u8; 6],
}

/// Name of the near ends of cables: the kernel puts a number in, so that none is anybody else's.
const PORT: &str = "butter%d";

/// Makes a cable from `far` to a new port of the bridge `bridge`.
pub(crate) fn veth(bridge: u32, far: &VethPeer<'_>) -> Request {
    let peer = LinkUnspec::new_with_name(far.name).address(far.mac.to_vec()).setns_by_fd(far.namespace);
    let peer: LinkMessage = peer.build();
    let veth = LinkVeth::new(PORT, far.name).set_info_data(InfoData::Veth(InfoVeth::Peer(peer)));
    let message = veth.controller(bridge).up().build();
    Request { message: RouteNetlinkMessage::NewLink(message), flags: NLM_F_CREATE | NLM_F_EXCL, what: "making a veth" }
}

/// Switches an interface on.
pub(crate) fn up(index: u32) -> Request {
    let message = LinkUnspec::new_with_index(index).up().build();
    Request { message: RouteNetlinkMessage::SetLink(message), flags: 0, what: "switching an interface on" }
}

/// Takes an interface away, and the other end of its cable with it.
pub(crate) fn removed(index: u32) -> Request {
    let message = LinkUnspec::new_with_index(index).build();
    Request { message: RouteNetlinkMessage::DelLink(message), flags: 0, what: "taking an interface away" }
}

/// Gives an interface an address.
pub(crate) fn address(index: u32, address: Ipv4Net) -> Request {
    let message =
        AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address.addr(), address.prefix_len()).build();
    Request {
        message: RouteNetlinkMessage::NewAddress(message),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        what: "giving an interface its address",
    }
}

/// Sends what has no other way to `gateway`.
pub(crate) fn default_route(gateway: Ipv4Addr) -> Request {
    let message = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
    Request {
        message: RouteNetlinkMessage::NewRoute(message),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        what: "adding the default route",
    }
}

/// Lets an interface look at what arrives: see [`arrival_program`].
pub(crate) fn arrival_hook(index: u32) -> Request {
    let message = hook(index);
    Request {
        message: RouteNetlinkMessage::NewQueueDiscipline(message),
        flags: NLM_F_CREATE,
        what: "hooking into what an interface receives (the kernel needs CONFIG_NET_SCH_INGRESS)",
    }
}

/// Takes the hook away, and its program.
pub(crate) fn no_arrival_hook(index: u32) -> Request {
    let message = RouteNetlinkMessage::DelQueueDiscipline(hook(index));
    Request { message, flags: 0, what: "removing the hook into what an interface receives" }
}

fn hook(index: u32) -> TcMessage {
    let mut message = TcMessage::with_index(index as i32);
    message.header.handle = TcHandle { major: u16::MAX, minor: 0 };
    message.header.parent = TcHandle::CLSACT;
    message.attributes.push(TcAttribute::Kind("clsact".to_owned()));
    message
}

/// The number of the one program behind a hook, and its place in the order of programs.
const PROGRAM: u32 = 1;
/// All protocols (linux/if_ether.h).
const ETH_P_ALL: u16 = 3;
/// Attributes of a program of classic BPF (linux/pkt_cls.h).
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
const TCA_BPF_FLAGS: u16 = 8;
/// What the program returns is what becomes of the frame.
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;

/// Has a program of classic BPF, so many instructions in the kernel's layout, decide on each frame that arrives; in place of the
/// one before.
pub(crate) fn arrival_program(index: u32, instructions: u16, program: Vec<u8>) -> Request {
    let mut message = TcMessage::with_index(index as i32);
    message.header.handle = TcHandle::from(PROGRAM);
    message.header.parent = TcHandle { major: u16::MAX, minor: TcHandle::MIN_INGRESS };
    message.header.info = PROGRAM << 16 | u32::from(ETH_P_ALL.to_be());
    let option = |kind, value| TcOption::Other(DefaultNla::new(kind, value));
    let options = vec![
        option(TCA_BPF_OPS_LEN, instructions.to_ne_bytes().to_vec()),
        option(TCA_BPF_OPS, program),
        option(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes().to_vec()),
    ];
    message.attributes.extend([TcAttribute::Kind("bpf".to_owned()), TcAttribute::Options(options)]);
    Request {
        message: RouteNetlinkMessage::NewTrafficFilter(message),
        flags: NLM_F_CREATE | NLM_F_REPLACE,
        what: "filtering what an interface receives (the kernel needs CONFIG_NET_CLS_BPF)",
    }
}

/// Tells for good who has an address.
pub(crate) fn neighbour(index: u32, host: Ipv4Addr, mac: [u8; 6]) -> Request {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.header.kind = RouteType::Unspec;
    message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::from(IpAddr::V4(host))));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
    Request {
        message: RouteNetlinkMessage::NewNeighbour(message),
        flags: NLM_F_CREATE | NLM_F_REPLACE,
        what: "telling a neighbour",
    }
}
