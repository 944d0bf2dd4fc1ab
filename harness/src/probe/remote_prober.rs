//! The probe by a process of its own, which may do what the harness may not: it reads a survey, and prints findings.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use super::survey::{Finding, Survey};
use crate::netns::NamespaceWorkers;

/// Threads that make namespaces. The kernel does most of it one at a time.
const WORKERS: usize = 4;

/// What the process does. Each finding is a line on its standard output.
///
/// # Errors
/// If the survey cannot be read, or hosts cannot be wired to the bridges of this process's network namespace.
pub(crate) async fn main(survey: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(survey).with_context(|| format!("{} cannot be read", survey.display()))?;
    let survey: Survey = serde_json::from_str(&text).context("the survey is of another version of this program")?;
    let hosts = survey.hosts_at_home(&NamespaceWorkers::new(WORKERS)?).await?;
    let tell = |finding: Finding| {
        let line = serde_json::to_string(&finding).context("a finding as JSON")?;
        writeln!(std::io::stdout().lock(), "{line}").context("the findings cannot be written")
    };
    survey.carry_out(&hosts, tell).await
}

/// The findings of a process's output, which comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct FindingsReader {
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl FindingsReader {
    /// Takes a piece of output: the findings that it completes.
    pub(crate) fn take(&mut self, piece: &[u8]) -> anyhow::Result<Vec<Finding>> {
        self.rest.extend_from_slice(piece);
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else { return Ok(Vec::new()) };
        let lines: Vec<u8> = self.rest.drain(..=end).collect();
        let lines = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).context("it says what is no finding")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_come_in_pieces() {
        let line = r#"{"target":1,"observed":{"Err":"it is slow"}}"#;
        let finding: Finding = serde_json::from_str(line).unwrap();
        let mut reader = FindingsReader::default();
        let (head, tail) = line.split_at(9);
        assert_eq!(
            reader.take(format!("{line}\n{line}\n{head}").as_bytes()).unwrap(),
            [finding.clone(), finding.clone()]
        );
        assert_eq!(reader.take(tail.as_bytes()).unwrap(), []);
        assert_eq!(reader.take(b"\n").unwrap(), [finding]);
        assert!(reader.take(b"thread panicked\n").is_err());
    }
}
