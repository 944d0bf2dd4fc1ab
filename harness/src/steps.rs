//! The verbs of topology files: one file for each, and one table that parser, messages and reference are made from.
//!
//! A new verb is a file with a [`Verb`] and a [`StepSpec`], and a line in [`VERBS`].
//!
//! | module | subject |
//! | --- | --- |
//! | `step` | what a verb has to say for itself: the trait and what it works with |
//! | `state` | who is alive and what is stored by then, and the seeds of a step |
//! | `faults` | what can go wrong, and on which backends |
//! | `meanwhile` | who is alive while steps run beside each other |
//! | `named` | nodes and networks that a step names |
//! | `keywords`, `searching` | keywords of stored items, and searches for them |
//! | `zipf` | what is drawn often and what rarely |
//! | `reference` | all verbs with their keys, as text |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::plan::Step;
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, LineIndex, Span, quoted, suggestion};
use crate::topology::fields::not_yet;
use crate::topology::tree::{YamlKey, YamlNode, YamlValue};

pub(crate) mod check;
mod churn;
mod connect;
mod corrupt_store;
mod disk_full;
pub(crate) mod faults;
mod firewall;
mod heal;
mod join;
mod keywords;
mod kill;
mod link;
mod load;
mod meanwhile;
mod move_nodes;
mod named;
mod outage;
mod parallel;
mod partition;
mod pause;
mod rebind;
mod reference;
mod repeat;
mod resume;
mod retrieve;
mod searching;
mod settle;
mod sleep;
mod start;
pub(crate) mod state;
pub(crate) mod step;
mod stop;
mod store;
mod wait;
mod zipf;

pub(crate) use churn::lifetime_presets;
pub use reference::reference;
pub use state::OPS_MAX;

use state::{PlanState, SeedStream};
use step::{Rounds, ScheduleError, StepReader, StepSource, StepSpec, Verb};

/// Every verb, in the order of the reference.
pub(crate) static VERBS: [&Verb; 26] = [
    &join::VERB,
    &store::VERB,
    &retrieve::VERB,
    &load::VERB,
    &churn::VERB,
    &kill::VERB,
    &stop::VERB,
    &start::VERB,
    &pause::VERB,
    &resume::VERB,
    &sleep::VERB,
    &move_nodes::VERB,
    &settle::VERB,
    &wait::VERB,
    &rebind::VERB,
    &link::VERB,
    &firewall::VERB,
    &outage::VERB,
    &partition::VERB,
    &heal::VERB,
    &disk_full::VERB,
    &corrupt_store::VERB,
    &connect::VERB,
    &check::VERB,
    &parallel::VERB,
    &repeat::VERB,
];

/// Verbs that the format reserves for later versions.
const VERBS_RESERVED: [&str; 2] = ["skew", "exec"];

/// Most steps of a plan, every round of a `repeat` counted.
const STEPS_MAX: usize = 10_000;

/// A step of the file.
#[derive(Debug)]
pub(crate) struct StepEntry {
    verb: &'static Verb,
    pub(crate) spec: Box<dyn StepSpec>,
    /// Place of its verb in the file.
    pub(crate) span: Span,
    /// Line in the file, from 1.
    line: usize,
    /// Which round of how many it belongs to, inside a `repeat`.
    round: Option<(u64, u64)>,
}

/// Reads the steps of a file. Of one with an unknown verb nothing is left but its diagnostic.
pub(crate) fn read(nodes: &[YamlNode], source: &str, problems: &mut DiagnosticSink) -> Vec<StepEntry> {
    let mut entries = Vec::new();
    read_into(&mut entries, nodes, &LineIndex::new(source), None, problems);
    entries
}

/// Looks up everything that the steps name.
pub(crate) fn validate(steps: &mut [StepEntry], names: &NameTable<'_>, problems: &mut DiagnosticSink) {
    for step in steps {
        step.spec.validate(&step.span, names, problems);
    }
}

