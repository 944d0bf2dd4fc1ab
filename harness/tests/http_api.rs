//! `docs/openapi.yaml` describes the control API: its routes are those of the node, its schemas are made from the types, and
//! what a real node answers fits them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use butter::Node;
use butter::config::NodeConfig;
use butter::driver::api::{ApiAddress, ApiSettings};
use serde_json::{Map, Value, json};

#[path = "support/json_types.rs"]
mod json_types;

use json_types::{JsonField, JsonShape, JsonType, JsonTypes, parts};
use syn::Type;

/// The line after which the file is made from the code.
const MADE: &str = "# Made from the code: UPDATE_GOLDEN=1 cargo test -p butter-harness --test http_api\n  schemas:\n";
/// What the operations refer to; what these refer to follows.
const ROOTS: [&str; 8] =
    ["StatusBody", "PeersBody", "SnapshotBody", "PutBody", "SearchLine", "ConnectBody", "AskedPeerBody", "ErrorBody"];
/// For an answer of the node.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text() -> String {
    fs::read_to_string(root().join("docs/openapi.yaml")).unwrap()
}

fn document() -> Value {
    let read: serde_norway::Value = serde_norway::from_str(&text()).unwrap();
    serde_json::to_value(read).unwrap()
}

/// JSON schemas of types, and of the types in them.
struct Schemas<'t> {
    types: &'t JsonTypes,
    open: Vec<String>,
}

impl Schemas<'_> {
    fn object(&mut self, fields: &[JsonField]) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for field in fields {
            if field.is_flat {
                let (_, inner) = parts(&field.ty);
                let (name, _) = parts(inner.first().unwrap_or(&field.ty));
                let Some(JsonType { shape: JsonShape::Object(inner), .. }) = self.types.get(&name) else {
                    panic!("{name} is flattened and no struct")
                };
                let flat = self.object(inner);
                properties.extend(flat["properties"].as_object().unwrap().clone());
                continue;
            }
            let mut schema = self.of(&field.ty);
            if schema.get("$ref").is_none() {
                schema["description"] = field.doc.replace("`None`", "null").into();
            }
            properties.insert(field.name.clone(), schema);
            if !field.is_optional {
                required.push(field.name.clone());
            }
        }
        let mut schema = json!({"type": "object", "properties": properties});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    fn of(&mut self, ty: &Type) -> Value {
        let (name, inner) = parts(ty);
        match name.as_str() {
            "Option" => {
                let schema = self.of(&inner[0]);
                match schema.get("type").and_then(Value::as_str).map(str::to_owned) {
                    Some(one) => {
                        let mut schema = schema;
                        schema["type"] = json!([one, "null"]);
                        schema
                    }
                    None => json!({"anyOf": [schema, {"type": "null"}]}),
                }
            }
            "Vec" => json!({"type": "array", "items": self.of(&inner[0])}),
            "u16" | "u32" | "u64" | "usize" => json!({"type": "integer", "minimum": 0}),
            "f64" => json!({"type": "number"}),
            "bool" => json!({"type": "boolean"}),
            "String" => json!({"type": "string"}),
            "NodeId" | "BlockId" => json!({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
            "SocketAddr" => json!({"type": "string", "examples": ["192.0.2.1:4001"]}),
            known => {
                assert!(self.types.get(known).is_some(), "{known} has no schema");
                self.open.push(known.to_owned());
                json!({"$ref": format!("#/components/schemas/{known}")})
            }
        }
    }

    fn whole(&mut self, of: &JsonType) -> Value {
        let mut schema = match &of.shape {
            JsonShape::Object(fields) => self.object(fields),
            JsonShape::Words(words) => {
                json!({"type": "string", "enum": words.iter().map(|(word, _)| word).collect::<Vec<_>>()})
            }
            JsonShape::Variants { tag: None, variants } => {
                let variant = |variant: &json_types::JsonVariant| {
                    let inner = self.of(variant.inner.as_ref().expect("a variant of a line has a type"));
                    json!({"type": "object", "properties": {&variant.name: inner}, "required": [variant.name],
                           "additionalProperties": false})
                };
                json!({"oneOf": variants.iter().map(variant).collect::<Vec<_>>()})
            }
            other => panic!("{} has another shape: {other:?}", of.name),
        };
        schema["description"] = of.doc.clone().into();
        schema
    }
}

fn schemas() -> Value {
    let types = JsonTypes::read(&["node/src/api.rs", "node/src/api"]);
    let mut schemas = Schemas { types: &types, open: ROOTS.map(str::to_owned).to_vec() };
    let mut made = Map::new();
    while let Some(name) = schemas.open.pop() {
        if !made.contains_key(&name) {
            let of = types.get(&name).unwrap_or_else(|| panic!("there is no type {name}"));
            made.insert(name.clone(), Value::Null);
            let schema = schemas.whole(of);
            made.insert(name, schema);
        }
    }
    Value::Object(made)
}

#[test]
fn schemas_are_those_of_the_types() {
    let text = text();
    let (head, found) = text.split_once(MADE).unwrap();
    let made = serde_norway::to_string(&schemas()).unwrap();
    let made: String = made.lines().map(|line| format!("    {line}\n")).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(root().join("docs/openapi.yaml"), format!("{head}{MADE}{made}")).unwrap();
        return;
    }
    assert!(found == made, "docs/openapi.yaml is stale: UPDATE_GOLDEN=1 cargo test -p butter-harness --test http_api");
}

