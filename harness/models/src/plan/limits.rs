//! What a node may use of the machine.

use std::fmt;

use serde::Serialize;

/// Limits of a node; what is not named is not limited.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NodeLimits {
    /// Share of one processor core, above 0 and at most 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Bytes of memory. A process that needs more is killed by the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

impl fmt::Display for NodeLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = self.cpu.map(|share| format!("{} % of a core", share * 100.0));
        let memory = self.memory.map(|bytes| format!("{} MiB of memory", bytes as f64 / (1 << 20) as f64));
        f.write_str(&cpu.into_iter().chain(memory).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_with_their_units() {
        let limits = NodeLimits { cpu: Some(0.5), memory: Some(64 << 20) };
        assert_eq!(limits.to_string(), "50 % of a core, 64 MiB of memory");
    }
}
