//! The data overlay as the core calls it.

use super::{DataCommand, DataCx, DataMessage, DataOutcome, DataOverlay, Parts};
use crate::core::stats::{InstrumentVisitor, MessagePurpose};
use crate::core::time::Deadline;
use crate::overlay::{Overlay, OverlayContext, OverlayInput};

impl Overlay for DataOverlay {
    type Message = DataMessage;
    type Command = DataCommand;
    type Outcome = DataOutcome;

    fn handle(
        &mut self,
        input: OverlayInput<DataMessage, DataCommand>,
        context: &mut OverlayContext<'_, DataMessage, DataOutcome>,
    ) {
        let DataOverlay { settings, stats, store, persist, puts, retrieve, searches, inventories, deadline } = self;
        persist.set_me(context.me.id);
        let mut cx = DataCx { node: context, settings, stats, store };
        Parts { persist, puts, retrieve, searches, inventories }.handle(&mut cx, input);
        *deadline = Deadline { at: persist.due(), why: "group maintenance" }
            .or(Deadline { at: puts.due(), why: "deadline of a put" })
            .or(Deadline { at: retrieve.due(cx.now), why: "a retrieval" })
            .or(Deadline { at: searches.due(), why: "a search" })
            .or(Deadline { at: inventories.due(), why: "inventories" });
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn price(&self, message: &DataMessage) -> u32 {
        message.price(self.settings.retrieval)
    }

    fn purpose(message: &DataMessage) -> MessagePurpose {
        message.purpose()
    }

    fn storage_free(&self) -> u64 {
        self.store.free()
    }

    fn stored_here_alone(&self) -> u64 {
        self.persist.held_alone() as u64
    }

    fn metrics(&self, visit: InstrumentVisitor<'_>) {
        self.stats().each(visit);
    }
}