/// Method and path of each route, as the sources name them.
fn routes() -> BTreeSet<(String, String)> {
    let source = |file: &str| fs::read_to_string(root().join("node/src").join(file)).unwrap();
    let constants = ["api.rs", "api/search.rs"].map(source).concat();
    let path_of = |name: &str| {
        let line = format!("pub const {name}: &str = \"");
        let rest = constants.split_once(&line).unwrap_or_else(|| panic!("no constant {name}")).1;
        rest.split_once('"').unwrap().0.to_owned()
    };
    let code = ["driver/api/routes.rs", "driver/api/overlay.rs"].map(source).concat();
    let mut found = BTreeSet::new();
    for route in code.split(".route(").skip(1) {
        let name =
            route.split(|c: char| !c.is_ascii_uppercase() && c != '_').find(|word| word.ends_with("_PATH")).unwrap();
        let id = if route.split(',').next().unwrap().contains("{{id}}") { "/{id}" } else { "" };
        let method = route.split_once(", ").unwrap().1;
        let method = if method.trim_start().starts_with("post(") { "post" } else { "get" };
        found.insert((method.to_owned(), format!("{}{id}", path_of(name))));
    }
    found
}

#[test]
fn every_route_is_described_and_no_other() {
    let document = document();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone())))
        .collect();
    let routes = routes();
    assert!(routes.len() >= 11, "{routes:?}");
    assert_eq!(described, routes);
}

/// Every `$ref` of the document leads somewhere.
#[test]
fn references_lead_somewhere() {
    fn visit(whole: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    assert!(whole.pointer(&target[1..]).is_some(), "{target}");
                }
                fields.values().for_each(|value| visit(whole, value));
            }
            Value::Array(values) => values.iter().for_each(|value| visit(whole, value)),
            _ => {}
        }
    }
    let document = document();
    visit(&document, &document);
}

/// An answer over a connection of its own.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

fn call(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    let body = bytes[end + 4..].to_vec();
    let body = if head.contains("transfer-encoding: chunked") { whole(&body) } else { body };
    Answer { status, body }
}

/// A body that came in chunks (RFC 9112 §7.1).
fn whole(mut chunked: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunked.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&chunked[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            break;
        }
        body.extend(&chunked[end + 2..end + 2 + length]);
        chunked = &chunked[end + 4 + length..];
    }
    body
}

/// Holds answers against the schemas of the document.
struct Judge(Value);

