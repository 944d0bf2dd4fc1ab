//! Networks by the names that a file can call them: `home`, and `home-3` where `home` has a count.

use std::collections::BTreeMap;

use super::numbered;
use crate::plan::NetworkRange;
use crate::topology::diagnostics::{Problem, Problems, Span, quoted, suggestion};
use crate::topology::fields::Spanned;

/// Every network's name.
#[derive(Debug)]
pub(in crate::topology) struct Places {
    by_name: BTreeMap<String, Place>,
}

/// What one entry of the file makes.
#[derive(Debug)]
pub(super) struct Place {
    /// Which entry.
    pub(super) entry: usize,
    /// Where its name is written.
    pub(super) span: Span,
    /// Its networks' indices in the plan.
    pub(super) networks: NetworkRange,
    /// Whether each of the networks has a number.
    counted: bool,
}

impl Places {
    /// Numbers the networks of entries of the file, in the order given: which entry, its name and its count.
    pub(in crate::topology) fn new<'r>(
        entries: impl IntoIterator<Item = (usize, &'r Spanned<String>, Option<u64>)>,
    ) -> Self {
        let mut by_name = BTreeMap::new();
        let mut next = 0;
        for (entry, name, count) in entries {
            let networks = NetworkRange::new(next, count.map_or(1, |count| count as usize));
            next += networks.count;
            let place = Place { entry, span: name.span.clone(), networks, counted: count.is_some() };
            by_name.insert(name.value.clone(), place);
        }
        Places { by_name }
    }

    /// The networks that a name stands for.
    pub(in crate::topology) fn find(&self, name: &str) -> Option<NetworkRange> {
        self.place(name).map(|(_, networks)| networks)
    }

    /// The entry that made the networks of a name, and which those are.
    pub(super) fn place(&self, name: &str) -> Option<(&Place, NetworkRange)> {
        let whole = self.by_name.get(name).map(|place| (place, place.networks));
        whole.or_else(|| self.member(name))
    }

    /// One of the networks that a count makes: `home-3`.
    pub(super) fn member(&self, name: &str) -> Option<(&Place, NetworkRange)> {
        let (group, number) = numbered(name)?;
        let place = self.by_name.get(group).filter(|place| place.counted)?;
        let known = (1..=place.networks.count as u64).contains(&number);
        known.then(|| (place, place.networks.nth(number as usize - 1).into()))
    }

    /// The same of a name that has to stand for some.
    pub(super) fn known(&self, name: &Spanned<String>, problems: &mut Problems) -> Option<(&Place, NetworkRange)> {
        let found = self.place(&name.value);
        if found.is_none() {
            let problem = Problem::at(&name.span, format!("there is no network {}", quoted(&name.value)));
            problems.add(Problem { help: self.suggestion(&name.value), ..problem });
        }
        found
    }

    /// The file's names, in order.
    pub(in crate::topology) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// What to write in place of a name that stands for no network.
    pub(in crate::topology) fn suggestion(&self, name: &str) -> Option<String> {
        self.members(name).or_else(|| suggestion(name, self.names(), "networks"))
    }

    /// What `home-9` could have been where `home` has seven.
    pub(super) fn members(&self, name: &str) -> Option<String> {
        let (group, _) = numbered(name)?;
        let place = self.by_name.get(group).filter(|place| place.counted)?;
        Some(format!("the networks of '{group}' are {group}-1 to {group}-{}", place.networks.count))
    }
}
