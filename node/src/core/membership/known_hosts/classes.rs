//! Butter's quality classes, as quotas of the passive view.
//!
//! Uptime, free storage and number of known hosts are each high or low against their mean over the view: eight classes.
//! A full view takes a host of any class but the biggest and drops one of the biggest. A little random acceptance keeps
//! classes from freezing when all hosts look alike.

use rand::RngExt;

use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::random::Random;

/// One host in so many of the biggest class is taken all the same.
const RANDOM_ACCEPTANCE: u32 = 8;

/// A class, 0..8: one bit each for uptime, storage and hosts, set when above the mean.
pub type Class = usize;

/// Inserts `contact` into `view`, which holds at most `most`. One of those `given` away for it goes first: exchanged hosts change places,
/// as in Cyclon (Voulgaris, Gavidia, van Steen 2005), and none is soon known to everybody while others are known to hardly any node.
/// Whether it was taken.
pub fn insert(view: &mut Vec<Contact>, contact: Contact, most: usize, given: &[NodeId], random: &mut Random) -> bool {
    if view.len() < most {
        view.push(contact);
        return true;
    }
    let means = Means::of(view);
    let mut sizes = [0_usize; 8];
    for known in view.iter() {
        sizes[means.class(known)] += 1;
    }
    let biggest = (0..8).max_by_key(|&class| sizes[class]).expect("there are eight");
    let pool: Vec<usize> = (0..view.len()).filter(|&at| means.class(&view[at]) == biggest).collect();
    let given: Vec<usize> = pool.iter().copied().filter(|&at| given.contains(&view[at].id)).collect();
    if given.is_empty() && means.class(&contact) == biggest && random.random_range(0..RANDOM_ACCEPTANCE) != 0 {
        return false;
    }
    let pool = if given.is_empty() { pool } else { given };
    view.remove(pool[random.random_range(0..pool.len())]);
    view.push(contact);
    true
}

/// Means of the three qualities over a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    uptime_s: u64,
    storage_free_kib: u64,
    hosts: u64,
}

impl Means {
    /// Of these; zero if there are none.
    pub fn of(view: &[Contact]) -> Self {
        let count = (view.len() as u64).max(1);
        let mean = |quality: fn(&Contact) -> u64| view.iter().map(quality).sum::<u64>() / count;
        Means {
            uptime_s: mean(|contact| contact.quality.uptime_s.into()),
            storage_free_kib: mean(|contact| contact.quality.storage_free_kib.into()),
            hosts: mean(|contact| contact.quality.hosts.into()),
        }
    }

    /// The class of a host against these means.
    pub fn class(&self, contact: &Contact) -> Class {
        let quality = &contact.quality;
        usize::from(u64::from(quality.uptime_s) > self.uptime_s)
            | usize::from(u64::from(quality.storage_free_kib) > self.storage_free_kib) << 1
            | usize::from(u64::from(quality.hosts) > self.hosts) << 2
    }
}
