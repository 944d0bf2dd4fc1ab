//! Leaves gracefully: every group gets another member in this node's place before it goes.

use std::time::Duration;

use super::super::view::GroupView;
use super::super::{DataCx, waits};
use super::Persist;
use crate::core::identity::BlockId;
use crate::core::time::Time;

/// Time for the last messages to be sent.
const LINGER: Duration = Duration::from_millis(100);

/// State of a node that is leaving.
#[derive(Debug)]
pub(super) struct LeaveState {
    until: Time,
    gone: bool,
}

impl LeaveState {
    /// When [`Persist::finish_leaving`] is due at the latest.
    pub(super) fn due(&self) -> Time {
        if self.gone { Time::NEVER } else { self.until }
    }
}

impl Persist {
    /// Starts the handover. After its deadline the node leaves anyway, and its groups repair themselves.
    pub(in super::super) fn leave(&mut self, ctx: &mut DataCx<'_, '_>) {
        if self.leaving.is_some() {
            return;
        }
        let own: Vec<BlockId> =
            self.groups.iter().filter(|(_, view)| view.contains(self.me)).map(|(&id, _)| id).collect();
        let bytes = own.iter().filter_map(|&id| ctx.store.bytes_of(id)).sum();
        let within = if own.is_empty() { Duration::ZERO } else { waits::handover(ctx, bytes) };
        self.leaving = Some(LeaveState { until: ctx.now + within, gone: false });
        for id in own {
            self.schedule_repair(id, ctx.now);
        }
        self.wake_at(ctx.now);
    }

    /// Number of blocks that no other live member of their groups stores.
    pub(in super::super) fn held_alone(&self) -> usize {
        let others = |view: &&GroupView| view.members().iter().any(|&member| member != self.me && self.is_live(member));
        self.groups.values().filter(|view| !others(view)).count()
    }

    /// Whether this node is leaving.
    pub(in super::super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Ends the handover once it is complete or its deadline has passed.
    pub(super) fn finish_leaving(&mut self, ctx: &mut DataCx<'_, '_>) {
        let Some(leaving) = self.leaving.as_mut().filter(|leaving| !leaving.gone) else { return };
        if leaving.until <= ctx.now {
            leaving.gone = true;
            ctx.left();
        } else if self.repairs.is_empty() && !self.groups.values().any(|view| view.contains(self.me)) {
            leaving.until = leaving.until.min(ctx.now + LINGER);
            let until = leaving.until;
            self.wake_at(until);
        }
    }
}
