//! Promise: a plan is played on real containers, and nothing of it is left.

use butter_harness::backend::Backend;
use butter_harness::op::{Op, OpResult, OpTarget};
use butter_harness::plan::NodeIndex;

use crate::support::{
    ITEM, Notes, backend, changing, cut, docker, docker_is_here, down, homes, joined, left_of, liars, lives, up,
};

#[tokio::test]
async fn what_one_home_stores_another_finds() {
    if !docker_is_here().await {
        return;
    }
    let mut run = up(homes("stores", 2).0).await;
    let mut absent = run.store_and_find().await;
    absent.0[0] ^= 1;
    let missed =
        run.act_on(Op::Get { node: NodeIndex(2), item: ITEM, exhaustive: false }, OpTarget::Item(absent)).await;
    assert!(matches!(missed, OpResult::NotFound { .. } | OpResult::Incomplete { .. }), "{missed:?}");
    down(run).await;
}

#[tokio::test]
async fn a_node_is_killed_started_stopped_and_missed() {
    if !docker_is_here().await {
        return;
    }
    let mut run = up(lives().0).await;
    run.kill_start_and_stop().await;

    // One that never kept anything cannot come back as it was.
    assert!(matches!(run.act(Op::Kill { node: NodeIndex(3) }).await, OpResult::NodeStopped));
    let refused = run.act(Op::Start { node: NodeIndex(3), fresh: false }).await;
    assert!(matches!(&refused, OpResult::Failed { reason: why, .. } if why.contains("outlive")), "{refused:?}");

    // A node that ends unasked is reported.
    let name = format!("butter-{}-node-b-2", run.backend.run_id().unwrap());
    docker(&["kill", &name]);
    let reported = run.report().await;
    assert_eq!(reported.op, None);
    assert!(
        matches!(&reported.result, OpResult::NodeDied { node: NodeIndex(4), reason } if reason.contains("SIGKILL")),
        "{reported:?}"
    );
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

#[tokio::test]
async fn a_paused_node_is_missed_and_goes_on() {
    if !docker_is_here().await {
        return;
    }
    let mut run = up(lives().0).await;
    run.pause_and_resume().await;
    down(run).await;
}

#[tokio::test]
async fn sides_of_a_partition_do_not_reach_each_other_until_it_heals() {
    if !docker_is_here().await {
        return;
    }
    let mut run = up(cut().0).await;
    let plan = run.backend.plan().clone();
    run.partition_and_heal(&plan).await;
    down(run).await;
}

#[tokio::test]
async fn links_go_on_when_a_nat_forgets_and_a_link_gets_slow() {
    if !docker_is_here().await {
        return;
    }
    let mut run = up(changing().0).await;
    let plan = run.backend.plan().clone();
    run.rebind_and_slow_down(&plan).await;
    down(run).await;
}

#[tokio::test]
async fn hostile_nodes_take_blocks_and_keep_none_until_they_are_found_out() {
    if !docker_is_here().await {
        return;
    }
    let plan = liars();
    let mut run = up(plan.clone()).await;
    run.play_liars(&plan).await;
    down(run).await;
}
