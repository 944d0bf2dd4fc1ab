//! Promise: a plan is played as on any other backend.

use std::path::PathBuf;

use butter_harness::backend::netns::{NetnsBackend, Options, access};
use butter_harness::backend::{Action, Source, Told};
use butter_harness::image;
use butter_harness::plan::{Act, NodeIndex, Plan};
use bytes::Bytes;

use crate::played::{Played, homes, joined};

/// The programs of this build, or `None` where this process cannot make namespaces itself.
pub(crate) fn options() -> Option<Options> {
    if let Some(why) = match access::access() {
        Ok(access::Access::Ready) => None,
        Ok(access::Access::InUserNamespace) => Some("only in a user namespace".to_owned()),
        Err(error) => Some(error.to_string()),
    } {
        assert!(std::env::var("BUTTER_REQUIRE_NETNS").as_deref() != Ok("1"), "{why}");
        eprintln!("skipped: {why}");
        return None;
    }
    let harness = Some(PathBuf::from(env!("CARGO_BIN_EXE_harness")));
    Some(Options { programs: image::Choice { node: None, harness }, ..Options::default() })
}

async fn up(plan: Plan) -> Option<Played<NetnsBackend>> {
    Some(Played::up(NetnsBackend::new(plan, options()?)).await)
}

#[tokio::test]
async fn what_one_home_stores_another_finds() {
    let Some(mut run) = up(homes("stores", 2).0).await else { return };
    run.look_until("one network", |views| joined(views, 5)).await;
    let value = Bytes::from((0..10_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    let stored = run.act(Action::Put { node: NodeIndex(1), value: value.clone() }).await;
    let Told::Stored(blocks) = stored else { panic!("{stored:?}") };
    let found = run.act(Action::Get { node: NodeIndex(4), id: blocks[0] }).await;
    let Told::Found(found) = found else { panic!("{found:?}") };
    assert!(found.value == value, "other bytes");
    let Told::Sampled(scrapes) = run.act(Action::Sample).await else { panic!("no sample") };
    assert_eq!(scrapes.len(), 5 + 3, "five nodes, three routers");
    let routers = scrapes.iter().filter(|scrape| matches!(scrape.source, Source::Router(_)));
    assert!(routers.into_iter().all(|scrape| !scrape.series.is_empty()));
    run.down().await;
}

#[tokio::test]
async fn a_node_is_killed_started_and_stopped() {
    let mut draft = homes("lives", 2);
    let keeper = NodeIndex(2);
    draft.announce(Act::Start { node: keeper, fresh: false });
    let Some(mut run) = up(draft.0).await else { return };
    let before = run.look_until("one network", |views| joined(views, 5)).await;

    // Killed: it is not seen any more. Started: somebody else, at the same place.
    assert!(matches!(run.act(Action::Kill { node: NodeIndex(1) }).await, Told::Ended));
    assert!(run.look().await.iter().all(|view| view.node != NodeIndex(1)));
    let twice = run.act(Action::Kill { node: NodeIndex(1) }).await;
    assert!(matches!(&twice, Told::Failed { why, .. } if why.contains("does not run")), "{twice:?}");
    assert_ne!(run.started(NodeIndex(1), true).await, before[1].id);

    // Stopped: it leaves by itself. Started with what it had: the same one. Started fresh: another.
    let stopped = run.act(Action::Stop { node: keeper }).await;
    assert!(matches!(stopped, Told::Ended), "{stopped:?}");
    assert_eq!(run.started(keeper, false).await, before[2].id);
    assert!(matches!(run.act(Action::Kill { node: keeper }).await, Told::Ended));
    assert_ne!(run.started(keeper, true).await, before[2].id);
    run.look_until("one network again", |views| joined(views, 5)).await;
    run.down().await;
}
