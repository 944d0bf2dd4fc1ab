//! Networks by the names that a file can call them: `home`, and `home-3` where `home` has a count.

use std::collections::BTreeMap;

use super::numbered;
use crate::plan::NetworkRange;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted, suggestion};
use crate::topology::fields::Spanned;

/// Every network's name.
#[derive(Debug)]
pub(crate) struct NetworkNames {
    by_name: BTreeMap<String, NetworkEntry>,
}

/// What one entry of the file makes.
#[derive(Debug)]
pub(crate) struct NetworkEntry {
    /// Which entry.
    pub(crate) entry: usize,
    /// Where its name is written.
    pub(crate) span: Span,
    /// Its networks' indices in the plan.
    pub(crate) networks: NetworkRange,
    /// Whether each of the networks has a number.
    counted: bool,
}

impl NetworkNames {
    /// Numbers the networks of entries of the file, in the order given: which entry, its name and its count.
    pub(crate) fn new<'r>(entries: impl IntoIterator<Item = (usize, &'r Spanned<String>, Option<u64>)>) -> Self {
        let mut by_name = BTreeMap::new();
        let mut next = 0;
        for (entry, name, count) in entries {
            let networks = NetworkRange::new(next, count.map_or(1, |count| count as usize));
            next += networks.count;
            let place = NetworkEntry { entry, span: name.span.clone(), networks, counted: count.is_some() };
            by_name.insert(name.value.clone(), place);
        }
        NetworkNames { by_name }
    }

    /// The networks that a name stands for.
    pub(crate) fn find(&self, name: &str) -> Option<NetworkRange> {
        self.place(name).map(|(_, networks)| networks)
    }

    /// The entry that made the networks of a name, and which those are.
    pub(crate) fn place(&self, name: &str) -> Option<(&NetworkEntry, NetworkRange)> {
        let whole = self.by_name.get(name).map(|place| (place, place.networks));
        whole.or_else(|| self.member(name))
    }

    /// One of the networks that a count makes: `home-3`.
    pub(crate) fn member(&self, name: &str) -> Option<(&NetworkEntry, NetworkRange)> {
        let (group, number) = numbered(name)?;
        let place = self.by_name.get(group).filter(|place| place.counted)?;
        let known = (1..=place.networks.count as u64).contains(&number);
        known.then(|| (place, place.networks.nth(number as usize - 1).into()))
    }

    /// The same of a name that has to stand for some.
    pub(crate) fn known(
        &self,
        name: &Spanned<String>,
        problems: &mut DiagnosticSink,
    ) -> Option<(&NetworkEntry, NetworkRange)> {
        let found = self.place(&name.value);
        if found.is_none() {
            let problem = Diagnostic::at(&name.span, format!("there is no network {}", quoted(&name.value)));
            problems.add(Diagnostic { help: self.suggestion(&name.value), ..problem });
        }
        found
    }

    /// The file's names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// What to write in place of a name that stands for no network.
    pub(crate) fn suggestion(&self, name: &str) -> Option<String> {
        self.members(name).or_else(|| suggestion(name, self.names(), "networks"))
    }

    /// What `home-9` could have been where `home` has seven.
    pub(crate) fn members(&self, name: &str) -> Option<String> {
        let (group, _) = numbered(name)?;
        let place = self.by_name.get(group).filter(|place| place.counted)?;
        Some(format!("the networks of '{group}' are {group}-1 to {group}-{}", place.networks.count))
    }
}
