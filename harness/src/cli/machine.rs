//! `doctor`, `image`, `clean`: about this machine, not about a run.

use clap::Args;

use super::progress::ProgressDisplay;
use super::{Exit, fail, lab, show};
use crate::backend::BackendError;
use crate::backend::docker::image;
use crate::clean::{self, CleanScope};
use crate::{doctor, programs};

#[derive(Debug, Args)]
pub(super) struct CleanArgs {
    /// Remove this run, even if it was kept: the value of the label butter.run on its containers
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    run: Option<String>,
    /// Remove every run, even kept ones and those in progress
    #[arg(long)]
    all: bool,
}

pub(super) async fn doctor() -> Exit {
    show(&doctor::examine().await.to_string());
    Exit::Passed
}

pub(super) async fn image() -> Exit {
    let mut display = ProgressDisplay::new("image");
    let built = image::build(&programs::ProgramChoice::default(), &mut display).await;
    display.finish();
    match built {
        Ok(image) => {
            show(&format!("{} {}\n", image.tag, if image.built { "(built)" } else { "(already built)" }));
            Exit::Passed
        }
        Err(error) => fail(error),
    }
}

pub(super) async fn clean(args: &CleanArgs) -> Exit {
    // A lab that a Docker run has to do with is removed by its own folder first.
    let labs = match &args.run {
        Some(_) => Vec::new(),
        None => match lab::down::clean(args.all).await {
            Ok(labs) => labs,
            Err(error) => return fail(error),
        },
    };
    let mut display = ProgressDisplay::new("clean");
    let scope = match &args.run {
        Some(run) => CleanScope::Run(run.clone()),
        None if args.all => CleanScope::All,
        None => CleanScope::Crashed,
    };
    let cleaned = clean::clean(scope, &mut display).await;
    display.finish();
    labs.iter().for_each(|lab| show(&format!("removed what was left of the lab {lab}\n")));
    match cleaned {
        Ok(cleaned) => {
            let removed = cleaned.removed.iter().map(|run| format!("removed {run}\n"));
            let spared = cleaned.spared.iter().map(|(run, why)| format!("kept {run}: {why}\n"));
            let list: String = removed.chain(spared).collect();
            if list.is_empty() && !labs.is_empty() {
                return Exit::Passed;
            }
            show(match (&args.run, list.is_empty()) {
                (_, false) => &list,
                (Some(_), true) => "nothing to remove: the engine has nothing of this run\n",
                (None, true) => "nothing to remove: no run has left anything\n",
            });
            Exit::Passed
        }
        // Labs on namespaces take no engine.
        Err(BackendError::Engine(_)) if !labs.is_empty() => Exit::Passed,
        Err(error) => fail(error),
    }
}
