//! Leaving in good order: every group gets another member in this node's place before it goes.

use std::time::Duration;

use super::super::Ctx;
use super::Persist;
use crate::core::identity::BlockId;
use crate::core::time::Time;

/// A node that cannot hand everything over in this time goes nevertheless; its groups will notice.
const WITHIN: Duration = Duration::from_millis(2_500);
/// Time for the last words to be carried.
const LINGER: Duration = Duration::from_millis(100);

/// A node on its way out.
#[derive(Debug)]
pub(super) struct Leaving {
    until: Time,
    gone: bool,
}

impl Leaving {
    /// When [`Persist::finish_leaving`] is due at the latest.
    pub(super) fn due(&self) -> Time {
        if self.gone { Time::NEVER } else { self.until }
    }
}

impl Persist {
    /// Begins to hand over.
    pub(in super::super) fn leave(&mut self, ctx: &mut Ctx<'_>) {
        if self.leaving.is_some() {
            return;
        }
        let own: Vec<BlockId> =
            self.groups.iter().filter(|(_, view)| view.contains(self.me)).map(|(&id, _)| id).collect();
        let nothing = own.is_empty();
        self.leaving = Some(Leaving { until: if nothing { ctx.now } else { ctx.now + WITHIN }, gone: false });
        for id in own {
            self.schedule_repair(id, ctx.now);
        }
        self.wake_at(ctx.now);
    }

    /// Whether this node is on its way out.
    pub(in super::super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Goes, once everything is handed over or time is up.
    pub(super) fn finish_leaving(&mut self, ctx: &mut Ctx<'_>) {
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
