//! The calls of UPnP's WANIPConnection:1, as far as SOAP carries them: actions with their arguments, answers, faults. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;

/// The service that is called.
pub const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";
/// Most arguments of a call.
const ARGUMENTS_MAX: usize = 16;
/// Longest argument, in bytes.
const ARGUMENT_MAX: usize = 256;
/// Deepest nesting of a call: envelope, body, action, argument.
const DEPTH_MAX: usize = 4;

/// A call of a UPnP action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SoapCall {
    /// What is to be done.
    pub action: String,
    arguments: BTreeMap<String, String>,
}

/// Why a call fails: the numbers and words of UPnP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoapFault(pub u16, pub &'static str);

/// There is no such action.
pub const INVALID_ACTION: SoapFault = SoapFault(401, "Invalid Action");
/// An argument is missing or wrong.
pub const INVALID_ARGS: SoapFault = SoapFault(402, "Invalid Args");
/// It did not come about.
pub const ACTION_FAILED: SoapFault = SoapFault(501, "Action Failed");
/// Not for this client.
pub const NOT_AUTHORIZED: SoapFault = SoapFault(606, "Action not authorized");
/// There are not so many mappings.
pub const INDEX_INVALID: SoapFault = SoapFault(713, "SpecifiedArrayIndexInvalid");
/// There is no such mapping.
pub const NO_SUCH_ENTRY: SoapFault = SoapFault(714, "NoSuchEntryInArray");
/// A mapping of every port at once.
pub const WILDCARD_PORT: SoapFault = SoapFault(716, "WildCardNotPermittedInExtPort");
/// Somebody else has the port.
pub const CONFLICT: SoapFault = SoapFault(718, "ConflictInMappingEntry");
/// A mapping for one remote host alone.
pub const ONLY_ANY_HOST: SoapFault = SoapFault(726, "RemoteHostOnlySupportsWildcard");
/// No port is left.
pub const NO_PORTS: SoapFault = SoapFault(728, "NoPortMapsAvailable");

impl SoapCall {
    /// An argument's text; empty if it is not there.
    pub fn text(&self, name: &str) -> &str {
        self.arguments.get(name).map_or("", String::as_str)
    }

    /// A number.
    ///
    /// # Errors
    /// If it is none.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, SoapFault> {
        self.text(name).parse().map_err(|_| INVALID_ARGS)
    }

    /// A call, for clients and tests.
    pub fn new(action: &str, arguments: &[(&str, &str)]) -> Self {
        let arguments = arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        SoapCall { action: action.to_owned(), arguments }
    }

    /// Its text, as the client sent it.
    pub fn to_xml(&self) -> String {
        let arguments: Vec<(&str, String)> =
            self.arguments.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        envelope(&self.action, &arguments)
    }
}

/// Reads a call's body.
///
/// # Errors
/// If it is none.
pub fn parse(body: &[u8]) -> Result<SoapCall, SoapFault> {
    let mut reader = Reader::from_reader(body);
    let mut call = SoapCall::default();
    // Names of the elements that are open.
    let mut open: Vec<String> = Vec::new();
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer).map_err(|_| INVALID_ARGS)? {
            Event::Start(element) => {
                let name = String::from_utf8(element.local_name().as_ref().to_vec()).map_err(|_| INVALID_ARGS)?;
                if open.len() >= DEPTH_MAX || name.len() > ARGUMENT_MAX {
                    return Err(INVALID_ARGS);
                }
                match open.len() {
                    2 if call.action.is_empty() => call.action.clone_from(&name),
                    2 => return Err(INVALID_ARGS),
                    3 => insert(&mut call, &name, String::new())?,
                    _ => {}
                }
                open.push(name);
            }
            Event::End(_) => {
                if let Some(value) =
                    open.pop().filter(|_| open.len() == 3).and_then(|name| call.arguments.get_mut(&name))
                {
                    *value = value.trim().to_owned();
                }
            }
            Event::Text(text) if open.len() == DEPTH_MAX => {
                let text = text.decode().map_err(|_| INVALID_ARGS)?;
                let text = quick_xml::escape::unescape(&text).map_err(|_| INVALID_ARGS)?;
                append(&mut call, &open, &text)?;
            }
            Event::GeneralRef(reference) if open.len() == DEPTH_MAX => {
                let text = format!("&{};", reference.decode().map_err(|_| INVALID_ARGS)?);
                let text = quick_xml::escape::unescape(&text).map_err(|_| INVALID_ARGS)?;
                append(&mut call, &open, &text)?;
            }
            // No client sends one, and entities are what attacks are made of.
            Event::DocType(_) => return Err(INVALID_ARGS),
            Event::Eof => break,
            _ => {}
        }
        buffer.clear();
    }
    if call.action.is_empty() || !open.is_empty() { Err(INVALID_ARGS) } else { Ok(call) }
}

