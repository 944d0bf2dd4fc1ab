//! Lines of `events.jsonl`: an event with the names of nodes and networks instead of their indices, and with the time in UTC where
//! the run's clock is a real one.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::events::Event;
use crate::plan::Plan;

/// Keys of nodes, and of lists of nodes.
const NODE_KEYS: [&str; 6] = ["node", "peer", "from", "to", "sides", "last_holders"];
/// Keys of networks.
const NETWORK_KEYS: [&str; 1] = ["network"];
/// Keys that a line begins with.
const FIRST_KEYS: [&str; 3] = ["at_us", "utc", "event"];

/// An event with names.
pub fn value(event: &Event, plan: &Plan) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(event)?;
    name(&mut value, plan);
    Ok(value)
}

/// The line of an event, with its newline. `begun` is when the run's clock was zero, if it is a real one.
pub(super) fn line(event: &Event, plan: &Plan, begun: Option<SystemTime>) -> serde_json::Result<String> {
    let mut text = String::from("{");
    let Value::Object(mut fields) = value(event, plan)? else { unreachable!("an event is an object") };
    if let Some(begun) = begun {
        let at = begun + Duration::from_micros(event.at.0);
        fields.insert("utc".to_owned(), humantime::format_rfc3339_micros(at).to_string().into());
    }
    for key in FIRST_KEYS {
        if let Some(value) = fields.remove(key) {
            text += &format!("\"{key}\":{value},");
        }
    }
    let rest = Value::Object(fields).to_string();
    match rest.as_str() {
        "{}" => text.pop().map_or((), drop),
        rest => text += &rest[1..rest.len() - 1],
    }
    text += "}\n";
    Ok(text)
}

/// Puts names in the place of indices.
fn name(value: &mut Value, plan: &Plan) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if NODE_KEYS.contains(&key.as_str()) {
                    rename(value, &|index| plan.nodes.get(index).map(|node| node.name.as_str()));
                } else if NETWORK_KEYS.contains(&key.as_str()) {
                    rename(value, &|index| plan.networks.get(index).map(|network| network.name.as_str()));
                } else {
                    name(value, plan);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| name(value, plan)),
        _ => {}
    }
}

fn rename<'p>(value: &mut Value, name_of: &impl Fn(usize) -> Option<&'p str>) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, name_of)),
        Value::Number(index) => {
            let name = index.as_u64().and_then(|index| name_of(usize::try_from(index).ok()?));
            if let Some(name) = name {
                *value = name.into();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{EventKind, ItemHolder, MissingBlock};
    use crate::plan::{ItemIndex, NodeIndex};
    use crate::results::fixture::{self, event, looked};

    #[test]
    fn nodes_have_names_wherever_they_stand() {
        let holders = vec![ItemHolder { node: NodeIndex(4), blocks: 1 }];
        let block = butter::core::identity::BlockId([1; 32]);
        let missing = vec![MissingBlock { block, last_holders: vec![NodeIndex(0), NodeIndex(2)] }];
        let item = ItemIndex(1);
        let changed = event(EventKind::HoldersChanged { item, blocks: 2, holders, missing_blocks: 1, missing });
        let text = line(&changed, &fixture::plan(), None).unwrap();
        assert!(text.starts_with("{\"at_us\":1000000,\"event\":\"holders_changed\","), "{text}");
        assert!(text.contains("\"item\":1,") && text.contains("\"node\":\"n-4\""), "{text}");
        assert!(text.contains("\"last_holders\":[\"n-0\",\"n-2\"]") && text.ends_with("}\n"), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["holders"][0]["blocks"], 1);
    }

    #[test]
    fn utc_follows_from_the_clock_of_the_run() {
        let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(86_399);
        let text = line(&looked(1, 2), &fixture::plan(), Some(begun)).unwrap();
        assert!(text.starts_with("{\"at_us\":1000000,\"utc\":\"1970-01-02T00:00:00.000000Z\",\"event\":"), "{text}");
    }
}
