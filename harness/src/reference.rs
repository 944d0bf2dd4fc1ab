//! The reference part of the guide, made from the tables that the program itself reads: keys, verbs, checks, presets, settings,
//! metrics. `docs/reference/` holds the pages; a test fails when they are stale.
//!
//! | module | what it describes |
//! | --- | --- |
//! | `keys` | keys of topology files and of steps |
//! | `presets` | links, NATs and lifetimes that have names |
//! | `instruments` | metrics of nodes, routers and the run |

use std::fmt::Write;

use butter::config::SETTINGS;

use crate::checks;
use crate::series::MetricFamily;
use crate::steps::faults::{FAULTS, FaultSupport};

mod instruments;
mod keys;
mod presets;

/// A page of the reference, in Markdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencePage {
    /// Name of its file within `docs/reference/`.
    pub file: &'static str,
    /// The whole page in Markdown.
    pub text: String,
}

/// Stands at the top of each page.
pub const NOTICE: &str =
    "<!-- Made from the code: UPDATE_GOLDEN=1 cargo test -p butter-harness --test reference -->\n\n";

/// Every page that the code's own tables make.
pub fn pages() -> Vec<ReferencePage> {
    let page = |file, text: String| ReferencePage { file, text: format!("{NOTICE}{text}") };
    vec![
        page("topology.md", keys::topology()),
        page("steps.md", keys::steps()),
        page("faults.md", faults()),
        page("checks.md", checks()),
        page("presets.md", presets::presets()),
        page("settings.md", settings()),
        page("metrics.md", instruments::metrics()),
    ]
}

/// Help and type of every metric of nodes and routers.
pub(crate) fn metric_families() -> Vec<MetricFamily> {
    instruments::scraped().iter().map(MetricFamily::from).collect()
}

fn checks() -> String {
    let mut text = String::from(
        "# Checks\n\nA check is a measure, one of `>=`, `>`, `<=`, `<` and `==`, and a bound. \
         The list `checks` of a file is evaluated at the end. The step `check` evaluates one in between.\n\n\
         | measure | what it measures | example |\n| --- | --- | --- |\n",
    );
    for form in checks::forms() {
        row(&mut text, &[&format!("`{}`", form.syntax), form.meaning, &format!("`{}`", form.example)]);
    }
    text
}

fn faults() -> String {
    let mut text = String::from(
        "# Faults\n\nWhat a topology can have go wrong, and on which backends. `topologies/faults.yaml` plays what all of them do. \
         A topology that asks for anything else is refused before anything is built.\n\n\
         | fault | in a topology | sim | netns | docker |\n| --- | --- | --- | --- | --- |\n",
    );
    for fault in &FAULTS {
        let refused;
        let [sim, real] = match fault.support {
            FaultSupport::Everywhere => ["yes"; 2],
            FaultSupport::Differs { sim, real } => [sim, real],
            FaultSupport::RealOnly { sim } => {
                refused = format!("refused: {sim}");
                [refused.as_str(), "yes"]
            }
            FaultSupport::Refused(why) => {
                refused = format!("refused: {why}");
                [refused.as_str(); 2]
            }
        };
        row(&mut text, &[fault.what, &format!("`{}`", fault.written), sim, real, real]);
    }
    text
}

fn settings() -> String {
    let mut text = String::from(
        "# Settings of nodes\n\n`config` of a topology sets them for all nodes, `config` of a node group for its nodes, and \
         `--set` of both programs from the command line.\n\n| setting | meaning | example |\n| --- | --- | --- |\n",
    );
    for setting in SETTINGS.iter() {
        row(&mut text, &[&format!("`{}`", setting.name), setting.help, &format!("`{}`", setting.example)]);
    }
    text
}

/// A row of a table: a bar within a cell would end it.
fn row(text: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(text, "| {} |", cells.join(" | ")).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_as_many_cells_as_their_header() {
        for page in pages() {
            let mut columns = None;
            for line in page.text.lines() {
                let cells = line.replace("\\|", "").matches('|').count();
                match line.starts_with('|') {
                    true => assert_eq!(*columns.get_or_insert(cells), cells, "{}: {line}", page.file),
                    false => columns = None,
                }
            }
        }
    }

    #[test]
    fn no_page_is_empty() {
        for page in pages() {
            assert!(page.text.lines().filter(|line| line.starts_with('|')).count() > 10, "{}", page.file);
        }
    }
}
