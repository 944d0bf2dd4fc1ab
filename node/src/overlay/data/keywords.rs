//! Keywords of values: what they may be, and how they look on the wire.
//!
//! A value may carry up to [`KEYWORDS_MAX`] keywords. They belong to its first block, which names it, and every copy of that block
//! has them. They are no part of its id: the same bytes have the same id, whatever they are called.

use bincode::{Decode, Encode};
use sha2::{Digest, Sha256};

mod described;

pub(super) use described::DescribedBlocks;

/// Most keywords of one value.
pub const KEYWORDS_MAX: usize = 16;
/// Most bytes of one keyword, in lower case.
pub const KEYWORD_BYTES_MAX: usize = 64;
/// Hashed before a term, so that no term has the print of a block on purpose.
const TERM_DOMAIN: &[u8] = b"butter term 1";

/// The keywords of one value: in lower case, each once, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Keywords(Box<[Box<str>]>);

/// Why texts are no keywords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeywordError {
    /// There are more than [`KEYWORDS_MAX`].
    #[error("{0} keywords: a value has at most {KEYWORDS_MAX}")]
    TooMany(usize),
    /// One has nothing but blanks.
    #[error("an empty keyword: leave it out")]
    Empty,
    /// One has more than [`KEYWORD_BYTES_MAX`] bytes.
    #[error("the keyword `{0}` has {1} bytes: at most {KEYWORD_BYTES_MAX} are allowed")]
    TooLong(String, usize),
    /// One has a character that separates keywords or stands around them in a query, or is invisible.
    #[error("the keyword `{0}` has the character {1:?}: commas, double quotes and control characters are not allowed")]
    BadCharacter(String, char),
}

impl Keywords {
    /// Puts texts into the form of keywords: without blanks around them, in lower case, each once.
    ///
    /// # Errors
    /// If one of them is empty, too long or has a character that is not allowed, or if they are too many.
    pub fn new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, KeywordError> {
        let mut words = texts.into_iter().map(|text| normalised(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
        words.sort_unstable();
        words.dedup();
        if words.len() > KEYWORDS_MAX {
            return Err(KeywordError::TooMany(words.len()));
        }
        Ok(Keywords(words.into()))
    }

    /// Reads a list with commas between the keywords. An empty text has none.
    ///
    /// # Errors
    /// As [`Keywords::new`].
    pub fn from_list(list: &str) -> Result<Self, KeywordError> {
        if list.trim().is_empty() { Ok(Keywords::default()) } else { Keywords::new(list.split(',')) }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of keywords.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Each of them, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether `term` is one of them.
    pub fn contains(&self, term: &str) -> bool {
        self.0.binary_search_by(|word| word.as_ref().cmp(term)).is_ok()
    }

    /// Bytes that they take; none if there are no keywords.
    pub(super) fn bytes(&self) -> usize {
        usize::from(!self.is_empty()) + self.iter().map(|word| 1 + word.len()).sum::<usize>()
    }

    /// Whether they are what [`Keywords::new`] makes: what comes from a peer may be anything.
    pub(super) fn is_valid(&self) -> bool {
        self.len() <= KEYWORDS_MAX
            && self.0.is_sorted_by(|a, b| a < b)
            && self.iter().all(|word| normalised(word).is_ok_and(|right| *right == *word))
    }

    /// These, and those of `more` for which there is room. What is there already is never displaced.
    pub(super) fn joined(&self, more: &Keywords) -> Keywords {
        let new = more.0.iter().filter(|word| !self.contains(word)).take(KEYWORDS_MAX.saturating_sub(self.len()));
        let mut words: Vec<Box<str>> = self.0.iter().chain(new).cloned().collect();
        words.sort_unstable();
        Keywords(words.into())
    }
}

/// A text as a keyword.
///
/// # Errors
/// If it cannot be one.
pub(super) fn normalised(text: &str) -> Result<Box<str>, KeywordError> {
    let word = text.trim().to_lowercase();
    if word.is_empty() {
        return Err(KeywordError::Empty);
    }
    if let Some(bad) = word.chars().find(|letter| letter.is_control() || matches!(letter, ',' | '"')) {
        return Err(KeywordError::BadCharacter(word, bad));
    }
    if word.len() > KEYWORD_BYTES_MAX {
        let length = word.len();
        return Err(KeywordError::TooLong(word, length));
    }
    Ok(word.into())
}

/// The print of a keyword in an inventory.
pub(super) fn print_of_term(term: &str) -> u32 {
    let hash = Sha256::new().chain_update(TERM_DOMAIN).chain_update(term).finalize();
    u32::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_become_keywords_or_say_what_is_wrong() {
        let words = Keywords::new([" Rust", "NAT", "rust ", "ΣΊΣΥΦΟΣ", "peer to peer"]).unwrap();
        assert_eq!(words.iter().collect::<Vec<_>>(), ["nat", "peer to peer", "rust", "σίσυφος"]);
        assert!(words.is_valid() && words.contains("rust") && !words.contains("Rust"));
        assert_eq!(Keywords::from_list("b, a"), Keywords::new(["a", "b"]));
        assert!(Keywords::from_list(" ").unwrap().is_empty());
        let error = |text: &str| Keywords::new([text]).unwrap_err().to_string();
        assert!(error("a\nb").contains("'\\n'"), "{}", error("a\nb"));
        assert!(error("say \"a\"").contains("double quotes"));
        assert!(error(&"x".repeat(KEYWORD_BYTES_MAX + 1)).contains("65 bytes"));
        assert_eq!(Keywords::from_list("a,,b"), Err(KeywordError::Empty));
        let many = Keywords::new((0..=KEYWORDS_MAX).map(|number| format!("word{number}")));
        assert_eq!(many, Err(KeywordError::TooMany(KEYWORDS_MAX + 1)));
    }

    #[test]
    fn what_is_there_is_not_displaced() {
        let full = Keywords::new((0..KEYWORDS_MAX).map(|number| format!("m{number}"))).unwrap();
        assert_eq!(full.joined(&Keywords::new(["a", "z"]).unwrap()), full);
        let one = Keywords::new(["m"]).unwrap();
        assert_eq!(one.joined(&Keywords::new(["z", "a", "m"]).unwrap()), Keywords::new(["a", "m", "z"]).unwrap());
        assert_eq!(one.joined(&full).len(), KEYWORDS_MAX);
    }

    #[test]
    fn what_no_honest_node_sends_is_not_valid() {
        let raw = |words: &[&str]| Keywords(words.iter().map(|&word| word.into()).collect());
        for bad in [&["b", "a"][..], &["a", "a"], &["A"], &[""], &[" a"], &["a,b"], &["a"; 17]] {
            assert!(!raw(bad).is_valid(), "{bad:?}");
        }
        assert!(raw(&["a", "b"]).is_valid());
    }

    proptest! {
        #[test]
        fn keywords_keep_their_form(texts in proptest::collection::vec(any::<String>(), 0..20)) {
            if let Ok(words) = Keywords::new(&texts) {
                prop_assert!(words.is_valid(), "{words:?}");
                prop_assert_eq!(Keywords::new(words.iter()), Ok(words.clone()));
            }
        }
    }
}
