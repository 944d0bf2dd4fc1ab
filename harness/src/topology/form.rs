//! The forms that values of keys have, as data: what a schema can say of them. The readers decide.

use super::fields::MapSpec;
use super::units::Unit;

/// What the value of a key looks like. Any single value may have variables in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum ValueForm {
    /// Only the reader knows.
    #[default]
    Open,
    /// Nothing after the key.
    Absent,
    /// A single value of any sort.
    Text,
    /// A name of a network, a node group or a topology.
    Name,
    /// A text that this pattern matches.
    Matching(&'static str),
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Count(u64, u64),
    /// A number without a unit, from 0 to this.
    Number(u64),
    /// A quantity with its unit.
    Quantity {
        /// As [`Unit::WHAT`].
        what: &'static str,
        /// As [`Unit::EXAMPLE`].
        example: &'static str,
        /// As [`Unit::PATTERN`].
        pattern: &'static str,
    },
    /// One of some words.
    Words(fn() -> Vec<&'static str>),
    /// `none`, or one or more of some words, joined by `+`.
    JoinedWords(fn() -> Vec<&'static str>),
    /// A list of values, of this many at least.
    List(usize, &'static ValueForm),
    /// A map of known keys.
    Map(&'static MapSpec),
    /// A map of names of the file to maps of known keys; it has at least one.
    NamedMaps(&'static MapSpec),
    /// A map of names to values of one form.
    Entries(&'static ValueForm),
    /// Settings of nodes.
    Settings,
    /// Steps, each of one verb.
    Steps,
    /// One of several forms.
    Either(&'static [ValueForm]),
}

impl ValueForm {
    /// A name, or a list of names.
    pub(crate) const NAMES: ValueForm = ValueForm::Either(&[ValueForm::Text, ValueForm::List(1, &ValueForm::Text)]);

    /// A quantity of a unit.
    pub(crate) const fn quantity<T: Unit>() -> ValueForm {
        ValueForm::Quantity { what: T::WHAT, example: T::EXAMPLE, pattern: T::PATTERN }
    }
}

/// `all`, alone.
pub(crate) const ALL: ValueForm = ValueForm::Words(|| vec!["all"]);

/// The words of a table.
pub(crate) fn words_of<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(word, _)| *word).collect()
}
