//! UPnP's Internet Gateway Device: found by SSDP, described in XML, asked by SOAP (UPnP Device Architecture 1.1,
//! WANIPConnection:1).

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri, header};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Forwarded, Grant, MapError, Wish};
use crate::http::client::{ClientLimits, ConnectError, Connector, HttpClient, HttpError};

mod xml;

use xml::Service;

/// Where devices listen for searches.
const SSDP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 1_900);
/// Searches, and the pause for an answer to each.
const SEARCHES: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1_500)];
/// What is searched for: version 2 answers to it as well.
const TARGET: &str = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";
/// Where a description is whose location names no port.
const HTTP_PORT: u16 = 80;
/// Longest answer to a search.
const DATAGRAM_MAX: usize = 2_048;
/// Longest document that is read from a gateway.
const DOCUMENT_MAX: usize = 128 << 10;
/// Longest that one question over HTTP may take.
const HTTP_WITHIN: Duration = Duration::from_secs(3);
/// The port belongs to another host (WANIPConnection:1 §2.4.16).
const CONFLICT: u16 = 718;
/// It maps for ever only.
const PERMANENT_ONLY: u16 = 725;
/// Outside ports that are tried after the first.
const OTHER_PORTS: u16 = 3;
/// From a taken port to the next one that is tried, by multiplication; it is odd, so ports differ.
const PORT_STRIDE: u16 = 30_011;
/// None of the ports below 16384 is tried: a bit that is set in all others.
const PORT_MIN: u16 = 0x4000;
/// Shown in the gateway's list.
const DESCRIPTION: &str = "butter";

pub(super) async fn map(wish: &Wish) -> Result<Forwarded, MapError> {
    map_by(&find(wish.gateway).await?, wish).await
}

async fn map_by(gateway: &Gateway, wish: &Wish) -> Result<Forwarded, MapError> {
    let ip = gateway.external_address().await?;
    let mut lifetime = wish.lifetime;
    let mut port = wish.outside_port;
    for _ in 0..=OTHER_PORTS {
        match gateway.add(wish, port, lifetime).await? {
            Ok(()) => {
                let lifetime = gateway.lease(port).await.unwrap_or(wish.lifetime);
                return Ok(Forwarded { external_address: SocketAddrV4::new(ip, port), lifetime });
            }
            Err(PERMANENT_ONLY) if !lifetime.is_zero() => lifetime = Duration::ZERO,
            // Not the next one: whoever has this one may have its neighbours too.
            Err(CONFLICT) => port = port.wrapping_mul(PORT_STRIDE) | PORT_MIN,
            Err(code) => return Err(MapError::Refused(format!("error {code}"))),
        }
    }
    Err(MapError::Refused("every port that was tried belongs to another host".to_owned()))
}

pub(super) async fn release(grant: &Grant) -> Result<(), MapError> {
    let port = grant.forwarded.external_address.port().to_string();
    let arguments = [("NewRemoteHost", ""), ("NewExternalPort", &port), ("NewProtocol", "UDP")];
    let gateway = find(grant.gateway).await?;
    match gateway.call("DeletePortMapping", &arguments).await? {
        Ok(_) => Ok(()),
        Err(code) => Err(MapError::Refused(format!("error {code}"))),
    }
}

/// A gateway that can be asked.
#[derive(Debug)]
struct Gateway {
    address: SocketAddrV4,
    service: Service,
}

/// Searches for the gateway's service. Only what `ip` itself says is taken.
async fn find(ip: Ipv4Addr) -> Result<Gateway, MapError> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let search =
        format!("M-SEARCH * HTTP/1.1\r\nHOST: {SSDP}\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: {TARGET}\r\n\r\n");
    let mut datagram = [0; DATAGRAM_MAX];
    for pause in SEARCHES {
        let until = Instant::now() + pause;
        // Straight to the gateway too: version 1.1 answers that, and switches often swallow multicast.
        socket.send_to(search.as_bytes(), SSDP).await?;
        socket.send_to(search.as_bytes(), (ip, SSDP.port())).await?;
        while let Ok(heard) = timeout_at(until, socket.recv_from(&mut datagram)).await {
            let (length, from) = heard?;
            let location = std::str::from_utf8(&datagram[..length]).ok().and_then(location);
            let Some((address, path)) = location.filter(|(address, _)| from.ip() == ip && *address.ip() == ip) else {
                continue;
            };
            let description = http(address, get(address, &path)?).await?.1;
            let service = xml::service(&description).ok_or(MapError::Nonsense("a gateway without a connection"))?;
            return Ok(Gateway { address, service });
        }
    }
    Err(MapError::NoAnswer)
}

#[cfg(fuzzing)]
pub(super) fn read_any(text: &str) {
    _ = location(text);
    _ = xml::service(text);
    _ = xml::text(text, "errorCode");
}

