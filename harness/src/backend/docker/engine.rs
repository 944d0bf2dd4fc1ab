//! The way to a Docker engine that this backend can use, or why there is none and what to do about it.

use std::env;
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::SystemInfo;
use bollard::query_parameters::InspectNetworkOptions;
use bollard::{ClientVersion, Docker};

use super::context::{HOST_VARIABLE, engine_address};

/// Oldest API that has all that is asked of it: that of Engine 20.10.
const API_LEAST: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };
/// How long the engine may take to say that it is there.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// An engine that answers and can be used.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) docker: Docker,
    pub(crate) info: SystemInfo,
}

/// Why no engine can be used. Nothing was created.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is documented by its message")]
pub enum EngineProblem {
    #[error("there is no Docker engine here: {0} does not exist")]
    NoSocket(PathBuf),
    #[error("this user may not use the Docker engine: {0} cannot be opened")]
    Denied(PathBuf),
    #[error("the Docker engine is not running: nothing listens at {0}")]
    NotRunning(PathBuf),
    #[error("the Docker engine at {at} does not answer")]
    Silent {
        at: String,
        #[source]
        source: bollard::errors::Error,
    },
    #[error("the Docker engine at {at} does not answer within {} s", GREETING_TIMEOUT.as_secs())]
    Slow { at: String },
    #[error("{HOST_VARIABLE}={0} is not the address of a usable engine: expected unix:///path/to/docker.sock")]
    BadAddress(String),
    #[error("the configuration of Docker, {path}, cannot be read")]
    Config {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the Docker context `{context}` cannot be read")]
    Context {
        context: String,
        #[source]
        source: io::Error,
    },
    #[error("the Docker engine is too old: its API is {found}, and {API_LEAST} (Engine 20.10) is needed")]
    TooOld { found: ClientVersion },
    #[error("the Docker engine runs {0} containers, and Linux containers are needed")]
    NotLinux(String),
    #[error(
        "this program runs in another network namespace than the Docker engine, whose bridge {bridge} is not here: containers \
         cannot be reached"
    )]
    OtherNamespace { bridge: String },
    #[error("the Docker engine runs elsewhere ({0}), and its networks cannot be reached from here")]
    Elsewhere(String),
}

impl EngineProblem {
    /// What the user can do about it.
    pub fn remedy(&self) -> String {
        match self {
            EngineProblem::NoSocket(_) => "Install Docker Engine (https://docs.docker.com/engine/install) and start it: sudo systemctl start docker; \
                 or name another engine in DOCKER_HOST; or use the backend netns, or sim."
                .to_owned(),
            EngineProblem::Denied(_) => {
                "Join its group and log in again: sudo usermod -aG docker \"$USER\"; or run as root; or use the backend netns, or sim.".to_owned()
            }
            EngineProblem::NotRunning(_) => "Start it: sudo systemctl start docker; or use the backend netns, or sim.".to_owned(),
            EngineProblem::Silent { .. } | EngineProblem::Slow { .. } => match env::var(HOST_VARIABLE) {
                Ok(host) => format!("DOCKER_HOST names it ({host}): correct or unset it; or use the backend netns, or sim."),
                Err(_) => "See why: sudo systemctl status docker, sudo journalctl -u docker; or use the backend netns, or sim.".to_owned(),
            },
            EngineProblem::BadAddress(_) => "Write it as unix:///path/to/docker.sock, or unset DOCKER_HOST.".to_owned(),
            EngineProblem::Config { .. } | EngineProblem::Context { .. } => {
                "Choose another context: docker context use default; or name the engine in DOCKER_HOST; or use the backend netns, or sim."
                    .to_owned()
            }
            EngineProblem::OtherNamespace { .. } => {
                "Run it on the host, or give its container the host's network: docker run --network host …; or use the backend netns, or sim."
                    .to_owned()
            }
            EngineProblem::TooOld { .. } => "Install Docker Engine 20.10 or newer.".to_owned(),
            EngineProblem::NotLinux(_) => "Switch the engine to Linux containers.".to_owned(),
            EngineProblem::Elsewhere(_) => "Use an engine that runs on this very machine, as root (unset DOCKER_HOST, docker context use default); \
                 or use the backend netns, or sim."
                .to_owned(),
        }
    }
}

