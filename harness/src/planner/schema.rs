//! The JSON Schema of topology files, made from the tables that the readers use: keys, verbs, choices, units and settings.
//!
//! It refuses less than the readers do. A schema knows no names, no subnets and no order of steps.

use std::collections::BTreeMap;

use butter::config::SETTINGS;
use serde_json::{Map, Value, json};

use crate::steps::VERBS;
use crate::steps::step::Verb;
use crate::topology::fields::{KeySpec, MapSpec};
use crate::topology::form::ValueForm;
use crate::topology::internet;
use crate::topology::raw::network::{NETWORK, UPLINK_KEYS};
use crate::topology::raw::{ITEMS_OF_LIST_MAX, NAME_BYTES_MAX, TOPOLOGY};
use crate::topology::tree::EXTENSION_PREFIX;

/// The dialect, draft 2020-12.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// A text with a variable: what it stands for is not known.
const VARIABLE: &str = r"\$\{";

/// The schema of a topology file.
pub fn schema() -> Value {
    let mut parts = SchemaParts::default();
    let mut whole = parts.map(&TOPOLOGY);
    let root = whole.as_object_mut().expect("a map has an object's schema");
    root.insert("patternProperties".to_owned(), json!({(format!("^{EXTENSION_PREFIX}")): true}));
    // What `internet` stands for need not be there.
    let needed = root.remove("required").expect("some keys are needed");
    let others = needed.as_array().expect("a list").iter().filter(|key| *key != "networks" && *key != "nodes");
    let with_internet: Vec<Value> = others.cloned().chain([internet::KEY.into()]).collect();
    root.insert("anyOf".to_owned(), json!([{"required": needed}, {"required": with_internet}]));
    root.insert("$schema".to_owned(), DIALECT.into());
    root.insert("title".to_owned(), "A topology of harness".into());
    root.insert("$defs".to_owned(), Value::Object(parts.defs.into_iter().collect()));
    whole
}

/// Schemas that others refer to, by their names.
#[derive(Default)]
struct SchemaParts {
    defs: BTreeMap<String, Value>,
}

impl SchemaParts {
    /// The schema of a map of known keys.
    fn map(&mut self, spec: &'static MapSpec) -> Value {
        let properties: Map<String, Value> = spec.keys.iter().map(|key| (key.name.to_owned(), self.key(key))).collect();
        let needed: Vec<&str> = spec.keys.iter().filter(|key| key.needed).map(|key| key.name).collect();
        // Nothing is as good as an empty map.
        let types = if needed.is_empty() { json!(["object", "null"]) } else { json!("object") };
        let mut schema = json!({"type": types, "additionalProperties": false, "properties": properties});
        if !needed.is_empty() {
            schema["required"] = json!(needed);
        }
        schema
    }

    /// A reference to the schema of a map.
    fn map_reference(&mut self, spec: &'static MapSpec) -> Value {
        let name = spec.what.trim_start_matches("a ").replace(' ', "-");
        if !self.defs.contains_key(&name) {
            let mut schema = self.map(spec);
            if std::ptr::eq(spec, &NETWORK) {
                let behind: Map<String, Value> =
                    UPLINK_KEYS.iter().map(|key| ((*key).to_owned(), json!(["behind"]))).collect();
                schema["dependentRequired"] = Value::Object(behind);
            }
            self.defs.insert(name.clone(), schema);
        }
        json!({"$ref": format!("#/$defs/{name}")})
    }

    fn key(&mut self, key: &'static KeySpec) -> Value {
        let mut schema = self.form(&key.form);
        schema["description"] = format!("{}. Such as {}: {}", key.doc, key.name, key.example).into();
        schema
    }