/// Where an answer to a search says that the description is.
fn location(answer: &str) -> Option<(SocketAddrV4, String)> {
    let mut lines = answer.lines();
    lines.next().filter(|status| status.starts_with("HTTP/1.") && status.contains(" 200"))?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    };
    let uri: Uri = lines.find_map(header)?.parse().ok()?;
    let ip: Ipv4Addr = uri.host()?.parse().ok()?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let port = match uri.authority()?.as_str().rsplit_once(':') {
        Some((_, port)) => port.parse().ok()?,
        None => HTTP_PORT,
    };
    (uri.scheme_str() == Some("http")).then(|| (SocketAddrV4::new(ip, port), path))
}

impl Gateway {
    async fn external_address(&self) -> Result<Ipv4Addr, MapError> {
        match self.call("GetExternalIPAddress", &[]).await? {
            Ok(answer) => xml::text(&answer, "NewExternalIPAddress")
                .and_then(|ip| ip.trim().parse().ok())
                .ok_or(MapError::Nonsense("no external address")),
            Err(code) => Err(MapError::Refused(format!("error {code}"))),
        }
    }

    /// Has a port forwarded; with UPnP's error code if it is not.
    async fn add(&self, wish: &Wish, outside_port: u16, lifetime: Duration) -> Result<Result<(), u16>, MapError> {
        let (outside_port, port) = (outside_port.to_string(), wish.port.to_string());
        let (own, seconds) = (wish.own.to_string(), lifetime.as_secs().to_string());
        let arguments = [
            ("NewRemoteHost", ""),
            ("NewExternalPort", &outside_port),
            ("NewProtocol", "UDP"),
            ("NewInternalPort", &port),
            ("NewInternalClient", &own),
            ("NewEnabled", "1"),
            ("NewPortMappingDescription", DESCRIPTION),
            ("NewLeaseDuration", &seconds),
        ];
        Ok(self.call("AddPortMapping", &arguments).await?.map(|_| ()))
    }

    /// For how long a port is forwarded, as the gateway's list says; `None` if for ever, or if it does not say.
    async fn lease(&self, outside_port: u16) -> Option<Duration> {
        let port = outside_port.to_string();
        let arguments = [("NewRemoteHost", ""), ("NewExternalPort", &port), ("NewProtocol", "UDP")];
        let entry = self.call("GetSpecificPortMappingEntry", &arguments).await.ok()?.ok()?;
        let seconds: u32 = xml::text(&entry, "NewLeaseDuration")?.trim().parse().ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// Asks for an action. Its answer, or UPnP's error code.
    async fn call(&self, action: &str, arguments: &[(&str, &str)]) -> Result<Result<String, u16>, MapError> {
        let kind = &self.service.kind;
        let arguments: String = arguments.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
        let body = format!(
            "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body><u:{action} xmlns:u=\"{kind}\">\
             {arguments}</u:{action}></s:Body></s:Envelope>\r\n"
        );
        let request = Request::post(&self.service.control_path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "text/xml; charset=\"utf-8\"")
            .header("SOAPAction", format!("\"{kind}#{action}\""))
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| MapError::Nonsense("a control path that is none"))?;
        let (success, answer) = http(self.address, request).await?;
        if success {
            return Ok(Ok(answer));
        }
        let code = xml::text(&answer, "errorCode").and_then(|code| code.trim().parse().ok());
        code.map(Err).ok_or(MapError::Nonsense("an error without a code"))
    }
}

fn get(address: SocketAddrV4, path: &str) -> Result<Request<Full<Bytes>>, MapError> {
    let request = Request::get(path).header(header::HOST, address.to_string()).body(Full::default());
    request.map_err(|_| MapError::Nonsense("a path that is none"))
}

/// A gateway, reached from here.
struct GatewayConnector(SocketAddrV4);

impl Connector for GatewayConnector {
    type Stream = TcpStream;

    fn host(&self) -> String {
        self.0.to_string()
    }

    async fn connect(&self) -> Result<TcpStream, ConnectError> {
        Ok(TcpStream::connect(SocketAddr::V4(self.0)).await?)
    }
}