/// Reaches the engine and makes sure that it can be used.
pub(crate) async fn connect() -> Result<Engine, EngineProblem> {
    let at = engine_address()?;
    if let Some(path) = at.strip_prefix("unix://") {
        knock(path.into())?;
    }
    let silent = |source| EngineProblem::Silent { at: at.clone(), source };
    let docker = Docker::connect_with_host(&at).map_err(|_| EngineProblem::BadAddress(at.clone()))?;
    let greeting = async {
        let docker = docker.negotiate_version().await?;
        let info = docker.info().await?;
        Ok((docker, info))
    };
    let greeted =
        tokio::time::timeout(GREETING_TIMEOUT, greeting).await.map_err(|_| EngineProblem::Slow { at: at.clone() })?;
    let (docker, info) = greeted.map_err(silent)?;
    let found = docker.client_version();
    if found < API_LEAST {
        return Err(EngineProblem::TooOld { found });
    }
    suits(&at, &info)?;
    if let Some(bridge) = default_bridge(&docker).await.filter(|bridge| !has_interface(bridge)) {
        return Err(EngineProblem::OtherNamespace { bridge });
    }
    Ok(Engine { docker, info })
}

/// Interface of the engine's default network. `None` if the engine has no such network: then nothing can be said.
async fn default_bridge(docker: &Docker) -> Option<String> {
    let network = docker.inspect_network("bridge", None::<InspectNetworkOptions>).await.ok()?;
    network.options?.remove("com.docker.network.bridge.name")
}

/// Whether the network namespace of this process has an interface of this name. Its table is not that of `/sys`, which belongs
/// to the namespace in which it was mounted.
fn has_interface(name: &str) -> bool {
    let prefix = format!("{name}:");
    // Without the table nothing speaks against it.
    fs::read_to_string("/proc/net/dev")
        .map_or(true, |table| table.lines().any(|line| line.trim_start().starts_with(&prefix)))
}

/// Tells apart why a socket does not open: the engine's client says the same of all of them.
fn knock(path: PathBuf) -> Result<(), EngineProblem> {
    match UnixStream::connect(&path) {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::PermissionDenied => EngineProblem::Denied(path),
            io::ErrorKind::ConnectionRefused => EngineProblem::NotRunning(path),
            _ => EngineProblem::NoSocket(path),
        }),
    }
}

/// Whether the engine's networks are this machine's.
fn suits(at: &str, info: &SystemInfo) -> Result<(), EngineProblem> {
    if let Some(os) = info.os_type.as_deref().filter(|os| *os != "linux") {
        return Err(EngineProblem::NotLinux(os.to_owned()));
    }
    if !at.starts_with("unix://") {
        return Err(EngineProblem::Elsewhere(at.to_owned()));
    }
    let system = info.operating_system.as_deref().unwrap_or_default();
    if system.contains("Docker Desktop") {
        return Err(EngineProblem::Elsewhere("in the virtual machine of Docker Desktop".to_owned()));
    }
    let rootless = info.security_options.iter().flatten().any(|option| option.contains("rootless"));
    if rootless {
        return Err(EngineProblem::Elsewhere("rootless, in a network namespace of its own".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_those_of_the_own_namespace() {
        assert!(has_interface("lo"));
        assert!(!has_interface("docker-of-elsewhere"));
    }

    #[test]
    fn a_socket_that_does_not_open_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        assert!(matches!(knock(path.clone()), Err(EngineProblem::NoSocket(_))));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(knock(path.clone()).is_ok());
        drop(listener);
        assert!(matches!(knock(path), Err(EngineProblem::NotRunning(_))));
    }

    #[test]
    fn an_engine_whose_networks_are_elsewhere_is_refused() {
        let here = SystemInfo { os_type: Some("linux".into()), ..SystemInfo::default() };
        assert!(suits("unix:///run/docker.sock", &here).is_ok());
        assert!(matches!(suits("tcp://192.0.2.9:2375", &here), Err(EngineProblem::Elsewhere(_))));
        let rootless = SystemInfo { security_options: Some(vec!["name=rootless".into()]), ..here.clone() };
        assert!(matches!(suits("unix:///run/docker.sock", &rootless), Err(EngineProblem::Elsewhere(_))));
        let desktop = SystemInfo { operating_system: Some("Docker Desktop".into()), ..here.clone() };
        assert!(matches!(suits("unix:///run/docker.sock", &desktop), Err(EngineProblem::Elsewhere(_))));
        let windows = SystemInfo { os_type: Some("windows".into()), ..here };
        assert!(matches!(suits("unix:///run/docker.sock", &windows), Err(EngineProblem::NotLinux(_))));
    }
}
