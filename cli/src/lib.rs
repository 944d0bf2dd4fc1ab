//! What the command lines of `butter` and `harness` share, so that both read and write in one way.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`arguments`] | arguments first, then environment variables for the options that they leave open |
//! | [`completions`] | scripts that let a shell complete command lines |
//! | [`manual`] | the command line as Markdown and as manual pages |
//! | [`given`] | which options stand on the command line itself |
//! | [`values`] | parsers of values: switches, counts, durations, addresses, settings |
//! | [`terminal`] | what an output stream can show: colour, progress, width, characters |
//! | [`output`] | data on standard output, messages on standard error; failed writes are kept for the exit status |
//! | [`logging`] | the log filter of a variable, and the log on standard error |
//! | [`bugs`] | a request for a report after a panic or a broken rule |
//! | [`chain`] | an error with its causes on one line |
//! | [`end_signals`] | signals that ask the process to end |

#![forbid(unsafe_code)]

pub mod arguments;
pub mod bugs;
pub mod chain;
pub mod completions;
pub mod end_signals;
pub mod given;
pub mod logging;
pub mod manual;
pub mod output;
pub mod terminal;
pub mod values;
