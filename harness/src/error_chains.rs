//! Every error of this package, each with its causes: no part of a chain may repeat another. The list is complete: a test of the
//! package `butter-cli` compares it with the sources.

use std::error::Error;
use std::io;
use std::time::Duration;

use butter::http::client::HttpError;

use crate::backend::BackendError;
use crate::backend::capacity::CapacityError;
use crate::backend::docker::engine::EngineProblem;
use crate::backend::limits::LimitError;
use crate::cli::error::CommandError;
use crate::error_class::ErrorClass;
use crate::explain::{RecordError, StoryError};
use crate::lab::LabError;
use crate::lab::client::DownError;
use crate::lab::keeper::KeeperError;
use crate::metrics::exposition::{ExpositionError, SampleError};
use crate::net::nat::leases::Refused;
use crate::net::packet::Malformed;
use crate::netns::access::NamespaceError;
use crate::plan::GraphError;
use crate::plan::NodeLimits;
use crate::planner;
use crate::probe::{ProbeError, RouterDiffers};
use crate::programs::ProgramError;
use crate::report_page::PageError;
use crate::results::compare::CompareError;
use crate::results::directory::DirectoryError;
use crate::results::manifest::ManifestError;
use crate::results::run_set::RunSetError;
use crate::results::topology_shape::ShapeDifference;
use crate::run::StopReason;
use crate::steps::state::NodeLife;
use crate::steps::step::ScheduleError;
use crate::topology::Overrides;

fn cause() -> io::Error {
    io::Error::other("the cause of it all")
}

fn text() -> String {
    "three".to_owned()
}

fn plan_errors() -> Vec<Box<dyn Error>> {
    vec![
        Box::new(planner::read("x.yaml", "name: x", &Overrides::default()).unwrap_err()),
        Box::new(ScheduleError::NoneAlive { names: text() }),
        Box::new(ScheduleError::NoPair { names: text() }),
        Box::new(ScheduleError::TooFewNodes { names: text(), life: NodeLife::Up, wanted: 3, found: 1 }),
        Box::new(ScheduleError::NothingStored),
        Box::new(ScheduleError::NoKeywords { terms: 2 }),
        Box::new(ScheduleError::NoDisk { node: text() }),
        Box::new(ScheduleError::FewerStored { wanted: 3, stored: 1 }),
        Box::new(ScheduleError::TooManyOps),
        Box::new(ScheduleError::TooManyDraws),
        Box::new(ScheduleError::TooManyPairs),
        Box::new(ScheduleError::EmptySide { names: text() }),
        Box::new(ScheduleError::OnTwoSides { node: text() }),
        Box::new(ScheduleError::TracedStranger { file: text(), line: 3, node: text(), names: text() }),
        Box::new(ScheduleError::TracedTooMany { file: text(), line: 3, traced: 9, nodes: 8, names: text() }),
        Box::new(ScheduleError::AlreadyThere { node: text(), network: text() }),
        Box::new(ScheduleError::NetworkFull { node: text(), network: text() }),
        Box::new(ScheduleError::SeveralIdentities { node: text() }),
        Box::new(ScheduleError::PartitionInForce { name: text() }),
        Box::new(ScheduleError::TooManyZones),
        Box::new(ScheduleError::EndedTwice { node: text() }),
        Box::new(ScheduleError::FreshTwice),
        Box::new(ScheduleError::NotPartitioned { name: Some(text()) }),
        Box::new(GraphError::TooFewNodes { neighbours: 8, nodes: 3 }),
        Box::new(GraphError::OddEnds { neighbours: 3, nodes: 9 }),
        Box::new(GraphError::LinksOutOfRange { links: 3, nodes: 9, least: 8, most: 36 }),
        Box::new(GraphError::Apart),
        Box::new(GraphError::TooManyLinks),
    ]
}

fn network_errors() -> Vec<Box<dyn Error>> {
    vec![
        Box::new(Refused::Taken),
        Box::new(Refused::NoPort),
        Box::new(Refused::Quota),
        Box::new(Refused::Configured),
        Box::new(Malformed::Header),
        Box::new(Malformed::HeaderChecksum),
        Box::new(Malformed::Transport),
        Box::new(RouterDiffers { network: text(), observation: "it loses more".to_owned() }),
    ]
}

