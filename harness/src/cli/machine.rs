//! `doctor`, `image`, `clean`: what concerns this machine, not a run.

use clap::Args;

use super::progress::ProgressDisplay;
use super::{Exit, environment, show};
use crate::backend::docker::image;
use crate::clean::{self, Extent};
use crate::{doctor, programs};

#[derive(Debug, Args)]
pub(super) struct CleanArgs {
    /// One run, kept or not: the value of the label butter.run on its containers
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    run: Option<String>,
    /// Every run, also kept ones and those that are being played at this moment
    #[arg(long)]
    all: bool,
}

pub(super) async fn doctor() -> Exit {
    show(&doctor::examine().await.to_string());
    Exit::Passed
}

pub(super) async fn image() -> Exit {
    let mut display = ProgressDisplay::new("image");
    let built = image::build(&programs::Choice::default(), &mut display).await;
    display.finish();
    match built {
        Ok(image) => {
            show(&format!("{} {}\n", image.tag, if image.built { "(built)" } else { "(was there)" }));
            Exit::Passed
        }
        Err(error) => environment(&error),
    }
}

pub(super) async fn clean(args: &CleanArgs) -> Exit {
    let mut display = ProgressDisplay::new("clean");
    let extent = match &args.run {
        Some(run) => Extent::Run(run.clone()),
        None if args.all => Extent::All,
        None => Extent::Crashed,
    };
    let cleaned = clean::clean(extent, &mut display).await;
    display.finish();
    match cleaned {
        Ok(cleaned) => {
            let removed = cleaned.removed.iter().map(|run| format!("removed {run}\n"));
            let spared = cleaned.spared.iter().map(|(run, why)| format!("left {run}: {why}\n"));
            let told: String = removed.chain(spared).collect();
            show(match (&args.run, told.is_empty()) {
                (_, false) => &told,
                (Some(_), true) => "nothing is left of that run\n",
                (None, true) => "nothing is left of any run\n",
            });
            Exit::Passed
        }
        Err(error) => environment(&error),
    }
}
