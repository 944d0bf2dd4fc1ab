//! Views of a run's result.
//!
//! | module | what it shows |
//! | --- | --- |
//! | [`summary`] | the verdict and all sections, on a terminal |
//! | `checks`, `items`, `nodes`, `queries`, `searches`, `traffic`, `repair`, `connectivity`, `rebind_recovery`, `links` | one section each, as a table |
//! | [`comparison`] | two sets of runs side by side |
//! | [`run_table`], [`figure_csv`] | several runs in one table, and as plot data |
//! | [`junit`] | steps and checks as test cases, for CI |
//! | [`markdown`] | how runs came out, as Markdown |
//! | [`style`] | how wide tables are, and with which characters they are drawn |
//! | `format` | numbers with their units |

pub mod agreement;
mod checks;
pub mod comparison;
mod connectivity;
pub mod figure_csv;
pub(crate) mod format;
mod items;
pub mod junit;
mod links;
pub mod markdown;
mod nodes;
mod queries;
mod rebind_recovery;
mod repair;
pub mod run_table;
mod searches;
pub mod style;
pub mod summary;
mod traffic;
