//! An error with its causes. No error of this project repeats its cause in its own text, so the parts can be joined.

use std::error::Error;

/// The error and its causes, joined with colons.
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    parts(error).join(": ")
}

/// The text of the error and of each of its causes, outermost first.
pub fn parts(error: &(dyn Error + 'static)) -> Vec<String> {
    std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect()
}

/// A part of the chain that repeats a later part, or is repeated by one. `None` in a sound chain.
pub fn repeated_part(error: &(dyn Error + 'static)) -> Option<String> {
    let parts = parts(error);
    let is_repeated =
        |(index, part): (usize, &String)| parts[..index].iter().any(|outer| outer.contains(part.as_str()));
    parts.iter().enumerate().find(|&(index, part)| is_repeated((index, part))).map(|(_, part)| part.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Layered {
        #[error("cannot read x: {0}")]
        Repeats(#[source] std::io::Error),
        #[error("cannot read x")]
        Names(#[source] std::io::Error),
    }

    fn cause() -> std::io::Error {
        std::io::Error::other("no such file")
    }

    #[test]
    fn causes_follow_the_error_on_one_line() {
        assert_eq!(one_line(&Layered::Names(cause())), "cannot read x: no such file");
    }

    #[test]
    fn repeated_part_finds_a_cause_in_the_text_of_its_error() {
        assert_eq!(repeated_part(&Layered::Repeats(cause())).as_deref(), Some("no such file"));
        assert_eq!(repeated_part(&Layered::Names(cause())), None);
    }
}
