//! The record of a run: its directory, its result, and the sections of the result. Data only; [`crate::report`] shows it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`result`] | `result.json`: everything that follows from events and metrics, and nothing from the wall clock |
//! | [`timing`] | `timing.json`: how long the run took on this machine |
//! | [`tally`] | the events, added up section by section |
//! | [`items`], [`nodes`], [`queries`], [`absents`], [`searches`], [`connectivity`], [`rebind_recovery`], [`views`], [`links`], [`repair`] | a section each: how it is tallied, and what the result says of it |
//! | [`steps`], [`check_result`], [`incidents`], [`failed_operations`] | how steps, checks and single operations came out |
//! | [`outline`] | how a run came out, of one that has just ended or from its record |
//! | [`topology_shape`] | what two runs must share to be comparable |
//! | [`manifest`] | `run.json`: what the run was made from, so that it can be played again |
//! | [`event_line`] | how `events.jsonl` writes an event |
//! | [`published`] | tables that others have published, to stand beside ours |
//! | [`run_set`] | what the records of several runs say, as values |
//! | [`compare`] | whether two sets of runs, for example on two backends, agree |
//! | `under_way` | the record of a run that goes on, and the pace at which it is summed up |
//! | [`directory`] | the run's directory, and the record written into it during the run |

pub mod absents;
pub mod agreement;
pub mod check_result;
pub mod compare;
pub mod connectivity;
pub mod directory;
pub mod event_line;
pub mod failed_operations;
#[cfg(test)]
pub(crate) mod fixture;
pub mod incidents;
pub mod items;
pub mod links;
pub mod manifest;
pub mod nodes;
pub mod outline;
pub mod published;
pub mod queries;
pub mod rebind_recovery;
pub mod repair;
pub mod result;
pub mod run_set;
pub mod searches;
pub mod steps;
pub mod tally;
pub mod timing;
pub mod topology_shape;
pub(crate) mod under_way;
pub mod views;
