//! UPnP's InternetGatewayDevice:1: its description, and the calls of its WANIPConnection:1.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use butter::http::server::{ClientAddress, HttpLimits, HttpListener, HttpServer, RequestBody};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use super::soap::{self, SoapCall, SoapFault};
use super::{Gateway, Protocol, Refused, Wanted};
use crate::net::nat::leases::LEASE_MAX;
use crate::net::nat::{Granted, Lease};
use crate::router::proxy;

/// TCP port of description and control.
pub(super) const HTTP_PORT: u16 = 5_000;
/// Path of the description.
pub(super) const ROOT_PATH: &str = "/root.xml";
/// The device's unique name: each LAN sees one.
pub(super) const DEVICE_ID: &str = "62757474-6572-4000-8000-726f75746572";
const SERVICE_PATH: &str = "/service.xml";
const CONTROL_PATH: &str = "/control";
/// Longest call, in bytes.
const CALL_MAX: usize = 16 * 1024;
/// What the gateway allows the hosts of its LAN: each makes a connection for each call.
const LIMITS: HttpLimits = HttpLimits {
    connections: 64,
    connections_per_address: 16,
    head_deadline: Duration::from_secs(10),
    connection_deadline: Some(Duration::from_secs(30)),
    head_bytes: CALL_MAX,
    body_bytes: 64 * CALL_MAX,
};

pub(super) fn serve(gateway: &Arc<Gateway>) -> anyhow::Result<()> {
    let listener = proxy::listen(&gateway.interface, SocketAddrV4::new(gateway.inside.address, HTTP_PORT))?;
    let listener = HttpListener::Tcp(TcpListener::from_std(listener)?);
    let gateway = Arc::clone(gateway);
    tokio::spawn(async move {
        let service = hyper::service::service_fn(move |request| {
            let gateway = Arc::clone(&gateway);
            async move { Ok::<_, Infallible>(gateway.answer_host(request).await) }
        });
        HttpServer::new(LIMITS).serve(&listener, service).await
    });
    Ok(())
}

impl Gateway {
    async fn answer_host(&self, request: Request<RequestBody>) -> Response<Full<Bytes>> {
        match request.extensions().get() {
            Some(ClientAddress(IpAddr::V4(client))) if self.is_host(*client) => {
                let client = *client;
                self.answer_http(request, client).await
            }
            _ => xml(StatusCode::FORBIDDEN, String::new()),
        }
    }