    fn form(&mut self, form: &'static ValueForm) -> Value {
        match form {
            ValueForm::Open => json!({}),
            ValueForm::Absent => json!({"type": "null"}),
            ValueForm::Text => single(),
            ValueForm::Name => or_variable(json!({"type": "string", "pattern": name_pattern()})),
            ValueForm::Matching(pattern) => or_variable(json!({"type": "string", "pattern": pattern})),
            ValueForm::Flag => or_variable(json!({"enum": [true, false, "true", "false"]})),
            ValueForm::Count(least, most) => or_variable(json!({"anyOf": [
                {"type": "integer", "minimum": least, "maximum": most},
                {"type": "string", "pattern": r"^\s*\+?[0-9]+\s*$"},
            ]})),
            ValueForm::Number(most) => or_variable(json!({"type": "number", "minimum": 0, "maximum": most})),
            ValueForm::Quantity { what, example, pattern } => or_variable(json!({"anyOf": [
                {"type": "string", "pattern": pattern, "title": format!("{what}, such as {example}")},
                {"const": 0},
            ]})),
            ValueForm::Words(words) => or_variable(json!({"enum": words()})),
            ValueForm::JoinedWords(words) => {
                let one = words().join("|");
                or_variable(json!({"type": "string", "pattern": format!(r"^(none|({one})(\s*\+\s*({one}))*)$")}))
            }
            ValueForm::List(least, item) => {
                json!({"type": "array", "items": self.form(item), "minItems": least, "maxItems": ITEMS_OF_LIST_MAX})
            }
            ValueForm::Map(spec) => self.map_reference(spec),
            ValueForm::NamedMaps(spec) => json!({
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": name_pattern()},
                "additionalProperties": self.map_reference(spec),
            }),
            ValueForm::Entries(value) => json!({"type": ["object", "null"], "additionalProperties": self.form(value)}),
            ValueForm::Settings => self.settings(),
            ValueForm::Steps => self.steps(),
            ValueForm::Either(forms) => {
                json!({"anyOf": forms.iter().map(|form| self.form(form)).collect::<Vec<_>>()})
            }
        }
    }

    fn settings(&mut self) -> Value {
        let setting = |name: &str, help: &str, example: &str| {
            let mut schema = single();
            schema["description"] = format!("{help}. Such as {name}: {example}").into();
            (name.to_owned(), schema)
        };
        let properties: Map<String, Value> =
            SETTINGS.iter().map(|known| setting(known.name, known.help, known.example)).collect();
        let schema = json!({"type": ["object", "null"], "additionalProperties": false, "properties": properties});
        self.defs.insert("settings".to_owned(), schema);
        json!({"$ref": "#/$defs/settings"})
    }

    /// Each step is a map of one verb, or the verb alone where it needs nothing.
    fn steps(&mut self) -> Value {
        // Steps within steps are of the same form.
        if self.defs.insert("steps".to_owned(), Value::Null).is_none() {
            let steps = self.list_of_steps();
            self.defs.insert("steps".to_owned(), steps);
        }
        json!({"$ref": "#/$defs/steps"})
    }

    fn list_of_steps(&mut self) -> Value {
        let verbs: Map<String, Value> = VERBS.iter().map(|verb| (verb.name.to_owned(), self.verb(verb))).collect();
        let alone: Vec<&str> = VERBS.iter().filter(|verb| may_stand_alone(verb)).map(|verb| verb.name).collect();
        json!({"type": "array", "minItems": 1, "maxItems": ITEMS_OF_LIST_MAX, "items": {"anyOf": [
            {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false, "properties": verbs},
            {"enum": alone},
        ]}})
    }

    fn verb(&mut self, verb: &'static Verb) -> Value {
        let map = self.map_reference(verb.keys);
        let mut schema = match &verb.short {
            Some(short) => json!({"anyOf": [map, self.form(short)]}),
            None => map,
        };
        schema["description"] = format!("{}\n{}", verb.doc, verb.example).into();
        schema
    }
}

/// Whether a step may be the verb without anything under it.
fn may_stand_alone(verb: &Verb) -> bool {
    verb.keys.keys.iter().all(|key| !key.needed) && !verb.keys.keys.is_empty()
}

/// A single value of any type: the readers take each as its text.
fn single() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

fn or_variable(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "string", "pattern": VARIABLE}]})
}

fn name_pattern() -> String {
    format!("^[A-Za-z][A-Za-z0-9_-]{{0,{}}}$", NAME_BYTES_MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_and_every_key_is_in_it() {
        let schema = schema();
        let verbs = &schema["$defs"]["steps"]["items"]["anyOf"][0]["properties"];
        for verb in VERBS {
            let name = verb.keys.what.trim_start_matches("a ").replace(' ', "-");
            assert!(!verbs[verb.name].is_null(), "{}", verb.name);
            for key in verb.keys.keys {
                assert!(!schema["$defs"][&name]["properties"][key.name].is_null(), "{}: {}", verb.name, key.name);
            }
        }
        for setting in SETTINGS.iter() {
            assert!(!schema["$defs"]["settings"]["properties"][setting.name].is_null(), "{}", setting.name);
        }
    }

    #[test]
    fn every_key_says_what_its_value_looks_like() {
        for key in VERBS.iter().flat_map(|verb| verb.keys.keys).chain(TOPOLOGY.keys) {
            assert!(!matches!(key.form, ValueForm::Open), "{}", key.name);
        }
    }
}
