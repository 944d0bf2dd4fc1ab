//! `harness schema`: the JSON Schema of topology files.

use butter_cli::output;

use super::Exit;
use crate::planner;
use crate::results::directory::json;

pub(super) fn schema() -> Exit {
    output::data(json(&planner::schema()).as_bytes());
    Exit::Passed
}
