//! Views of a run's result.
//!
//! | module | what it shows |
//! | --- | --- |
//! | [`table`] | the verdict for people |
//! | [`junit`] | the verdict for CI |

pub mod junit;
pub mod table;