    async fn answer_http(&self, request: Request<RequestBody>, client: Ipv4Addr) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, ROOT_PATH) => xml(StatusCode::OK, root(self.inside.address)),
            (&Method::GET, SERVICE_PATH) => xml(StatusCode::OK, SERVICE.to_owned()),
            (&Method::POST, CONTROL_PATH) => {
                let answered = match Limited::new(request.into_body(), CALL_MAX).collect().await {
                    Ok(body) => self.call(&body.to_bytes(), client).await,
                    Err(_) => Err(soap::INVALID_ARGS),
                };
                match answered {
                    Ok(answer) => xml(StatusCode::OK, answer),
                    Err(why) => xml(StatusCode::INTERNAL_SERVER_ERROR, soap::fault(why)),
                }
            }
            _ => xml(StatusCode::NOT_FOUND, String::new()),
        }
    }

    async fn call(&self, body: &[u8], client: Ipv4Addr) -> Result<String, SoapFault> {
        let call = soap::parse(body)?;
        let arguments = match call.action.as_str() {
            "GetExternalIPAddress" => {
                let (_, outside) = self.epoch(client).await.map_err(failed)?;
                vec![("NewExternalIPAddress", outside.to_string())]
            }
            "GetStatusInfo" => {
                let (epoch, _) = self.epoch(client).await.map_err(failed)?;
                vec![
                    ("NewConnectionStatus", "Connected".to_owned()),
                    ("NewLastConnectionError", "ERROR_NONE".to_owned()),
                    ("NewUptime", epoch.to_string()),
                ]
            }
            "GetConnectionTypeInfo" => vec![
                ("NewConnectionType", "IP_Routed".to_owned()),
                ("NewPossibleConnectionTypes", "IP_Routed".to_owned()),
            ],
            "GetNATRSIPStatus" => vec![("NewRSIPAvailable", "0".to_owned()), ("NewNATEnabled", "1".to_owned())],
            "AddPortMapping" => {
                self.add(&call, client, false).await?;
                vec![]
            }
            "AddAnyPortMapping" => {
                let granted = self.add(&call, client, true).await?;
                vec![("NewReservedPort", granted.outside.port().to_string())]
            }
            "DeletePortMapping" => {
                self.delete(&call, client).await?;
                vec![]
            }
            "GetGenericPortMappingEntry" => {
                let index: usize = call.number("NewPortMappingIndex")?;
                let leases = self.leases().await.map_err(failed)?;
                let (lease, left) = leases.get(index).ok_or(soap::INDEX_INVALID)?;
                let mut entry = vec![
                    ("NewRemoteHost", String::new()),
                    ("NewExternalPort", lease.outside.port().to_string()),
                    ("NewProtocol", protocol_name(lease.protocol).to_owned()),
                ];
                entry.extend(self.entry(lease, *left));
                entry
            }
            "GetSpecificPortMappingEntry" => {
                let (lease, left) = self.named(&call, client).await?;
                self.entry(&lease, left)
            }
            _ => return Err(soap::INVALID_ACTION),
        };
        Ok(soap::answer(&call.action, &arguments))
    }

    async fn add(&self, call: &SoapCall, client: Ipv4Addr, any: bool) -> Result<Granted, SoapFault> {
        let (protocol, outside) = (protocol(call)?, call.number::<u16>("NewExternalPort")?);
        let inside: u16 = call.number("NewInternalPort")?;
        let host: Ipv4Addr = call.number("NewInternalClient")?;
        let lifetime: u64 = call.number("NewLeaseDuration")?;
        if !matches!(call.text("NewRemoteHost"), "" | "0.0.0.0") {
            return Err(soap::ONLY_ANY_HOST);
        }
        if host != client {
            return Err(soap::NOT_AUTHORIZED);
        }
        let wanted = match outside {
            0 if any => Wanted::Any,
            0 => return Err(soap::WILDCARD_PORT),
            port if any => Wanted::Rather(port),
            port => Wanted::Exactly(port),
        };
        if inside == 0 {
            return Err(soap::INVALID_ARGS);
        }
        let lifetime = if lifetime == 0 { LEASE_MAX } else { Duration::from_secs(lifetime) };
        let end = SocketAddrV4::new(client, inside);
        let asked = match wanted {
            Wanted::Exactly(port) => {
                self.with_nat(move |nat, now| nat.overwrite(now, protocol, end, port, lifetime)).await
            }
            _ => self.request(protocol, end, wanted, lifetime).await,
        };
        let granted = asked.map_err(failed)?.map_err(fault)?;
        let description = call.text("NewPortMappingDescription").to_owned();
        self.note(|notes| _ = notes.descriptions.insert((protocol, end), description)).await.map_err(failed)?;
        Ok(granted)
    }

    async fn delete(&self, call: &SoapCall, client: Ipv4Addr) -> Result<(), SoapFault> {
        let (lease, _) = self.named(call, client).await?;
        if *lease.inside.ip() != client {
            return Err(soap::NOT_AUTHORIZED);
        }
        self.withdraw(lease.protocol, lease.inside).await.map_err(failed)?.map_err(fault).map(drop)
    }

    /// The mapping that a call names.
    async fn named(&self, call: &SoapCall, client: Ipv4Addr) -> Result<(Lease, Option<u64>), SoapFault> {
        let (protocol, port) = (protocol(call)?, call.number::<u16>("NewExternalPort")?);
        let leases = self.leases().await.map_err(failed)?;
        named(leases, protocol, port, client).ok_or(soap::NO_SUCH_ENTRY)
    }

    fn entry(&self, lease: &Lease, left: Option<u64>) -> Vec<(&'static str, String)> {
        let description = self.notes().descriptions.get(&(lease.protocol, lease.inside)).cloned();
        vec![
            ("NewInternalPort", lease.inside.port().to_string()),
            ("NewInternalClient", lease.inside.ip().to_string()),
            ("NewEnabled", "1".to_owned()),
            ("NewPortMappingDescription", description.unwrap_or_default()),
            ("NewLeaseDuration", left.unwrap_or(0).to_string()),
        ]
    }
}

/// The mapping of a port. Where there are several addresses, each has such a port: the one that `client` has is meant, if any
/// is its own.
fn named<T>(leases: Vec<(Lease, T)>, protocol: Protocol, port: u16, client: Ipv4Addr) -> Option<(Lease, T)> {
    let named = leases.into_iter().filter(|(lease, _)| (lease.protocol, lease.outside.port()) == (protocol, port));
    named.min_by_key(|(lease, _)| *lease.inside.ip() != client)
}

fn failed(error: anyhow::Error) -> SoapFault {
    tracing::debug!("a UPnP call fails: {error:#}");
    soap::ACTION_FAILED
}

