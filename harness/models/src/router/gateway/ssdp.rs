//! How UPnP's clients find the router: SSDP (UPnP Device Architecture 1.0 §1.2). It is searched for; it does not advertise.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::UdpSocket;

use super::Gateway;
use super::upnp::{DEVICE_ID, HTTP_PORT, ROOT_PATH};

/// Where clients search.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// Where clients search.
const PORT: u16 = 1_900;
/// Longest search that is read, in bytes.
const SEARCH_MAX: usize = 1_500;

/// What may be searched for: the device, and the parts of it.
const TARGETS: [&str; 5] = [
    "upnp:rootdevice",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:WANDevice:1",
    "urn:schemas-upnp-org:device:WANConnectionDevice:1",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
];

pub(super) fn serve(gateway: &Arc<Gateway>) -> anyhow::Result<()> {
    let socket = gateway.udp(Ipv4Addr::UNSPECIFIED, PORT)?;
    socket.join_multicast_v4(GROUP, gateway.inside.address).context("cannot hear those who search for a router")?;
    tokio::spawn(answer_all(Arc::clone(gateway), socket));
    Ok(())
}

async fn answer_all(gateway: Arc<Gateway>, socket: UdpSocket) {
    let mut buffer = [0; SEARCH_MAX];
    loop {
        let (length, from) = gateway.hear(&socket, &mut buffer).await;
        for target in searched(&buffer[..length]) {
            let answer = answer(target, gateway.inside.address);
            if let Err(error) = socket.send_to(answer.as_bytes(), from).await {
                tracing::debug!(%error, "cannot answer a search");
            }
        }
    }
}

/// What a datagram searches for: nothing if it is no search, or for others.
pub fn searched(datagram: &[u8]) -> Vec<&'static str> {
    let Ok(text) = std::str::from_utf8(datagram) else { return Vec::new() };
    let mut lines = text.split("\r\n");
    if lines.next() != Some("M-SEARCH * HTTP/1.1") {
        return Vec::new();
    }
    let header = |wanted: &str| {
        let mut headers = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    if header("MAN") != Some("\"ssdp:discover\"") {
        return Vec::new();
    }
    match header("ST") {
        Some("ssdp:all") => TARGETS.to_vec(),
        Some(wanted) => TARGETS.into_iter().filter(|target| *target == wanted).collect(),
        None => Vec::new(),
    }
}

fn answer(target: &str, gateway: Ipv4Addr) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: http://{gateway}:{HTTP_PORT}{ROOT_PATH}\r\n\
         SERVER: Linux UPnP/1.0 butter-router/1\r\nST: {target}\r\nUSN: uuid:{DEVICE_ID}::{target}\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(man: &str, target: &str) -> Vec<&'static str> {
        let text =
            format!("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMan: {man}\r\nMX: 2\r\nst:{target}\r\n\r\n");
        searched(text.as_bytes())
    }

    #[test]
    fn a_router_is_found_by_what_it_is() {
        assert_eq!(search("\"ssdp:discover\"", TARGETS[1]), [TARGETS[1]]);
        assert_eq!(search("\"ssdp:discover\"", "ssdp:all"), TARGETS);
        assert!(search("\"ssdp:discover\"", "urn:schemas-upnp-org:device:MediaServer:1").is_empty());
        assert!(search("\"ssdp:alive\"", "ssdp:all").is_empty());
        assert!(searched(b"NOTIFY * HTTP/1.1\r\nST: ssdp:all\r\n\r\n").is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_find_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(searched(&bytes).is_empty());
        }
    }
}
