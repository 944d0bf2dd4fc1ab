//! Faults that can be built into a node on purpose, to see that a search for faults finds them.

/// A known fault. No setting has one: a program has to ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeededFault {
    /// A put is acknowledged with the writer's own copy alone.
    EarlyAcknowledgement,
    /// The view of a stranger counts without a proof that it holds the block.
    UnprovenViews,
    /// A surplus copy is dropped once one member has shown the block.
    EarlyDrop,
}

impl SeededFault {
    /// All, with their names.
    pub const NAMES: [(&str, SeededFault); 3] = [
        ("early-acknowledgement", SeededFault::EarlyAcknowledgement),
        ("unproven-views", SeededFault::UnprovenViews),
        ("early-drop", SeededFault::EarlyDrop),
    ];
}
