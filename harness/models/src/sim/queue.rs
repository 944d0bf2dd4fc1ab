//! The pending events: a calendar of short slots, a heap for the slot at hand and one for the far future.
//!
//! Nearly everything is due within seconds and spread evenly, so an entry is moved twice: into its slot, and out of the
//! heap of a few hundred that share it. That keeps the working set in cache with millions pending, and unlike a radix
//! heap it can tell the next entry's time without closing the door to earlier ones.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use butter::core::time::Time;

/// Width of a slot, in bits of microseconds: 512 µs.
const SLOT_BITS: u32 = 9;
/// Slots in the calendar: 8.4 s ahead. A power of two.
const SLOTS: u64 = 1 << 14;
/// Emptied slots whose memory is kept for the next.
const SPARES_MAX: usize = 64;

/// Bits of an entry's sequence number; the bits above hold the source.
const SEQUENCE_BITS: u32 = 40;

/// Events in the order of time, then source, then the source's sequence.
#[derive(Debug)]
pub struct EventQueue<E> {
    /// Entries of the slot at hand and before it.
    near: BinaryHeap<Entry<E>>,
    /// Entries of the [`SLOTS`] slots after it, at index `slot % SLOTS`.
    slots: Vec<Vec<Entry<E>>>,
    /// Entries beyond.
    far: BinaryHeap<Entry<E>>,
    /// The slot at hand, counted from time zero.
    slot: u64,
    in_slots: usize,
    spares: Vec<Vec<Entry<E>>>,
}

#[derive(Debug)]
struct Entry<E> {
    at: Time,
    order: u64,
    event: E,
}

impl<E> Entry<E> {
    fn slot(&self) -> u64 {
        self.at.as_micros() >> SLOT_BITS
    }
}

// Reversed: the standard heap gives the greatest first.
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        EventQueue {
            near: BinaryHeap::new(),
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            far: BinaryHeap::new(),
            slot: 0,
            in_slots: 0,
            spares: Vec::new(),
        }
    }
}

impl<E> EventQueue<E> {
    /// Adds an event. `source` is below 2^24; `sequence` is the source's own, never used twice.
    pub fn push(&mut self, at: Time, source: u32, sequence: u64, event: E) {
        debug_assert!(source < 1 << (64 - SEQUENCE_BITS) && sequence < 1 << SEQUENCE_BITS, "the order fits its bits");
        let entry = Entry { at, order: (u64::from(source) << SEQUENCE_BITS) | sequence, event };
        self.place(entry);
    }

    /// When the next event is due.
    pub fn next_at(&mut self) -> Option<Time> {
        self.reach();
        self.near.peek().map(|entry| entry.at)
    }

    /// Takes the next event if it is due by `until`.
    pub fn pop(&mut self, until: Time) -> Option<(Time, E)> {
        if self.next_at()? > until {
            return None;
        }
        self.near.pop().map(|entry| (entry.at, entry.event))
    }

    /// Number of events that are pending.
    pub fn len(&self) -> usize {
        self.near.len() + self.in_slots + self.far.len()
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn place(&mut self, entry: Entry<E>) {
        let slot = entry.slot();
        if slot <= self.slot {
            self.near.push(entry);
        } else if slot - self.slot < SLOTS {
            let list = &mut self.slots[(slot % SLOTS) as usize];
            if list.capacity() == 0
                && let Some(spare) = self.spares.pop()
            {
                *list = spare;
            }
            list.push(entry);
            self.in_slots += 1;
        } else {
            self.far.push(entry);
        }
    }

    /// Moves on to the first slot that holds something, unless the slot at hand does.
    fn reach(&mut self) {
        while self.near.is_empty() {
            if self.in_slots == 0 {
                // Nothing in the whole calendar: jump.
                let Some(first) = self.far.peek() else { return };
                self.slot = first.slot();
            } else {
                self.slot += 1;
                self.open_slot();
            }
            while self.far.peek().is_some_and(|entry| entry.slot() < self.slot + SLOTS) {
                let entry = self.far.pop().expect("just seen");
                self.place(entry);
            }
        }
    }

    fn open_slot(&mut self) {
        let list = &mut self.slots[(self.slot % SLOTS) as usize];
        if list.is_empty() {
            return;
        }
        let mut entries = std::mem::take(list);
        self.in_slots -= entries.len();
        self.near.extend(entries.drain(..));
        if self.spares.len() < SPARES_MAX {
            self.spares.push(entries);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a sorted list: whatever is pushed while popping comes out in order of time, source, sequence.
        #[test]
        fn comes_out_in_order(steps in prop::collection::vec((0u64..30_000_000, 0u32..4, 0usize..3), 1..200)) {
            let mut queue = EventQueue::default();
            let mut expected = Vec::new();
            let mut now = Time::ZERO;
            for (sequence, (ahead, source, pops)) in steps.into_iter().enumerate() {
                let at = Time::from_micros(now.as_micros() + ahead);
                queue.push(at, source, sequence as u64, sequence);
                expected.push((at, source, sequence));
                expected.sort();
                for _ in 0..pops.min(expected.len()) {
                    let (at, _, sequence) = expected.remove(0);
                    prop_assert_eq!(queue.next_at(), Some(at));
                    prop_assert_eq!(queue.pop(Time::NEVER), Some((at, sequence)));
                    now = at;
                }
                prop_assert_eq!(queue.len(), expected.len());
            }
            for (at, _, sequence) in expected {
                prop_assert_eq!(queue.pop(Time::NEVER), Some((at, sequence)));
            }
            prop_assert!(queue.is_empty());
        }
    }

    #[test]
    fn an_earlier_event_may_come_after_a_look_at_a_later_one() {
        let mut queue = EventQueue::default();
        queue.push(Time::from_micros(20_000_000), 0, 0, "late");
        assert_eq!(queue.next_at(), Some(Time::from_micros(20_000_000)));
        assert_eq!(queue.pop(Time::from_micros(10)), None);
        queue.push(Time::from_micros(5), 0, 1, "early");
        assert_eq!(queue.pop(Time::NEVER), Some((Time::from_micros(5), "early")));
        assert_eq!(queue.pop(Time::NEVER), Some((Time::from_micros(20_000_000), "late")));
    }
}
