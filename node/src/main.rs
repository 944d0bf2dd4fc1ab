//! The `butter` program.

fn main() {}