fn insert(call: &mut SoapCall, name: &str, value: String) -> Result<(), SoapFault> {
    if call.arguments.len() >= ARGUMENTS_MAX || call.arguments.insert(name.to_owned(), value).is_some() {
        return Err(INVALID_ARGS);
    }
    Ok(())
}

fn append(call: &mut SoapCall, open: &[String], text: &str) -> Result<(), SoapFault> {
    let Some(value) = open.last().and_then(|name| call.arguments.get_mut(name)) else { return Err(INVALID_ARGS) };
    if value.len() + text.len() > ARGUMENT_MAX {
        return Err(INVALID_ARGS);
    }
    value.push_str(text);
    Ok(())
}

/// The body of a successful answer.
pub fn answer(action: &str, arguments: &[(&str, String)]) -> String {
    envelope(&format!("{action}Response"), arguments)
}

/// The body of a UPnP fault.
pub fn fault(SoapFault(code, words): SoapFault) -> String {
    format!(
        "{HEAD}<s:SoapFault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>\
         <UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode>\
         <errorDescription>{words}</errorDescription></UPnPError></detail></s:SoapFault>{FOOT}"
    )
}

const HEAD: &str = "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
                    s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>";
const FOOT: &str = "</s:Body></s:Envelope>\r\n";

fn envelope(element: &str, arguments: &[(&str, String)]) -> String {
    let mut xml = format!("{HEAD}<u:{element} xmlns:u=\"{SERVICE}\">");
    for (name, value) in arguments {
        let _ = write!(xml, "<{name}>{}</{name}>", escape(value.as_str()));
    }
    let _ = write!(xml, "</u:{element}>{FOOT}");
    xml
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_call_is_read_whatever_its_prefixes() {
        let body = "<?xml version=\"1.0\"?><SOAP-ENV:Envelope xmlns:SOAP-ENV=\"x\"><SOAP-ENV:Body>\
                    <m:AddPortMapping xmlns:m=\"y\"><NewRemoteHost></NewRemoteHost><NewExternalPort>4001</NewExternalPort>\
                    <NewPortMappingDescription>a &lt;b&gt; &amp; c</NewPortMappingDescription><NewEnabled/>\
                    </m:AddPortMapping></SOAP-ENV:Body></SOAP-ENV:Envelope>";
        let call = parse(body.as_bytes()).unwrap();
        assert_eq!(call.action, "AddPortMapping");
        assert_eq!(call.number::<u16>("NewExternalPort"), Ok(4_001));
        assert_eq!(call.text("NewPortMappingDescription"), "a <b> & c");
        assert_eq!((call.text("NewRemoteHost"), call.number::<u16>("NewInternalPort")), ("", Err(INVALID_ARGS)));
    }

    #[test]
    fn what_is_no_call_is_refused() {
        for body in [
            "",
            "<a>",
            "<a><b></b></a>",
            "<a><b><c><d><e/></d></c></b></a><",
            "<a><b><c><d><e>too deep</e></d></c></b></a>",
            "<a><b><c></c><c></c></b></a>",
            "<a><b><c><d>1</d><d>2</d></c></b></a>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a><b><c><d>&x;</d></c></b></a>",
            "<a><b><c><d>&unknown;</d></c></b></a>",
        ] {
            assert_eq!(parse(body.as_bytes()), Err(INVALID_ARGS), "{body}");
        }
        let long = format!("<a><b><c><d>{}</d></c></b></a>", "x".repeat(ARGUMENT_MAX + 1));
        assert_eq!(parse(long.as_bytes()), Err(INVALID_ARGS));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(action in "[A-Za-z]{1,20}", values in prop::collection::btree_map("[A-Z][a-z]{1,9}", "[!-~]{0,40}", 0..8)) {
            let arguments: Vec<(&str, &str)> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let call = SoapCall::new(&action, &arguments);
            prop_assert_eq!(parse(call.to_xml().as_bytes()), Ok(call));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn arbitrary_markup_never_panics(text in "(<[/?!]?[a-c:&;\"=]{0,4}/?>|&[a-z#0-9]{0,4};|[ -~]){0,30}") {
            let _ = parse(text.as_bytes());
        }
    }
}