fn fault(why: Refused) -> SoapFault {
    match why {
        Refused::Taken => soap::CONFLICT,
        Refused::NoPort | Refused::Quota => soap::NO_PORTS,
        Refused::Configured => soap::NOT_AUTHORIZED,
    }
}

fn protocol(call: &SoapCall) -> Result<Protocol, SoapFault> {
    match call.text("NewProtocol") {
        "UDP" => Ok(Protocol::Udp),
        "TCP" => Ok(Protocol::Tcp),
        _ => Err(soap::INVALID_ARGS),
    }
}

fn protocol_name(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Tcp { "TCP" } else { "UDP" }
}

fn xml(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=\"utf-8\""));
    response
}

/// The description: a gateway with a connection that has one service.
fn root(gateway: Ipv4Addr) -> String {
    let device = |kind: &str, number: u32, inner: &str| {
        format!(
            "<device><deviceType>urn:schemas-upnp-org:device:{kind}:1</deviceType><friendlyName>{kind}</friendlyName>\
             <manufacturer>Butter</manufacturer><modelName>butter-router</modelName>\
             <UDN>uuid:{}{number}</UDN>{inner}</device>",
            &DEVICE_ID[..DEVICE_ID.len() - 1]
        )
    };
    let service = format!(
        "<serviceList><service><serviceType>{}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>\
         <SCPDURL>{SERVICE_PATH}</SCPDURL><controlURL>{CONTROL_PATH}</controlURL><eventSubURL></eventSubURL></service>\
         </serviceList>",
        soap::SERVICE
    );
    let list = |device: String| format!("<deviceList>{device}</deviceList>");
    let connection = device("WANConnectionDevice", 3, &service);
    // Clients take a device for a gateway by this service; they can do without its answers.
    let common = format!(
        "<serviceList><service><serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType>\
         <serviceId>urn:upnp-org:serviceId:WANCommonIFC1</serviceId><SCPDURL>{SERVICE_PATH}</SCPDURL>\
         <controlURL>{CONTROL_PATH}</controlURL><eventSubURL></eventSubURL></service></serviceList>"
    );
    let wan = device("WANDevice", 1, &(common + &list(connection)));
    let root = device("InternetGatewayDevice", 2, &list(wan));
    format!(
        "<?xml version=\"1.0\"?>\r\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\">\
         <specVersion><major>1</major><minor>0</minor></specVersion><URLBase>http://{gateway}:{HTTP_PORT}</URLBase>{root}</root>"
    )
}

/// The service's actions by name; clients know their arguments.
const SERVICE: &str = "<?xml version=\"1.0\"?>\r\n<scpd xmlns=\"urn:schemas-upnp-org:service-1-0\">\
    <specVersion><major>1</major><minor>0</minor></specVersion><actionList>\
    <action><name>GetConnectionTypeInfo</name></action><action><name>GetStatusInfo</name></action>\
    <action><name>GetNATRSIPStatus</name></action><action><name>GetExternalIPAddress</name></action>\
    <action><name>AddPortMapping</name></action><action><name>AddAnyPortMapping</name></action>\
    <action><name>DeletePortMapping</name></action><action><name>GetGenericPortMappingEntry</name></action>\
    <action><name>GetSpecificPortMappingEntry</name></action></actionList></scpd>";

#[cfg(test)]
mod tests {
    use butter::core::time::Time;

    use super::*;

    #[test]
    fn a_port_of_several_addresses_names_the_clients_own_mapping() {
        let lease = |outside: &str, inside: &str| {
            let (outside, inside) = (outside.parse().unwrap(), inside.parse().unwrap());
            (Lease { protocol: Protocol::Udp, inside, outside, until: Time::NEVER }, ())
        };
        let leases = [
            lease("203.0.113.1:5000", "10.1.0.2:4001"),
            lease("203.0.113.2:5000", "10.1.0.3:4001"),
            lease("203.0.113.2:5001", "10.1.0.4:4001"),
        ];
        let of = |protocol, port, client: &str| {
            named(leases.to_vec(), protocol, port, client.parse().unwrap()).map(|(lease, ())| lease.inside.to_string())
        };
        assert_eq!(of(Protocol::Udp, 5_000, "10.1.0.3").as_deref(), Some("10.1.0.3:4001"));
        assert_eq!(of(Protocol::Udp, 5_000, "10.1.0.9").as_deref(), Some("10.1.0.2:4001"), "not its own, but there");
        assert_eq!(of(Protocol::Udp, 5_001, "10.1.0.3").as_deref(), Some("10.1.0.4:4001"));
        assert_eq!(of(Protocol::Tcp, 5_000, "10.1.0.3"), None);
    }
}
