//! Promise: a plan is played as on any other backend.

use std::path::{Path, PathBuf};

use butter_harness::backend::netns::{NetnsBackend, NetnsOptions};
use butter_harness::netns::access;
use butter_harness::plan::Plan;
use butter_harness::topology::Overrides;
use butter_harness::{planner, programs};

use crate::played::{Played, changing, cut, homes, joined, liars, lives};
use crate::skipped::skipped;

/// The programs of this build, or `None` where this process cannot make namespaces itself.
pub(crate) fn options() -> Option<NetnsOptions> {
    if let Some(why) = match access::access() {
        Ok(access::NamespaceAccess::Ready) => None,
        Ok(access::NamespaceAccess::InUserNamespace) => Some("only in a user namespace".to_owned()),
        Err(error) => Some(error.to_string()),
    } {
        assert!(std::env::var("BUTTER_REQUIRE_NETNS").as_deref() != Ok("1"), "{why}");
        skipped(why);
        return None;
    }
    let harness = Some(PathBuf::from(env!("CARGO_BIN_EXE_harness")));
    Some(NetnsOptions { programs: programs::ProgramChoice { node: None, harness }, ..NetnsOptions::default() })
}

async fn up(plan: Plan) -> Option<Played<NetnsBackend>> {
    Some(Played::up(NetnsBackend::new(plan, options()?)).await)
}

#[tokio::test]
async fn what_one_home_stores_another_finds() {
    let Some(mut run) = up(homes("stores", 2).0).await else { return };
    run.store_and_find().await;
    run.down().await;
}

#[tokio::test]
async fn a_node_is_killed_started_and_stopped() {
    let Some(mut run) = up(lives().0).await else { return };
    run.kill_start_and_stop().await;
    run.look_until("one network again", |views| joined(views, 5)).await;
    run.down().await;
}

#[tokio::test]
async fn a_paused_node_is_missed_and_goes_on() {
    let Some(mut run) = up(lives().0).await else { return };
    run.pause_and_resume().await;
    run.down().await;
}

#[tokio::test]
async fn sides_of_a_partition_do_not_reach_each_other_until_it_heals() {
    let plan = cut().0;
    let Some(mut run) = up(plan.clone()).await else { return };
    run.partition_and_heal(&plan).await;
    run.down().await;
}

#[tokio::test]
async fn links_go_on_when_a_nat_forgets_and_a_link_gets_slow() {
    let plan = changing().0;
    let Some(mut run) = up(plan.clone()).await else { return };
    run.rebind_and_slow_down(&plan).await;
    run.down().await;
}

#[tokio::test]
async fn a_home_that_was_cut_off_is_back_within_seconds_of_its_link_s_return() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/outage.yaml");
    let plan = planner::load(&file, &Overrides::default()).expect("it is valid");
    let Some(mut run) = up(plan.clone()).await else { return };
    run.play_and_check(&plan).await;
    run.down().await;
}

#[tokio::test]
async fn hostile_nodes_take_blocks_and_keep_none_until_they_are_found_out() {
    let plan = liars();
    let Some(mut run) = up(plan.clone()).await else { return };
    run.play_liars(&plan).await;
    run.down().await;
}
