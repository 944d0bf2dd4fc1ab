//! Keywords of items, drawn from a Zipf distribution: a few are on many items, most on few (Zipf 1949).

use butter::core::random::Random;
use butter::overlay::data::keywords::KEYWORDS_MAX;

use super::zipf::ZipfRanks;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink};
use crate::topology::fields::{Fields, MapSpec, Spanned, key};
use crate::topology::form::ValueForm;
use crate::topology::units::ZipfExponent;

/// Most different keywords of one step.
const TERMS_MAX: u64 = 100_000;
/// Draws of one keyword before the most frequent one that an item lacks is taken.
const TRIES_MAX: u32 = 64;

/// The keys of `keywords`.
pub(super) static KEYWORDS: MapSpec = MapSpec {
    what: "the keywords of items",
    keys: &[
        key("terms", "200", "how many different ones there are").of(ValueForm::Count(1, TERMS_MAX)).needed(),
        key("each", "3", "how many each item has; 1 if absent").of(ValueForm::Count(1, KEYWORDS_MAX as u64)),
        key("zipf", "1.0", "exponent of the Zipf distribution that they are drawn from; 1.0 if absent")
            .of(ValueForm::Number(ZipfExponent::MOST)),
    ],
    later: &[],
};

/// Which keywords the items of a step have.
#[derive(Debug)]
pub(super) struct KeywordDraw {
    terms: u64,
    each: u64,
    zipf: f64,
}

impl KeywordDraw {
    /// Reads the key `keywords` of a store step, if it is there.
    pub(super) fn read(store: &Fields<'_>, problems: &mut DiagnosticSink) -> Option<Self> {
        let (key, node) = store.entry("keywords")?;
        let fields = Fields::open(node, &key.span, &KEYWORDS, problems);
        fields.need("terms", problems);
        // Where the number is missing, which is reported, the greatest one stands for it.
        let terms = fields.count("terms", 1, TERMS_MAX, problems).unwrap_or(TERMS_MAX);
        let each = fields.count("each", 1, KEYWORDS_MAX as u64, problems).unwrap_or(1);
        if each > terms {
            problems.add(
                Diagnostic::at(&key.span, format!("each item has {each} keywords of {terms} that there are"))
                    .help("have more terms, or fewer on each item: {terms: 200, each: 3}"),
            );
        }
        let zipf = fields.quantity::<ZipfExponent>("zipf", problems);
        let zipf = zipf.map_or(1.0, |Spanned { value: ZipfExponent(exponent), .. }| exponent);
        Some(KeywordDraw { terms, each: each.min(terms), zipf })
    }

    /// In words, for the summary of a step.
    pub(super) fn text(&self) -> String {
        format!("with {} of {} keywords each", self.each, self.terms)
    }

    /// Draws keywords, one list after the other.
    pub(super) fn lists(&self, mut random: Random) -> impl FnMut() -> Vec<String> {
        let words = ZipfRanks::new(self.terms, self.zipf);
        let each = self.each as usize;
        move || {
            let mut ranks: Vec<usize> = Vec::with_capacity(each);
            while ranks.len() < each {
                let drawn = (0..TRIES_MAX).map(|_| words.draw(&mut random)).find(|rank| !ranks.contains(rank));
                let first_lacking = || (0..words.len()).find(|rank| !ranks.contains(rank));
                let Some(rank) = drawn.or_else(first_lacking) else { break };
                ranks.push(rank);
            }
            ranks.into_iter().map(|rank| format!("word{}", rank + 1)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use butter::core::random::child;

    use super::*;

    fn counts(draw: &KeywordDraw, items: usize) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        let mut next = draw.lists(child(1, 2));
        for _ in 0..items {
            let mut list = next();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len() as u64, draw.each, "each keyword once");
            list.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
        }
        counts
    }

    #[test]
    fn the_second_word_is_half_as_frequent_as_the_first() {
        let counts = counts(&KeywordDraw { terms: 50, each: 1, zipf: 1.0 }, 20_000);
        let share = |word: &str| counts[word] as f64 / counts["word1"] as f64;
        assert!((0.45..0.55).contains(&share("word2")), "{}", share("word2"));
        assert!((0.08..0.12).contains(&share("word10")), "{}", share("word10"));
    }

    #[test]
    fn without_skew_all_are_alike() {
        let counts = counts(&KeywordDraw { terms: 10, each: 2, zipf: 0.0 }, 5_000);
        assert!(counts.values().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }

    #[test]
    fn item_that_has_all_words_is_drawn_although_some_are_rare() {
        let counts = counts(&KeywordDraw { terms: 16, each: 16, zipf: 4.0 }, 3);
        assert!(counts.len() == 16 && counts.values().all(|&count| count == 3));
    }
}
