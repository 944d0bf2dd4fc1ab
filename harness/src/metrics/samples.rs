//! `samples.csv`: every metric of every node and router over time, one row each.
//!
//! The file stays below [`ROWS_MAX`] rows, however large the run: whenever half of the remaining room is used up, every other
//! sampling moment is left out from then on. A moment is written whole or not at all. The room lasts over an hour for 16
//! nodes, and about a minute for 1,000 nodes. Checks do not depend on this file.

use std::io::{self, Write};

use crate::events::RunTime;
use crate::plan::Plan;
use crate::series::{Scrape, Series, Source};

/// Most rows of a file, its header not counted.
pub const ROWS_MAX: usize = 1_000_000;

const HEADER: [&str; 7] = ["time_s", "node", "network", "group", "metric", "labels", "value"];

/// Writes `samples.csv`. A router is a row with the name of its network as node, in the group `router`.
#[derive(Debug)]
pub struct Samples<W: Write> {
    csv: csv::Writer<W>,
    rows: usize,
    rows_max: usize,
    /// Rows at which `every` doubles.
    thins_at: usize,
    /// Every how many moments one is written.
    every: usize,
    moments: usize,
}

impl<W: Write> Samples<W> {
    /// Begins a file with its header.
    ///
    /// # Errors
    /// If the header cannot be written.
    pub fn new(to: W) -> io::Result<Self> {
        Self::bounded(to, ROWS_MAX)
    }

    fn bounded(to: W, rows_max: usize) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(to);
        csv.write_record(HEADER)?;
        Ok(Samples { csv, rows: 0, rows_max, thins_at: rows_max / 2, every: 1, moments: 0 })
    }

    /// Writes one sampling moment, unless it is one to be left out.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, plan: &Plan, at: RunTime, scrapes: &[Scrape]) -> io::Result<()> {
        let moment = self.moments;
        self.moments += 1;
        let rows: usize = scrapes.iter().map(|scrape| scrape.series.len()).sum();
        if !moment.is_multiple_of(self.every) || self.rows + rows > self.rows_max {
            return Ok(());
        }
        let time = format!("{:.3}", at.as_secs_f64());
        for scrape in scrapes {
            let (node, network, group) = names(plan, scrape.source);
            for series in &scrape.series {
                let value = series.value.to_string();
                self.csv.write_record([&time, node, network, group, &series.name, &labels(series), &value])?;
            }
        }
        self.rows += rows;
        if self.rows >= self.thins_at {
            self.every *= 2;
            self.thins_at += (self.rows_max - self.thins_at) / 2;
        }
        Ok(())
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.csv.flush()
    }
}

/// Node, network and group of what was scraped.
pub(super) fn names(plan: &Plan, source: Source) -> (&str, &str, &str) {
    match source {
        Source::Node(index) => {
            let node = plan.node(index);
            (&node.name, &plan.network(node.network).name, &node.group)
        }
        Source::Router(index) => (&plan.network(index).name, &plan.network(index).name, "router"),
    }
}

/// `path=lan;le=0.5`; a value that holds `;` or `=` stays ambiguous, but butter has none.
fn labels(series: &Series) -> String {
    let pairs: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{NetworkIndex, NodeIndex};
    use crate::results::fixture::{self, scrape};

    fn written(rows_max: usize, moments: &[Vec<Scrape>]) -> Vec<String> {
        let mut file = Vec::new();
        let mut samples = Samples::bounded(&mut file, rows_max).unwrap();
        for (second, scrapes) in moments.iter().enumerate() {
            samples.write(&fixture::plan(), RunTime(second as u64 * 1_000_000), scrapes).unwrap();
        }
        samples.finish().unwrap();
        String::from_utf8(file).unwrap().lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn row_names_its_node_or_router() {
        let node = scrape(Source::Node(NodeIndex(4)), &[("butter_links", &[("path", "lan")], 2.0), ("x", &[], 0.5)]);
        let router =
            scrape(Source::Router(NetworkIndex(0)), &[("butter_router_drops_total", &[("why", "a,\"b\"")], 1.0)]);
        let rows = written(100, &[vec![node, router]]);
        assert_eq!(
            rows,
            [
                "time_s,node,network,group,metric,labels,value",
                "0.000,n-4,beta,n,butter_links,path=lan,2",
                "0.000,n-4,beta,n,x,,0.5",
                "0.000,alpha,alpha,router,butter_router_drops_total,\"why=a,\"\"b\"\"\",1",
            ]
        );
    }

    #[test]
    fn long_run_is_thinned_and_stays_within_the_bound() {
        let moment = || vec![scrape(Source::Node(NodeIndex(0)), &[("x", &[], 1.0), ("y", &[], 1.0)])];
        let rows = written(64, &(0..500).map(|_| moment()).collect::<Vec<_>>());
        assert!(rows.len() - 1 <= 64 && rows.len() > 50, "{}", rows.len());
        assert!(rows.last().unwrap().split('.').next().unwrap().parse::<u32>().unwrap() > 90, "{rows:?}");
        assert_eq!(rows.len() % 2, 1, "moments are whole");
    }
}
