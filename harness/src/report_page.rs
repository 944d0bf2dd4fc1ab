//! `report.html`: a run on one page that needs no network, and a set of runs on another.
//!
//! A page is made from a record alone, so that it can be made again long after the run. Rust sums up the record as JSON; the page's
//! own JavaScript draws that. Each section has one file for its data and one for its view, and its line in the table of
//! [`section::SECTIONS`].
//!
//! | module | what it holds |
//! | --- | --- |
//! | `run_files` | the files of a record, as far as they can be read |
//! | `section` | the seam between record and sections, and the table of all sections |
//! | `sections/` | one file each: what a section of the page shows |
//! | `log_lines` | what the log of a node says of what befell it |
//! | `thin` | how long series and lists are kept short |
//! | `repeat` | the command that repeats a run |
//! | `run_page` | the page of one run |
//! | `live` | the page of a run while it lasts |
//! | `set_page`, `swept` | the page of several runs, and what varies between them |
//! | `document` | the HTML around the data |
//! | `view/` | HTML, style and scripts, which the page carries with it |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::results::run_set::RunSetError;

mod document;
pub mod live;
mod log_lines;
mod repeat;
mod run_files;
mod run_page;
mod section;
mod sections;
mod set_page;
mod swept;
mod thin;

/// Name of the page in a record, and of that of a set of runs in the directory around the records.
pub const PAGE_FILE: &str = "report.html";

/// Why there is no page. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The directory holds no result that this program can read.
    #[error(transparent)]
    Record(#[from] RunSetError),
    /// The page cannot be written.
    #[error("cannot write the page {path}")]
    Unwritable {
        /// Path of the page.
        path: PathBuf,
        /// What the operating system reports.
        source: io::Error,
    },
}

/// Makes the page of the run in this directory, beside its result. Returns its path.
///
/// # Errors
/// If the directory has no result, or does not take the page. A file of the record that cannot be read is no error: the page says so.
pub fn write_run_page(directory: &Path) -> Result<PathBuf, PageError> {
    let page = run_page::RunPage::read(directory)?.html();
    write(&directory.join(PAGE_FILE), &page)
}

/// Makes one page of several runs, at `path`.
///
/// # Errors
/// If a record cannot be read, or the page not be written.
pub fn write_set_page(runs: &[PathBuf], path: &Path) -> Result<PathBuf, PageError> {
    let page = set_page::html(runs, path.parent().unwrap_or(Path::new("")))?;
    write(path, &page)
}

/// Writes a page at once: a full disk leaves what was there.
fn write(path: &Path, page: &str) -> Result<PathBuf, PageError> {
    let new = path.with_extension("html.new");
    let written = fs::write(&new, page).and_then(|()| fs::rename(&new, path));
    match written {
        Ok(()) => Ok(path.to_owned()),
        Err(source) => {
            // The first error is the one to report; that of the removal follows from it.
            _ = fs::remove_file(&new);
            Err(PageError::Unwritable { path: path.to_owned(), source })
        }
    }
}