fn engine_errors() -> Vec<Box<dyn Error>> {
    let path = || "/run/docker.sock".into();
    let source = bollard::errors::Error::RequestTimeoutError;
    vec![
        Box::new(EngineProblem::NoSocket(path())),
        Box::new(EngineProblem::Denied(path())),
        Box::new(EngineProblem::NotRunning(path())),
        Box::new(EngineProblem::Silent { at: text(), source }),
        Box::new(EngineProblem::Slow { at: text() }),
        Box::new(EngineProblem::BadAddress(text())),
        Box::new(EngineProblem::Config { path: path(), source: cause() }),
        Box::new(EngineProblem::Context { context: text(), source: cause() }),
        Box::new(EngineProblem::OtherNamespace { bridge: text() }),
        Box::new(EngineProblem::TooOld { found: bollard::ClientVersion { major_version: 1, minor_version: 20 } }),
        Box::new(EngineProblem::NotLinux(text())),
        Box::new(EngineProblem::Elsewhere(text())),
    ]
}

fn backend_errors() -> Vec<Box<dyn Error>> {
    let program = || ProgramError::Unreadable { path: "/bin/butter".into(), source: cause() };
    let namespace = || NamespaceError::NotAvailable { source: cause().into(), remedy: text() };
    let too_many_files = || CapacityError::Descriptors { processes: 9, needed: 400, most: 256 };
    let differs = || RouterDiffers { network: text(), observation: "it loses more".to_owned() };
    let other = || anyhow::Error::from(cause()).context("cannot do it");
    vec![
        Box::new(BackendError::Program(program())),
        Box::new(BackendError::Namespace(namespace())),
        Box::new(BackendError::Engine(EngineProblem::NotLinux(text()))),
        Box::new(BackendError::Capacity(too_many_files())),
        Box::new(BackendError::Probe(ProbeError::Differs(differs()))),
        Box::new(too_many_files()),
        Box::new(CapacityError::Bridge { network: text(), nodes: 2_000, most: 1_021 }),
        Box::new(LimitError::Simulated { node: text(), limits: NodeLimits { cpu: Some(0.5), memory: None } }),
        Box::new(LimitError::NoControlGroup {
            node: text(),
            limits: NodeLimits { cpu: None, memory: Some(64 << 20) },
            source: cause(),
        }),
        Box::new(CapacityError::Memory { processes: 9, needed: 9 << 20, free: 1 << 20 }),
        Box::new(BackendError::Limit(LimitError::Simulated {
            node: text(),
            limits: NodeLimits { cpu: None, memory: None },
        })),
        Box::new(BackendError::Removal { left: text(), remedy: "restart it".to_owned() }),
        Box::new(BackendError::Other(other())),
        Box::new(ProbeError::Failed(other())),
        Box::new(NamespaceError::Restart(cause())),
        Box::new(ProgramError::NoNode),
        Box::new(ProgramError::NotAProgram("/bin/sh".into())),
        Box::new(ProgramError::NotStatic("/bin/sh".into())),
        Box::new(ProgramError::Build { program: text(), tree: "/src".into(), source: cause().into() }),
        Box::new(ProgramError::OwnFile(cause())),
    ]
}

fn record_errors() -> Vec<Box<dyn Error>> {
    let source = serde_json::from_str::<u8>("x").unwrap_err();
    let shape = ShapeDifference { part: "steps", values: [text(), "four".to_owned()] };
    vec![
        Box::new(RunSetError::NotARecord { path: "out".into(), source }),
        Box::new(RunSetError::Version { path: "out".into(), version: 1 }),
        Box::new(RunSetError::Unreadable { path: "out".into(), source: cause() }),
        Box::new(RunSetError::NoRuns("out".into())),
        Box::new(CompareError::Names([text(), "four".to_owned()])),
        Box::new(CompareError::Shape(shape)),
        Box::new(CompareError::NotEnded { set: "A", seed: 1, verdict: text() }),
        Box::new(CompareError::Backends { set: "B", backends: [text(), "four".to_owned()] }),
        Box::new(PageError::Record(RunSetError::NoRuns("out".into()))),
        Box::new(DirectoryError::NotEmpty("out".into())),
        Box::new(DirectoryError::Io { path: "out".into(), source: cause() }),
        Box::new(RecordError::Unreadable { path: "out".into(), source: cause() }),
        Box::new(RecordError::Malformed {
            path: "out".into(),
            line: 3,
            source: serde_json::from_str::<u8>("x").unwrap_err(),
        }),
        Box::new(StoryError::NoItem(7)),
        Box::new(StoryError::NoQuery { wanted: 7, queries: 3 }),
        Box::new(ManifestError::Missing("out".into())),
        Box::new(ManifestError::Version { path: "out".into(), found: text() }),
        Box::new(ManifestError::Unreadable { path: "out".into(), source: cause() }),
        Box::new(ManifestError::Malformed { path: "out".into(), source: serde_json::from_str::<u8>("x").unwrap_err() }),
        Box::new(ExpositionError::TooLong(9)),
        Box::new(ExpositionError::TooManySeries),
        Box::new(ExpositionError::Malformed { line: 3, source: SampleError::Name }),
        Box::new(SampleError::Name),
        Box::new(SampleError::LabelName),
        Box::new(SampleError::LabelValue),
        Box::new(SampleError::Escape),
        Box::new(SampleError::Separator),
        Box::new(SampleError::DuplicateLabel),
        Box::new(SampleError::TooManyLabels),
        Box::new(SampleError::Value),
        Box::new(SampleError::Timestamp),
    ]
}

