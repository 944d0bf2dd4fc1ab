//! Promise: a plan is played on real containers, and nothing of it is left.

use butter_harness::backend::{Action, Backend, Source, Told};
use butter_harness::plan::{Act, NodeIndex};
use bytes::Bytes;

use crate::support::{Notes, backend, docker, docker_is_here, down, homes, joined, left_of, up};

#[tokio::test]
async fn what_one_home_stores_another_finds() {
    if !docker_is_here().await {
        return;
    }
    let mut run = up(homes("stores", 2).0).await;
    run.look_until("one network", |views| joined(views, 5)).await;
    let value = Bytes::from((0..10_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    let stored = run.act(Action::Put { node: NodeIndex(1), value: value.clone() }).await;
    let Told::Stored(blocks) = stored else { panic!("{stored:?}") };
    // 40,000 bytes are ten blocks, and one that names them.
    assert!(blocks.len() >= 10, "{blocks:?}");
    let found = run.act(Action::Get { node: NodeIndex(4), id: blocks[0] }).await;
    let Told::Found(found) = found else { panic!("{found:?}") };
    assert!(found.value == value, "other bytes");
    let mut absent = blocks[0];
    absent.0[0] ^= 1;
    let missed = run.act(Action::Get { node: NodeIndex(2), id: absent }).await;
    assert!(matches!(missed, Told::NotFound { .. }), "{missed:?}");

    let Told::Sampled(scrapes) = run.act(Action::Sample).await else { panic!("no sample") };
    assert_eq!(scrapes.len(), 5 + 3, "five nodes, three routers");
    let routers = scrapes.iter().filter(|scrape| matches!(scrape.source, Source::Router(_)));
    assert!(routers.into_iter().all(|scrape| !scrape.series.is_empty()));
    down(run).await;
}

#[tokio::test]
async fn a_node_is_killed_started_stopped_and_missed() {
    if !docker_is_here().await {
        return;
    }
    let mut draft = homes("lives", 2);
    let keeper = NodeIndex(2);
    draft.announce(Act::Start { node: keeper, fresh: false });
    let mut run = up(draft.0).await;
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

    // One that never kept anything cannot come back as it was.
    assert!(matches!(run.act(Action::Kill { node: NodeIndex(3) }).await, Told::Ended));
    let refused = run.act(Action::Start { node: NodeIndex(3), fresh: false }).await;
    assert!(matches!(&refused, Told::Failed { why, .. } if why.contains("outlive")), "{refused:?}");

    // Whoever ends without being asked is told of.
    let name = format!("butter-{}-node-b-2", run.backend.run_id().unwrap());
    docker(&["kill", &name]);
    let told = run.report().await;
    assert_eq!(told.op, None);
    assert!(matches!(&told.what, Told::Failed { node: Some(NodeIndex(4)), why } if why.contains("137")), "{told:?}");
    run.look_until("one network of the rest", |views| joined(views, 3)).await;
    down(run).await;
}

#[tokio::test]
async fn a_deployment_that_is_given_up_leaves_nothing() {
    if !docker_is_here().await {
        return;
    }
    let mut given_up = backend(homes("given-up", 2).0);
    let mut notes = Notes::default();
    {
        // Given up as soon as the first container is there, in the middle of its siblings' creation.
        let up = given_up.up(&mut notes);
        tokio::select! {
            up = up => panic!("up before the first container was seen: {up:?}"),
            () = first_container("given-up") => {}
        }
    }
    let run = given_up.run_id().unwrap().to_owned();
    given_up.down(&mut notes).await.unwrap();
    assert_eq!(left_of(&run), "");
}

/// Waits until a run of this topology has a container.
async fn first_container(topology: &str) {
    let filter = format!("label=butter.topology={topology}");
    loop {
        let filter = filter.clone();
        let seen = tokio::task::spawn_blocking(move || docker(&["ps", "-aq", "--filter", &filter])).await.unwrap();
        if !seen.is_empty() {
            return;
        }
    }
}
