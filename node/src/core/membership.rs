//! Who is known: the two views of known hosts, and discovery on the LAN.
//!
//! | module | content |
//! | --- | --- |
//! | [`known_hosts`] | the active and the passive view, after HyParView, with Butter's quality classes |
//! | [`discovery`] | announcements on the LAN: when to ping, when to answer |
//! | [`isolation`] | how long this node has been without a neighbour |

pub mod discovery;
pub mod isolation;
pub mod known_hosts;