/// Decides every operation of the steps.
///
/// # Errors
/// With the index of the step that cannot be scheduled.
pub(crate) fn schedule(
    steps: &[StepEntry],
    seed: u64,
    state: &mut PlanState<'_>,
) -> Result<Vec<Step>, (usize, ScheduleError)> {
    let mut scheduled = Vec::with_capacity(steps.len());
    for (index, StepEntry { verb, spec, line, round, .. }) in steps.iter().enumerate() {
        let seeds = SeedStream::new(seed, index);
        let ops = spec.schedule(state, &seeds).map_err(|error| (index, error))?;
        state.count_ops(ops.len()).map_err(|error| (index, error))?;
        let (mut summary, ends) = (spec.summary(&ops), spec.ends(&ops, state));
        if let Some((round, of)) = round {
            summary = format!("{summary} (round {round} of {of})");
        }
        scheduled.push(Step { verb: verb.name, summary, ops, ends, line: *line });
    }
    Ok(scheduled)
}

/// Adds the steps of a list, those of a `repeat` as often as it says.
fn read_into(
    entries: &mut Vec<StepEntry>,
    nodes: &[YamlNode],
    lines: &LineIndex,
    round: Option<(u64, u64)>,
    problems: &mut DiagnosticSink,
) {
    for node in nodes {
        let nothing = YamlNode { value: YamlValue::Empty, span: node.span.clone(), expanded: None };
        let Some((verb, span, value)) = verb_of(node, &nothing, problems) else { continue };
        let source = StepSource { node: value, span, keys: verb.keys, lines };
        if entries.len() >= STEPS_MAX {
            let problem =
                Diagnostic::at(span, format!("with every round counted there are more than {STEPS_MAX} steps"));
            problems.add(problem.help("repeat fewer times"));
            return;
        }
        match verb.read {
            StepReader::One(read) => {
                let spec = read(&source, problems);
                entries.push(StepEntry { verb, spec, span: span.clone(), line: lines.of(span.start), round });
            }
            StepReader::Rounds(read) => {
                let Rounds { times, steps } = read(&source, problems);
                for number in 1..=times {
                    let before = entries.len();
                    read_into(entries, steps, lines, Some((number, times)), problems);
                    if entries.len() == before {
                        break;
                    }
                }
            }
        }
    }
}

/// The verb of a step with its place, and what stands under it.
fn verb_of<'t>(
    node: &'t YamlNode,
    nothing: &'t YamlNode,
    problems: &mut DiagnosticSink,
) -> Option<(&'static Verb, &'t Span, &'t YamlNode)> {
    let (name, span, value) = match &node.value {
        YamlValue::Scalar(name) => (name.trim(), &node.span, nothing),
        YamlValue::Map(entries) => match entries.as_slice() {
            [(key, value)] => (key.name.as_str(), &key.span, value),
            several => {
                problems.add(several_verbs(several, node));
                return None;
            }
        },
        _ => {
            problems.add(
                Diagnostic::at(&node.span, format!("a step is a verb, not {}", node.shape()))
                    .help("such as - join: {within: 30s}"),
            );
            return None;
        }
    };
    let verb = VERBS.iter().find(|verb| verb.name == name);
    if verb.is_none() {
        problems.add(unknown_verb(name, span));
    }
    verb.map(|verb| (*verb, span, value))
}

fn several_verbs(entries: &[(YamlKey, YamlNode)], node: &YamlNode) -> Diagnostic {
    let is_verb = |name: &str| VERBS.iter().any(|verb| verb.name == name) || VERBS_RESERVED.contains(&name);
    match entries {
        [(verb, YamlNode { value: YamlValue::Empty, .. }), (setting, _), ..] if !is_verb(&setting.name) => {
            Diagnostic::at(&setting.span, format!("`{}` is beside its verb, not under it", setting.name))
                .label("indent this further")
                .related(&verb.span, "the verb")
                .help(format!("or write it in one line: {}: {{{}: …}}", verb.name, setting.name))
        }
        [_, (second, _), ..] => Diagnostic::at(&second.span, "a step has one verb, and this is a second")
            .help("begin another step with '-'"),
        _ => Diagnostic::at(&node.span, "a step has one verb, and this has none").help("such as - join: {within: 30s}"),
    }
}

fn unknown_verb(name: &str, span: &Span) -> Diagnostic {
    if VERBS_RESERVED.contains(&name) {
        return not_yet(span, &format!("the step `{name}`"));
    }
    let mut problem = Diagnostic::at(span, format!("unknown step {}", quoted(name)));
    problem.help = VERBS
        .iter()
        .find(|verb| verb.formerly.contains(&name))
        .map(|verb| format!("it is now called '{}'", verb.name))
        .or_else(|| suggestion(name, VERBS.iter().map(|verb| verb.name), "steps"));
    problem
}