/// Whether it is a success, and its body.
async fn http(address: SocketAddrV4, request: Request<Full<Bytes>>) -> Result<(bool, String), MapError> {
    let limits = ClientLimits { connect_deadline: HTTP_WITHIN, answer_bytes: DOCUMENT_MAX };
    // A connection of its own: simple gateways serve one client at a time.
    let answered = async { HttpClient::new(GatewayConnector(address), None, limits)?.send(request).await };
    match timeout(HTTP_WITHIN, answered).await {
        Ok(Ok(answer)) => Ok((answer.status.is_success(), String::from_utf8_lossy(&answer.body).into_owned())),
        Ok(Err(HttpError::Connect(error))) => Err(MapError::Io(io::Error::other(error))),
        Ok(Err(HttpError::AnswerTooLong(_))) => Err(MapError::Nonsense("a document that is too long")),
        Ok(Err(_)) => Err(MapError::Nonsense("no valid HTTP")),
        Err(_) => Err(MapError::NoAnswer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_taken_from_a_good_answer_only() {
        let answer =
            |status: &str, location: &str| format!("HTTP/1.1 {status}\r\nST: x\r\nlocation:{location}\r\n\r\n");
        let found = location(&answer("200 OK", " http://10.0.0.1:5000/rootDesc.xml?x=1 "));
        assert_eq!(found, Some(("10.0.0.1:5000".parse().unwrap(), "/rootDesc.xml?x=1".to_owned())));
        assert_eq!(location(&answer("200 OK", "http://10.0.0.1")).unwrap().0.port(), 80);
        for bad in ["https://10.0.0.1/", "http://[::1]/", "http://router.lan/", "/", "", "http://10.0.0.1:99999/"] {
            assert_eq!(location(&answer("200 OK", bad)), None, "{bad}");
        }
        assert_eq!(location(&answer("404 Not Found", "http://10.0.0.1/")), None);
    }

    /// A gateway on loopback that gives these answers, one per connection, and what it was asked.
    async fn gateway(answers: Vec<(u16, &'static str)>) -> (Gateway, tokio::task::JoinHandle<Vec<String>>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!("bound to IPv4") };
        let serve = tokio::spawn(async move {
            let mut asked = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut heard = Vec::new();
                while !heard.ends_with(b"</s:Envelope>\r\n") {
                    assert!(stream.read_buf(&mut heard).await.unwrap() > 0, "cut short");
                }
                asked.push(String::from_utf8(heard).unwrap());
                let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
            asked
        });
        let service =
            Service { kind: "urn:schemas-upnp-org:service:WANIPConnection:1", control_path: "/ctl".to_owned() };
        (Gateway { address, service }, serve)
    }

    const WISH: Wish = Wish {
        gateway: Ipv4Addr::LOCALHOST,
        own: Ipv4Addr::new(10, 1, 0, 10),
        port: 4_001,
        outside_port: 4_001,
        lifetime: Duration::from_secs(7_200),
    };
    const FOR_EVER: (u16, &str) = (200, "<r><NewLeaseDuration>0</NewLeaseDuration></r>");
    const TEN_MINUTES: (u16, &str) = (200, "<r><NewLeaseDuration>600</NewLeaseDuration></r>");
    const ADDRESS: (u16, &str) = (200, "<r><NewExternalIPAddress>203.0.113.7</NewExternalIPAddress></r>");

    #[tokio::test]
    async fn a_port_that_is_taken_and_a_life_that_is_not_granted_are_asked_for_otherwise() {
        let refusals = [(500, "<e><errorCode>725</errorCode></e>"), (500, "<e><errorCode>718</errorCode></e>")];
        let answers = [ADDRESS].into_iter().chain(refusals).chain([(200, "<ok/>"), FOR_EVER]).collect();
        let (gateway, serve) = gateway(answers).await;
        let Forwarded { external_address, lifetime } = map_by(&gateway, &WISH).await.unwrap();
        assert_eq!(*external_address.ip(), Ipv4Addr::new(203, 0, 113, 7));
        assert_ne!(external_address.port(), 4_001);
        assert_eq!(lifetime, WISH.lifetime, "what is forwarded for ever is asked for again all the same");
        let asked = serve.await.unwrap();
        let says = |number: usize, words: &str| assert!(asked[number].contains(words), "{words} in {}", asked[number]);
        says(0, "POST /ctl HTTP/1.1");
        says(1, "<NewLeaseDuration>7200</NewLeaseDuration>");
        says(2, "<NewLeaseDuration>0</NewLeaseDuration>");
        says(2, "<NewExternalPort>4001</NewExternalPort>");
        says(3, &format!("<NewExternalPort>{}</NewExternalPort>", external_address.port()));
        says(3, "<NewInternalClient>10.1.0.10</NewInternalClient>");
    }

    #[tokio::test]
    async fn a_gateway_that_grants_less_than_it_was_asked_for_is_asked_how_much() {
        let leases =
            [(TEN_MINUTES, Duration::from_secs(600)), ((500, "?"), WISH.lifetime), ((200, "?"), WISH.lifetime)];
        for (lease, lifetime) in leases {
            let (gateway, serve) = gateway(vec![ADDRESS, (200, "<ok/>"), lease]).await;
            assert_eq!(map_by(&gateway, &WISH).await.unwrap().lifetime, lifetime, "{lease:?}");
            assert!(serve.await.unwrap()[2].contains("<NewExternalPort>4001</NewExternalPort>"));
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told_with_its_code() {
        let (gateway, _serve) = gateway(vec![ADDRESS, (500, "<e><errorCode>606</errorCode></e>")]).await;
        assert_eq!(map_by(&gateway, &WISH).await.unwrap_err().to_string(), "refused: error 606");
    }

    #[tokio::test]
    async fn what_is_no_answer_of_a_gateway_maps_nothing() {
        for answer in [(200, ""), (200, "<NewExternalIPAddress>here</NewExternalIPAddress>"), (500, "?")] {
            let (gateway, _serve) = gateway(vec![answer]).await;
            assert!(matches!(map_by(&gateway, &WISH).await, Err(MapError::Nonsense(_))), "{answer:?}");
        }
    }
}
