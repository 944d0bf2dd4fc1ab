//! Listens to the engine for containers of the run that end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptions, EventsOptionsBuilder, InspectContainerOptions};
use futures_util::StreamExt;
use tokio::time::sleep;

use super::{Shared, label, logs};
use crate::backend::process::exit::how_it_ended;
use crate::backend::process::lifecycle;
use crate::op::OpResult;
use crate::plan::{NetworkIndex, NodeIndex};

/// Pause before listening again when the engine hung up.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Who a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Node(NodeIndex),
    Router(NetworkIndex),
}

/// Listens until the run is over.
pub(crate) async fn serve(shared: Arc<Shared>) {
    loop {
        let mut events = shared.host.docker.events(Some(options(&shared)));
        // What ended between two connections is found by asking.
        for (name, whose) in everybody(&shared) {
            if let Who::Node(node) = whose {
                catch_up(&shared, &name, node).await;
            }
        }
        while let Some(Ok(event)) = events.next().await {
            if let Some((name, exit)) = death(&event)
                // Names change where a lab is brought to a changed file.
                && let Some(&whose) = everybody(&shared).get(name)
            {
                ended(&shared, name, whose, exit).await;
            }
        }
        sleep(RECONNECT_PAUSE).await;
    }
}

fn everybody(shared: &Shared) -> BTreeMap<String, Who> {
    let (plan, wiring) = (&*shared.present(), &shared.host.wiring);
    let nodes =
        (0..plan.nodes.len()).map(|index| (wiring.node_name(plan, NodeIndex(index)), Who::Node(NodeIndex(index))));
    let routers = (0..plan.networks.len()).map(NetworkIndex);
    nodes.chain(routers.map(|index| (wiring.router_name(plan, index), Who::Router(index)))).collect()
}

fn options(shared: &Shared) -> EventsOptions {
    let filters = HashMap::from([
        ("type", vec!["container".to_owned()]),
        ("event", vec!["die".to_owned()]),
        ("label", vec![format!("{}={}", label::RUN, shared.host.wiring.run_labels.run)]),
    ]);
    EventsOptionsBuilder::default().filters(&filters).build()
}

/// Name and exit status of a container that ended.
fn death(event: &EventMessage) -> Option<(&str, i64)> {
    let attributes = event.actor.as_ref()?.attributes.as_ref()?;
    let exit = attributes.get("exitCode").and_then(|status| status.parse().ok()).unwrap_or(-1);
    Some((attributes.get("name")?, exit))
}

async fn ended(shared: &Shared, name: &str, who: Who, exit: i64) {
    match who {
        Who::Router(network) => router_ended(shared, name, network, exit).await,
        Who::Node(node) => {
            if let Some(instance) = shared.node(node).instance() {
                lifecycle::ended(shared, node, &instance, exit).await;
            }
        }
    }
}

async fn router_ended(shared: &Shared, name: &str, network: NetworkIndex, exit: i64) {
    let last_output = logs::quote(&shared.host.docker, name).await;
    let reason = format!("the router {} unexpectedly{last_output}", how_it_ended(exit));
    shared.report(None, OpResult::RouterDied { network, reason }).await;
}

/// Finds a node that ended between two connections.
async fn catch_up(shared: &Shared, name: &str, node: NodeIndex) {
    let Some(instance) = shared.node(node).live() else { return };
    let Ok(found) = shared.host.docker.inspect_container(name, None::<InspectContainerOptions>).await else { return };
    if let Some(state) = found.state.filter(|state| state.running == Some(false)) {
        lifecycle::ended(shared, node, &instance, state.exit_code.unwrap_or(-1)).await;
    }
}
