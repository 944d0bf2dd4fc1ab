//! What is needed of a gateway's documents.

use roxmltree::{Document, Node};

/// Services that map ports, the best first.
const KINDS: [&str; 3] = [
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];

/// A service that maps ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    /// Its type.
    pub(super) kind: &'static str,
    /// Path on the gateway to which actions are posted.
    pub(super) control_path: String,
}

/// The best service that a description names.
pub(super) fn service(description: &str) -> Option<Service> {
    let document = Document::parse(description).ok()?;
    let services = || document.descendants().filter(|node| node.tag_name().name() == "service");
    KINDS.into_iter().find_map(|kind| {
        let service = services().find(|service| child(*service, "serviceType") == Some(kind))?;
        Some(Service { kind, control_path: path(child(service, "controlURL")?)? })
    })
}

/// The text of the first element of that name.
pub(super) fn text(document: &str, name: &str) -> Option<String> {
    let document = Document::parse(document).ok()?;
    let element = document.descendants().find(|node| node.tag_name().name() == name)?;
    Some(element.text().unwrap_or_default().to_owned())
}

fn child<'d>(node: Node<'d, '_>, name: &str) -> Option<&'d str> {
    node.children().find(|child| child.tag_name().name() == name)?.text().map(str::trim)
}

/// The path of a URL: of another host's nothing is taken but that.
fn path(url: &str) -> Option<String> {
    if url.contains("://") {
        let uri: hyper::Uri = url.parse().ok()?;
        return uri.path_and_query().map(ToString::to_string);
    }
    Some(if url.starts_with('/') { url.to_owned() } else { format!("/{url}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut down from what miniupnpd serves.
    const DESCRIPTION: &str = r#"<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/ctl/L3F</controlURL></service></serviceList>
<deviceList><device><deviceList><device><serviceList>
<service><serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</serviceType><controlURL>/ctl/PPP</controlURL></service>
<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>
 /ctl/IPConn </controlURL></service>
</serviceList></device></deviceList></device></deviceList></device></root>"#;

    #[test]
    fn the_best_service_is_found() {
        let service = service(DESCRIPTION).unwrap();
        assert_eq!((service.kind, service.control_path.as_str()), (KINDS[1], "/ctl/IPConn"));
    }

    #[test]
    fn a_control_path_may_be_written_in_three_ways() {
        for (url, expected) in [("/a", "/a"), ("a/b", "/a/b"), ("http://10.0.0.1:80/a?b", "/a?b")] {
            assert_eq!(path(url).as_deref(), Some(expected));
        }
    }

    #[test]
    fn texts_are_found_by_the_local_name() {
        let fault = "<s:Envelope xmlns:s=\"x\"><s:Body><UPnPError xmlns=\"y\"><errorCode>718</errorCode></UPnPError></s:Body></s:Envelope>";
        assert_eq!(text(fault, "errorCode").as_deref(), Some("718"));
        for broken in ["", "<a>", "718", "<!DOCTYPE a [<!ENTITY b \"b\">]><errorCode>&b;</errorCode>"] {
            assert_eq!(text(broken, "errorCode"), None, "{broken}");
        }
    }
}