impl Judge {
    #[track_caller]
    fn judge(&self, name: &str, body: &[u8]) -> Value {
        let value: Value = serde_json::from_slice(body).unwrap();
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.add_resource("openapi.json", self.0.clone()).unwrap();
        let index = compiler.compile(&format!("openapi.json#/components/schemas/{name}"), &mut schemas).unwrap();
        schemas.validate(&value, index).unwrap_or_else(|error| panic!("{name}: {value}: {error:#}"));
        value
    }
}

async fn node(group: SocketAddrV4) -> Node<butter::overlay::data::DataOverlay> {
    let mut config = NodeConfig::default();
    config.set("replicas", "2").unwrap();
    config.set("deadline", "2s").unwrap();
    let api =
        ApiSettings { address: ApiAddress::Tcp("127.0.0.1:0".parse().unwrap()), token: None, start_paused: false };
    let builder = Node::builder().config(config).lan(["lo"]).group(group).api(api);
    builder.listen("0.0.0.0:0".parse().unwrap()).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_a_node_fit_the_schemas() {
    let group = SocketAddrV4::new([239, 255, 77, 23].into(), 19_231);
    let nodes = [node(group).await, node(group).await];
    let Some(ApiAddress::Tcp(address)) = nodes[0].api().cloned() else { panic!("no control API") };
    let other = nodes[1].handle().id();
    tokio::task::spawn_blocking(move || exercise(address, &other.to_string())).await.unwrap();
}

/// Calls every route, and expects each documented kind of answer that can be had from two nodes.
fn exercise(address: SocketAddr, other: &str) {
    let judge = Judge(document());
    let is_met = || {
        !judge.judge("PeersBody", &call(address, "GET", "/v1/peers", b"").body)["peers"].as_array().unwrap().is_empty()
    };
    let begun = std::time::Instant::now();
    while !is_met() {
        assert!(begun.elapsed() < ANSWER_WITHIN, "the two nodes have not met");
        std::thread::sleep(Duration::from_millis(100));
    }
    let stored = call(address, "POST", "/v1/blobs?keywords=rust,nat", b"hello");
    assert_eq!(stored.status, 201, "{}", String::from_utf8_lossy(&stored.body));
    let id = judge.judge("PutBody", &stored.body)["id"].as_str().unwrap().to_owned();
    let found = call(address, "GET", &format!("/v1/blobs/{id}"), b"");
    assert_eq!((found.status, found.body.as_slice()), (200, &b"hello"[..]));
    for (path, name) in [("/v1/status", "StatusBody"), ("/v1/peers", "PeersBody"), ("/v1/snapshot", "SnapshotBody")] {
        let answer = call(address, "GET", path, b"");
        assert_eq!(answer.status, 200);
        judge.judge(name, &answer.body);
    }
    let connected = call(address, "POST", &format!("/v1/connect/{other}"), b"");
    assert_eq!(connected.status, 200);
    judge.judge("ConnectBody", &connected.body);
    assert_eq!(call(address, "POST", &format!("/v1/ping/{other}"), b"").status, 204);
    let lines = call(address, "GET", "/v1/search?q=rust&timeout=3s", b"");
    assert_eq!(lines.status, 200);
    let lines: Vec<&[u8]> = lines.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert!(lines.len() >= 2, "a hit and the end");
    lines.iter().for_each(|line| drop(judge.judge("SearchLine", line)));
    for (method, path, status) in [
        ("GET", "/v1/blobs/xyz", 400),
        ("GET", "/v1/search?q=rust%20AND", 400),
        ("GET", "/v1/nothing", 404),
        ("GET", &format!("/v1/blobs/{}", "0".repeat(64)), 404),
    ] {
        let answer = call(address, method, path, b"");
        assert_eq!(answer.status, status, "{path}: {}", String::from_utf8_lossy(&answer.body));
        judge.judge("ErrorBody", &answer.body);
    }
    assert_eq!(call(address, "POST", "/v1/start", b"").status, 204);
    assert!(String::from_utf8_lossy(&call(address, "GET", "/metrics", b"").body).contains("butter_known_hosts 1"));
    assert_eq!(call(address, "POST", "/v1/leave", b"").status, 202);
}