fn command_errors() -> Vec<Box<dyn Error>> {
    let address = "127.0.0.1:9464".parse().unwrap();
    let filter = butter_cli::logging::check("HARNESS_LOG", Some("inffo".into())).unwrap_err();
    let lost = butter_cli::output::WriteError { stream: "standard output", cause: cause() };
    let unusable = EngineProblem::NotRunning("/run/docker.sock".into());
    vec![
        Box::new(CommandError::LogFilter(filter)),
        Box::new(CommandError::Runtime(cause())),
        Box::new(CommandError::Signals(cause())),
        Box::new(CommandError::Metrics { address, source: cause() }),
        Box::new(CommandError::Serve { address, source: cause() }),
        Box::new(CommandError::Screen(cause())),
        Box::new(CommandError::Backend(unusable.into())),
        Box::new(CommandError::Record(DirectoryError::Io { path: "out".into(), source: cause() })),
        Box::new(CommandError::Manifest(ManifestError::Missing("out".into()))),
        Box::new(CommandError::BackendsDiffer),
        Box::new(CommandError::FidelityOfRealQuic),
        Box::new(CommandError::GraphOnRealNodes { topology: text(), backend: "netns" }),
        Box::new(CommandError::Page(PageError::Unwritable { path: "out".into(), source: cause() })),
        Box::new(CommandError::RunSet(RunSetError::NoRuns("out".into()))),
        Box::new(CommandError::OtherRuns("out".into())),
        Box::new(CommandError::Events(RecordError::Unreadable { path: "out".into(), source: cause() })),
        Box::new(CommandError::Samples { path: "out".into(), source: cause() }),
        Box::new(CommandError::Junit { path: "junit.xml".into(), source: cause() }),
        Box::new(CommandError::Summary { path: "summary.md".into(), source: cause() }),
        Box::new(CommandError::JunitText(text())),
        Box::new(CommandError::Pages(cause())),
        Box::new(CommandError::Write(lost)),
    ]
}

fn lab_errors() -> Vec<Box<dyn Error>> {
    let refused = HttpError::AnswerTooLong(3);
    let class = ErrorClass::User;
    vec![
        Box::new(LabError::Unsafe { path: "run".into() }),
        Box::new(LabError::Name(text())),
        Box::new(LabError::Exists(text())),
        Box::new(LabError::Unknown { name: text(), hint: None }),
        Box::new(LabError::None),
        Box::new(LabError::Several(vec![text(), text()])),
        Box::new(LabError::Gone(text())),
        Box::new(LabError::Starting(text())),
        Box::new(LabError::Refused { error: text(), remedy: None, class }),
        Box::new(LabError::Silent { name: text(), within: Duration::from_secs(3) }),
        Box::new(LabError::Broken(text(), cause())),
        Box::new(LabError::Io { path: "run".into(), source: cause() }),
        Box::new(DownError::Lab(LabError::None)),
        Box::new(DownError::Backend(anyhow::Error::from(cause()).into())),
        Box::new(KeeperError::Lab(LabError::None)),
        Box::new(KeeperError::Backend(anyhow::Error::from(cause()).into())),
        Box::new(KeeperError::Interrupted(StopReason::Interrupted)),
        Box::new(CommandError::Lab(LabError::Broken(text(), cause()))),
        Box::new(CommandError::CaptureOfRun),
        Box::new(CommandError::NoSuchNode { topology: text(), node: text(), hint: None }),
        Box::new(CommandError::Interrupted(text())),
        Box::new(CommandError::LabOnSimulator),
        Box::new(CommandError::LabNode { node: text(), source: refused }),
        Box::new(CommandError::LabNodeRefused { error: text(), remedy: None }),
        Box::new(CommandError::File { path: "out".into(), source: cause() }),
        Box::new(CommandError::Enter { host: text(), source: cause() }),
        Box::new(CommandError::Start { program: text(), source: cause() }),
    ]
}

#[test]
fn no_error_repeats_its_cause() {
    let errors = [
        plan_errors(),
        network_errors(),
        engine_errors(),
        backend_errors(),
        record_errors(),
        command_errors(),
        lab_errors(),
    ];
    for error in errors.into_iter().flatten() {
        let repeated = butter_cli::chain::repeated_part(error.as_ref());
        assert_eq!(repeated, None, "{}", butter_cli::chain::one_line(error.as_ref()));
    }
}
