//! Checks with what was measured.

use comfy_table::Table;

use super::format::measured;
use super::style::{TableStyle, add_row};
use crate::results::check_result::CheckResult;

/// A row for each check.
pub(super) fn table(checks: &[CheckResult], style: TableStyle) -> Option<Table> {
    if checks.is_empty() {
        return None;
    }
    let mut table = style.table(["check", "measured", "pass"]);
    for check in checks {
        let step = check.step.map_or(String::new(), |step| format!(" (step {})", step + 1));
        let passed = match (check.passed, check.has_failed()) {
            (true, _) => "yes",
            (false, true) => "NO",
            (false, false) => "–",
        };
        add_row(&mut table, style, [format!("{}{step}", check.text), measured(check), passed.to_owned()]);
    }
    Some(table)
}
