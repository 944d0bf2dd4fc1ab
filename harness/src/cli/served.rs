//! What `harness run` serves while runs last, and for how long after them.

use std::net::SocketAddr;
use std::time::Duration;

use butter_cli::end_signals::EndSignals;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::error::CommandError;
use super::{Exit, fail, tell};
use crate::metrics::federation::Federation;
use crate::report_page::live::LivePage;

/// Where the report is served unless an address is given: this machine alone, at a free port.
pub(super) const ADDRESS_DEFAULT: &str = "127.0.0.1:0";

/// What is served of each run.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) federation: Option<Federation>,
    pub(super) live: Option<LivePage>,
}

impl Served {
    /// Listens, and serves in tasks until the process ends.
    ///
    /// # Errors
    /// If one of the addresses cannot be listened on.
    pub(super) async fn begin(metrics: Option<SocketAddr>, report: Option<SocketAddr>) -> Result<Self, CommandError> {
        let mut served = Served::default();
        if let Some(address) = metrics {
            let (listener, at) = listen(address).await.map_err(|source| CommandError::Metrics { address, source })?;
            tell(&format!("metrics: http://{at}/metrics"));
            let federation = Federation::default();
            tokio::spawn(federation.clone().serve(listener));
            served.federation = Some(federation);
        }
        if let Some(address) = report {
            let failed = |source| CommandError::Serve { address, source };
            let (listener, at) = listen(address).await.map_err(failed)?;
            let live = LivePage::start().map_err(failed)?;
            tell(&format!("live report: http://{at}/"));
            tokio::spawn(live.clone().serve(listener));
            served.live = Some(live);
        }
        Ok(served)
    }
}

async fn listen(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let at = listener.local_addr()?;
    Ok((listener, at))
}

/// How serving goes on after the last run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// `None`: until a signal.
    time: Option<Duration>,
    what: &'static str,
}

/// Whether anything is served after the last run, and for how long.
pub(super) fn rest(linger: Option<Duration>, metrics: bool, report: bool) -> Option<Rest> {
    let what = match (metrics, report) {
        (true, true) => "metrics and report stay",
        (true, false) => "metrics stay",
        (false, true) => "the report stays",
        (false, false) => {
            // A variable of the environment may well say so for all runs.
            if linger.is_some() {
                tell("nothing lingers without --metrics ADDR or --serve");
            }
            return None;
        }
    };
    // Metrics are read by programs, which need no time of their own. A report is read by people, who end it themselves.
    (linger.is_some() || report).then_some(Rest { time: linger, what })
}

impl Rest {
    /// Leaves everything as it is: what is served is served by tasks. A signal ends it.
    pub(super) fn last(self, runtime: &Handle) -> Exit {
        let caught = {
            let _within = runtime.enter();
            EndSignals::catch()
        };
        let mut caught = match caught {
            Ok(caught) => caught,
            Err(error) => return fail(CommandError::Signals(error)),
        };
        match self.time {
            Some(time) => {
                tell(&format!("{} for {}; Ctrl-C ends that", self.what, humantime::format_duration(time)));
                // Either end is as good.
                _ = runtime.block_on(async { tokio::time::timeout(time, caught.next()).await });
            }
            None => {
                tell(&format!("{} until Ctrl-C", self.what));
                runtime.block_on(caught.next());
            }
        }
        Exit::Passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_stays_until_it_is_ended_and_metrics_only_for_the_time_asked_for() {
        let time = Some(Duration::from_secs(5));
        assert_eq!(rest(None, false, true), Some(Rest { time: None, what: "the report stays" }));
        assert_eq!(rest(time, false, true), Some(Rest { time, what: "the report stays" }));
        assert_eq!(rest(time, true, false), Some(Rest { time, what: "metrics stay" }));
        assert_eq!((rest(None, true, false), rest(None, false, false)), (None, None));
    }
}
