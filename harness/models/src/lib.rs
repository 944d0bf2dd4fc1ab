//! What a run is made of: plans, models of networks, and the two programs made of these, simulator and router.
//!
//! Start reading at [`plan`] (what a topology file becomes), [`net`] (what NATs, links and firewalls do to a packet) and
//! [`sim`]. The package is apart from the harness because its speed matters: it is compiled with all optimisation, and the
//! harness is not.

pub mod adversary;
pub mod duration_text;
pub mod events;
pub mod index;
pub mod metrics;
pub mod net;
pub mod op;
pub mod plan;
pub mod router;
pub mod series;
pub mod sim;
pub mod statistics;
pub mod testing;
