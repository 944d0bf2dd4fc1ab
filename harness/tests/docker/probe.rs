//! Promise: a network that does not behave as declared is not played on.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use butter_harness::backend::Backend;
use butter_harness::backend::docker::{DockerBackend, DockerOptions};
use butter_harness::net::nat::{Dependence, NatConfig};
use butter_harness::plan::Plan;
use butter_harness::probe::ProbeOutcome;
use butter_harness::programs;
use butter_harness::router::RouterConfig;

use crate::support::{Draft, Notes, docker, docker_is_here, left_of, options};

/// A home behind a carrier's network, and one that is routed plainly.
fn plan() -> Plan {
    let mut draft = Draft::new("probed");
    let carrier = draft.network("carrier", "10.1.0.0/24", Some(NatConfig::full_cone()));
    let home = draft.network("home", "10.2.0.0/24", Some(NatConfig::port_restricted()));
    let plain = draft.network("plain", "10.3.0.0/24", Some(NatConfig::symmetric()));
    let networks = &mut draft.0.networks;
    let uplink = networks[home.0].behind.as_mut().unwrap();
    (uplink.to, uplink.address) = (carrier, "10.1.0.2".parse().unwrap());
    networks[plain.0].behind.as_mut().unwrap().nat = None;
    draft.0
}

/// Brings the plan up, its routers configured otherwise by `tamper`: what the probe says.
async fn probed(tamper: fn(&mut RouterConfig)) -> Result<ProbeOutcome, String> {
    let mut backend = DockerBackend::new(plan(), DockerOptions { probe: true, tamper: Some(tamper), ..options() });
    let up = backend.up(&mut Notes::default()).await.map_err(|error| error.to_string());
    let probed = backend.probed().clone();
    let run = backend.run_id().unwrap().to_owned();
    backend.down(&mut Notes::default()).await.unwrap();
    assert_eq!(left_of(&run), "");
    up.map(|()| probed)
}

#[tokio::test]
async fn every_router_passes_as_declared() {
    if !docker_is_here().await {
        return;
    }
    let probed = probed(|_| ()).await;
    let Ok(ProbeOutcome::Passed { routers: 3, networks, skipped }) = probed else { panic!("{probed:?}") };
    assert_eq!(skipped, []);
    let seen: Vec<_> = networks
        .iter()
        .map(|seen| (seen.network.as_str(), seen.nat.as_ref().map(|nat| (nat.mapping, nat.filtering, nat.hairpin))))
        .collect();
    let (open, strict) = (Dependence::EndpointIndependent, Dependence::AddressAndPortDependent);
    let expected =
        [("carrier", Some((open, open, Some(true)))), ("home", Some((open, strict, Some(true)))), ("plain", None)];
    assert_eq!(seen, expected);
    assert!(networks.iter().all(|seen| seen.measured.round_trip_s >= 0.01), "{networks:?}");
}

#[tokio::test]
async fn a_router_that_does_not_behave_as_declared_stops_the_run() {
    if !docker_is_here().await {
        return;
    }
    let leaking = |config: &mut RouterConfig| {
        if let Some(nat) = config.nat.as_mut().filter(|nat| nat.filtering == Dependence::AddressAndPortDependent) {
            nat.filtering = Dependence::AddressDependent;
        }
    };
    let error = probed(leaking).await.unwrap_err();
    let expected = "home does not behave as declared: its filtering is declared address-and-port-dependent, but an answer from \
                    another port of the same host came in";
    assert!(error.starts_with(expected), "{error}");
}

const HOME: &str = "\
name: probed-by-a-user
networks:
  internet: {}
  home: {behind: internet, nat: port-restricted}
nodes:
  ambassador: {on: internet, ambassador: true}
steps:
  - settle: {for: 1s}
checks:
  - incidents == 0
";
/// User and group 65534.
const ORDINARY: u32 = 65_534;

/// Whoever may use the engine, and nothing else.
#[tokio::test]
async fn an_ordinary_user_has_routers_probed_by_a_container() {
    if !docker_is_here().await {
        return;
    }
    let programs = programs::find(&options().programs, &mut Notes::default()).await.unwrap();
    let desk = tempfile::tempdir().unwrap();
    fs::set_permissions(desk.path(), Permissions::from_mode(0o755)).unwrap();
    fs::copy(programs.harness, desk.path().join("harness")).unwrap();
    fs::copy(programs.node, desk.path().join("butter")).unwrap();
    let work = desk.path().join("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("t.yaml"), HOME).unwrap();
    let mut command = Command::new(desk.path().join("harness"));
    command.args(["run", "t.yaml", "--backend", "docker", "--out", "out"]).current_dir(&work);
    command.env("BUTTER_NODE_BINARY", desk.path().join("butter"));
    if nix::unistd::geteuid().is_root() {
        chown(&work, Some(ORDINARY), Some(ORDINARY)).unwrap();
        command.uid(ORDINARY).gid(engine_group());
    }
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&ran.stdout));
    let result = fs::read_to_string(work.join("out/result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["probe"]["state"], "passed", "{said}");
    assert_eq!(result["probe"]["networks"][0]["nat"]["filtering"], "address-and-port-dependent");
    assert_eq!(docker(&["ps", "-aq", "--filter", "label=butter.topology=probed-by-a-user"]), "");
}

/// Who may use the engine.
fn engine_group() -> u32 {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let socket = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock");
    fs::metadata(socket).unwrap().gid()
}
