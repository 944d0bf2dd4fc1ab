//! What each node of a group may use of the machine, as written.

use crate::plan::NodeLimits;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span};
use crate::topology::fields::{Fields, MapSpec, Spanned, key};
use crate::topology::form::ValueForm;
use crate::topology::tree::YamlNode;
use crate::topology::units::{Share, Size};

/// Least share of a core: the kernel gives no less.
const CPU_MIN: f64 = 0.01;
/// Least memory: a container engine takes no less.
const MEMORY_MIN: u64 = 6 << 20;

pub(crate) static LIMITS: MapSpec = MapSpec {
    what: "limits",
    keys: &[
        key("cpu", "50%", "share of one processor core").of(ValueForm::quantity::<Share>()),
        key("memory", "64MiB", "memory; a node that needs more is killed by the kernel")
            .of(ValueForm::quantity::<Size>()),
    ],
    later: &[],
};

/// Reads them. `None` where they are faulty, which is reported.
pub(crate) fn read(node: &YamlNode, owner: &Span, problems: &mut DiagnosticSink) -> Option<NodeLimits> {
    let fields = Fields::open(node, owner, &LIMITS, problems);
    let cpu = fields.quantity::<Share>("cpu", problems).map(|Spanned { value: Share(share), span }| {
        if share < CPU_MIN {
            let problem = Diagnostic::at(&span, "a node needs some of a core");
            problems.add(problem.help(format!("at least cpu: {}", Share(CPU_MIN))));
        }
        share
    });
    let memory = fields.quantity::<Size>("memory", problems).map(|Spanned { value: Size(bytes), span }| {
        if bytes < MEMORY_MIN {
            let problem = Diagnostic::at(&span, format!("no node runs in {bytes} bytes of memory"));
            problems.add(problem.help(format!("at least memory: {}MiB", MEMORY_MIN >> 20)));
        }
        bytes
    });
    if fields.get("cpu").is_none() && fields.get("memory").is_none() {
        problems.add(Diagnostic::at(owner, "nothing is limited here").help("such as limits: {memory: 64MiB}"));
    }
    (cpu.is_some() || memory.is_some()).then_some(NodeLimits { cpu, memory })
}
