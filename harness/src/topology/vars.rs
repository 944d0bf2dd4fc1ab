//! `${name}` in values, and what `--set` puts in their place.

use std::collections::BTreeMap;

use butter::config::{NodeConfig, SETTINGS};

use super::Overrides;
use super::diagnostics::{Diagnostic, DiagnosticSink, quoted, suggestion};
use super::tree::{YamlNode, YamlValue};
use crate::plan::ResolvedInput;

/// Longest text that a value may become.
const EXPANDED_BYTES_MAX: usize = 4_096;

/// A variable of the file.
#[derive(Debug, Default)]
struct Variable {
    value: String,
    /// Whether any value of the file contains it.
    used: bool,
}

/// What is left to say when the variables are in their places.
#[derive(Debug, Default)]
pub(crate) struct Substituted {
    /// What `--set` says about node settings rather than variables.
    pub(crate) settings: Vec<(String, String)>,
    /// Variables that no value contains.
    pub(crate) unused: Vec<String>,
    /// Every variable with its value.
    pub(crate) variables: Vec<ResolvedInput>,
}

/// Puts variables in their places.
pub(crate) fn substitute(root: &mut YamlNode, overrides: &Overrides, problems: &mut DiagnosticSink) -> Substituted {
    let YamlValue::Map(entries) = &mut root.value else { return Substituted::default() };
    let declared = entries.iter().find(|(key, _)| key.name == "vars").map(|(_, node)| node.clone());
    let mut vars = declared.map(|node| declare(&node, problems)).unwrap_or_default();
    let settings = override_vars(&mut vars, overrides, problems);
    for (_, node) in entries.iter_mut().filter(|(key, _)| key.name != "vars") {
        expand(node, &mut vars, problems);
    }
    let is_set = |name: &str| overrides.set.iter().any(|(set, _)| set == name);
    let resolved = |(name, var): (&String, &Variable)| ResolvedInput {
        name: name.clone(),
        value: var.value.clone(),
        overridden: is_set(name),
    };
    let variables = vars.iter().map(resolved).collect();
    let unused = vars.into_iter().filter(|(_, var)| !var.used).map(|(name, _)| name).collect();
    Substituted { settings, unused, variables }
}

fn declare(node: &YamlNode, problems: &mut DiagnosticSink) -> BTreeMap<String, Variable> {
    let entries = match &node.value {
        YamlValue::Map(entries) => entries.as_slice(),
        YamlValue::Empty => &[],
        _ => {
            problems.add(
                Diagnostic::at(&node.span, format!("`vars` is a map of names to values, not {}", node.shape()))
                    .help("vars: {die: 1/100, nodes: 30}"),
            );
            &[]
        }
    };
    let mut vars = BTreeMap::new();
    for (key, value) in entries {
        match &value.value {
            YamlValue::Scalar(text) if text.contains("${") => problems
                .add(Diagnostic::at(&value.span, "a variable cannot be made of others").help("write its value out")),
            // Kept all the same, so that its uses are not reported too.
            YamlValue::Scalar(_) => {}
            _ => problems.add(
                Diagnostic::at(&value.span, format!("the variable {} is {}", quoted(&key.name), value.shape()))
                    .help("a variable is a single value, such as 1/100"),
            ),
        }
        let text = if let YamlValue::Scalar(text) = &value.value { text.clone() } else { String::new() };
        vars.insert(key.name.clone(), Variable { value: text, used: false });
    }
    vars
}

fn override_vars(
    vars: &mut BTreeMap<String, Variable>,
    overrides: &Overrides,
    problems: &mut DiagnosticSink,
) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for (name, text) in &overrides.set {
        if let Some(var) = vars.get_mut(name) {
            var.value.clone_from(text);
        } else if SETTINGS.iter().any(|key| key.name == name) {
            match NodeConfig::default().set(name, text) {
                Ok(()) => settings.push((name.clone(), text.clone())),
                Err(error) => problems.add(Diagnostic::nowhere(format!("setting {name}={text}: {error}"))),
            }
        } else {
            let names = vars.keys().map(String::as_str).chain(SETTINGS.iter().map(|key| key.name));
            let what =
                format!("setting {name}={text}: the topology has no variable and nodes have no setting of that name");
            let mut problem = Diagnostic::nowhere(what);
            problem.help = suggestion(name, names, "there are");
            problems.add(problem);
        }
    }
    settings
}

fn expand(node: &mut YamlNode, vars: &mut BTreeMap<String, Variable>, problems: &mut DiagnosticSink) {
    match &mut node.value {
        YamlValue::Empty => {}
        YamlValue::List(items) => items.iter_mut().for_each(|item| expand(item, vars, problems)),
        YamlValue::Map(entries) => entries.iter_mut().for_each(|(_, node)| expand(node, vars, problems)),
        YamlValue::Scalar(text) if !text.contains("${") => {}
        YamlValue::Scalar(text) => match expanded(text, vars) {
            Ok((new, used)) => {
                *text = new;
                node.expanded = Some(used);
            }
            Err(mut problem) => {
                problem.span = Some(node.span.clone());
                problems.add(problem);
                // What is unknown is not judged any further.
                node.value = YamlValue::Empty;
                node.expanded = Some(String::new());
            }
        },
    }
}

/// The text with every `${name}` replaced, and which were: `${die} is 1/100`.
fn expanded(text: &str, vars: &mut BTreeMap<String, Variable>) -> Result<(String, String), Diagnostic> {
    let mut new = String::new();
    let mut used = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else {
            return Err(Diagnostic::nowhere("'${' without its '}'").help("write ${name}"));
        };
        let Some(Variable { value, used: is_used }) = vars.get_mut(name) else {
            let mut problem = Diagnostic::nowhere(format!("there is no variable {}", quoted(name)));
            problem.help = suggestion(name, vars.keys().map(String::as_str), "variables")
                .or_else(|| Some(format!("declare it: vars: {{{name}: …}}")));
            return Err(problem);
        };
        new.push_str(before);
        *is_used = true;
        new.push_str(value);
        if new.len() > EXPANDED_BYTES_MAX {
            return Err(Diagnostic::nowhere(format!(
                "with its variables this has more than {EXPANDED_BYTES_MAX} bytes"
            )));
        }
        let what = format!("${{{name}}} is {value}");
        if !used.contains(&what) {
            used.push(what);
        }
        rest = tail;
    }
    new.push_str(rest);
    Ok((new, used.join(", ")))
}
