//! Promise: two runs of the same plan side by side do not meet.

use std::collections::BTreeSet;

use crate::support::{Docker, docker_is_here, down, homes, joined, left_of, up};

#[tokio::test]
async fn two_runs_of_one_plan_do_not_meet() {
    if !docker_is_here().await {
        return;
    }
    let plan = homes("apart", 1).0;
    let (mut one, mut other) = tokio::join!(up(plan.clone()), up(plan));
    let subnets =
        |run: &Docker| run.backend.plan().networks.iter().map(|network| network.subnet).collect::<BTreeSet<_>>();
    assert!(subnets(&one).is_disjoint(&subnets(&other)), "{:?} {:?}", subnets(&one), subnets(&other));
    let moved = one.notes.0.iter().chain(&other.notes.0).filter(|note| note.contains("were moved")).count();
    assert!(moved >= 1, "whoever came second says that it was moved");

    let mine = one.look_until("one network", |views| joined(views, 3)).await;
    let theirs = other.look_until("one network", |views| joined(views, 3)).await;
    let (mine, theirs): (BTreeSet<_>, BTreeSet<_>) = (ids(&mine), ids(&theirs));
    assert!(mine.is_disjoint(&theirs));
    for (views, own) in [(one.look().await, &mine), (other.look().await, &theirs)] {
        assert!(views.iter().flat_map(|view| &view.known_hosts).all(|known| own.contains(known)), "{views:#?}");
    }

    // The end of one is nothing to the other.
    let run = other.backend.run_id().unwrap().to_owned();
    down(one).await;
    assert_ne!(left_of(&run), "");
    assert_eq!(other.look().await.len(), 3);
    down(other).await;
}

fn ids(views: &[butter_harness::op::NodeSnapshot]) -> BTreeSet<butter::core::identity::NodeId> {
    views.iter().map(|view| view.id).collect()
}
