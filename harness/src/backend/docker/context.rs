//! The address of the engine as Docker's own program chooses it: `DOCKER_HOST`, else the context in use, else the default.
//!
//! A context is a folder below `~/.docker/contexts/meta`, named after the SHA-256 of the context's name, with a `meta.json`
//! in it (docker/cli, cli/context/store).

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::engine::EngineProblem;

const DEFAULT_ADDRESS: &str = "unix:///var/run/docker.sock";
/// The context that is no file.
const DEFAULT_CONTEXT: &str = "default";
/// Names the engine's address.
pub(super) const HOST_VARIABLE: &str = "DOCKER_HOST";
const CONTEXT_VARIABLE: &str = "DOCKER_CONTEXT";
const FOLDER_VARIABLE: &str = "DOCKER_CONFIG";

/// What the choice depends on.
#[derive(Debug, Default)]
struct Choice {
    host: Option<String>,
    context: Option<String>,
    /// The folder of Docker's configuration.
    folder: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host")]
    host: String,
}

/// The engine's address for this process.
///
/// # Errors
/// If the context in use cannot be read.
pub(super) fn engine_address() -> Result<String, EngineProblem> {
    let text = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let path = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let folder = path(FOLDER_VARIABLE).or_else(|| path("HOME").map(|home| home.join(".docker")));
    Choice { host: text(HOST_VARIABLE), context: text(CONTEXT_VARIABLE), folder }.address()
}

impl Choice {
    fn address(self) -> Result<String, EngineProblem> {
        if let Some(host) = self.host {
            return Ok(host);
        }
        let Some(folder) = self.folder else { return Ok(DEFAULT_ADDRESS.to_owned()) };
        let context = match self.context {
            Some(context) => Some(context),
            None => current_context(&folder)?,
        };
        match context.filter(|context| context != DEFAULT_CONTEXT) {
            Some(context) => context_address(&folder, &context),
            None => Ok(DEFAULT_ADDRESS.to_owned()),
        }
    }
}

fn current_context(folder: &Path) -> Result<Option<String>, EngineProblem> {
    let path = folder.join("config.json");
    match fs::read(&path) {
        // That of another user does not count, as with Docker's own program.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(None),
        read => {
            let config = read.and_then(|text| Ok(serde_json::from_slice::<Config>(&text)?));
            let config = config.map_err(|source| EngineProblem::Config { path, source })?;
            Ok(config.current_context.filter(|name| !name.is_empty()))
        }
    }
}

fn context_address(folder: &Path, context: &str) -> Result<String, EngineProblem> {
    let name: String = Sha256::digest(context).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join("contexts/meta").join(name).join("meta.json");
    let meta = fs::read(path).and_then(|text| Ok(serde_json::from_slice::<Meta>(&text)?));
    let meta = meta.map_err(|source| EngineProblem::Context { context: context.to_owned(), source })?;
    Ok(meta.endpoints.docker.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder in which the context `other` is in use.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), r#"{"auths": {}, "currentContext": "other"}"#).unwrap();
        // sha256 of "other"
        let meta = folder.path().join("contexts/meta/d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa");
        fs::create_dir_all(&meta).unwrap();
        let text =
            r#"{"Name": "other", "Endpoints": {"docker": {"Host": "unix:///other.sock", "SkipTLSVerify": false}}}"#;
        fs::write(meta.join("meta.json"), text).unwrap();
        folder
    }

    fn address(host: Option<&str>, context: Option<&str>, folder: Option<&Path>) -> Result<String, EngineProblem> {
        let text = |value: Option<&str>| value.map(str::to_owned);
        Choice { host: text(host), context: text(context), folder: folder.map(Path::to_owned) }.address()
    }

    #[test]
    fn the_variable_goes_before_the_context_and_that_before_the_default() {
        let folder = folder();
        let here = Some(folder.path());
        assert_eq!(address(Some("unix:///a.sock"), None, here).unwrap(), "unix:///a.sock");
        assert_eq!(address(None, None, here).unwrap(), "unix:///other.sock");
        assert_eq!(address(None, Some("other"), here).unwrap(), "unix:///other.sock");
        assert_eq!(address(None, Some("default"), here).unwrap(), DEFAULT_ADDRESS);
        assert_eq!(address(None, None, None).unwrap(), DEFAULT_ADDRESS);
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(address(None, None, Some(empty.path())).unwrap(), DEFAULT_ADDRESS);
    }

    #[test]
    fn a_context_that_is_not_there_and_a_configuration_that_is_not_json_are_errors() {
        let folder = folder();
        let error = address(None, Some("none"), Some(folder.path())).unwrap_err();
        assert!(matches!(&error, EngineProblem::Context { context, .. } if context == "none"), "{error:?}");
        fs::write(folder.path().join("config.json"), "{").unwrap();
        assert!(matches!(address(None, None, Some(folder.path())), Err(EngineProblem::Config { .. })));
    }
}
