//! `samples.csv.gz`: every metric of every node and router over time, one row each, as compressed CSV.
//!
//! `pandas.read_csv("samples.csv.gz")` reads it, and so does `zcat`. The file is a row of complete gzip members (RFC 1952 §2.2).
//! Each holds about [`MEMBER_BYTES`] of text, or [`MEMBER_SPAN`] of the run. So a run that is cut off leaves a readable file that
//! lacks its last member at most.
//!
//! The file stays below [`ROWS_MAX`] rows, however large the run: whenever half of the remaining room is used up, every other
//! sampling moment is left out from then on. A moment is written whole or not at all. The room lasts over an hour for 16
//! nodes, and about a minute for 1,000 nodes. Checks do not depend on this file.

use std::io::{self, Read, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::events::RunTime;
use crate::plan::Plan;
use crate::series::{Scrape, Series, Source};

/// Name of the file in a record.
pub const SAMPLES_FILE: &str = "samples.csv.gz";
/// Most rows of a file, its header not counted.
pub const ROWS_MAX: usize = 1_000_000;
/// Bytes of text after which a member ends.
const MEMBER_BYTES: usize = 512 << 10;
/// Time on the run's clock after which a member ends.
const MEMBER_SPAN: Duration = Duration::from_secs(10);

const HEADER: [&str; 7] = ["time_s", "node", "network", "group", "metric", "labels", "value"];

/// Writes the samples of a run. A router is a row with the name of its network as node, in the group `router`.
#[derive(Debug)]
pub struct Samples<W: Write> {
    to: W,
    /// Text of the member that is being made.
    member: csv::Writer<Vec<u8>>,
    /// When that member ends at the latest.
    member_until: RunTime,
    rows: usize,
    rows_max: usize,
    /// Rows at which `every` doubles.
    thins_at: usize,
    /// Every how many moments one is written.
    every: usize,
    moments: usize,
}

impl<W: Write> Samples<W> {
    /// Begins a file with its header. `to` should not buffer: whole members are written at once.
    ///
    /// # Errors
    /// If the header cannot be written.
    pub fn new(to: W) -> io::Result<Self> {
        Self::bounded(to, ROWS_MAX)
    }

    fn bounded(to: W, rows_max: usize) -> io::Result<Self> {
        let mut member = csv::Writer::from_writer(Vec::new());
        member.write_record(HEADER)?;
        let member_until = RunTime::default().plus(MEMBER_SPAN);
        Ok(Samples { to, member, member_until, rows: 0, rows_max, thins_at: rows_max / 2, every: 1, moments: 0 })
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
                self.member.write_record([&time, node, network, group, &series.name, &labels(series), &value])?;
            }
        }
        self.rows += rows;
        if self.rows >= self.thins_at {
            self.every *= 2;
            self.thins_at += (self.rows_max - self.thins_at) / 2;
        }
        self.member.flush()?;
        if self.member.get_ref().len() >= MEMBER_BYTES || at >= self.member_until {
            self.end_member()?;
            self.member_until = at.plus(MEMBER_SPAN);
        }
        Ok(())
    }

    fn end_member(&mut self) -> io::Result<()> {
        let ended = std::mem::replace(&mut self.member, csv::Writer::from_writer(Vec::new()));
        let text = ended.into_inner().map_err(csv::IntoInnerError::into_error)?;
        let mut member = GzEncoder::new(Vec::new(), Compression::default());
        member.write_all(&text)?;
        self.to.write_all(&member.finish()?)?;
        self.to.flush()
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.member.flush()?;
        if self.member.get_ref().is_empty() { Ok(()) } else { self.end_member() }
    }
}

/// Which samples are wanted. Without names, all are.
#[derive(Clone, Debug, Default)]
pub struct SampleFilter {
    /// Names of metrics; that of a histogram stands for all its series.
    pub metrics: Vec<String>,
    /// Names of nodes, and of networks for their routers.
    pub nodes: Vec<String>,
}

impl SampleFilter {
    pub(super) fn takes(&self, node: &str, metric: &str) -> bool {
        let is_metric = |name: &String| {
            let suffix = metric.strip_prefix(name.as_str());
            suffix.is_some_and(|suffix| ["", "_bucket", "_sum", "_count"].contains(&suffix))
        };
        (self.nodes.is_empty() || self.nodes.iter().any(|name| name == node))
            && (self.metrics.is_empty() || self.metrics.iter().any(is_metric))
    }
}

/// Copies the wanted samples of a file as plain CSV, with its header. Returns their number.
///
/// # Errors
/// If the file is none of samples, or either stream fails. What could be read is written nevertheless.
pub fn copy_samples(from: impl Read, filter: &SampleFilter, to: impl Write) -> io::Result<u64> {
    let mut to = csv::Writer::from_writer(to);
    to.write_record(HEADER)?;
    let mut copied = 0;
    let read = rows(from, |row| {
        if filter.takes(&row[1], &row[4]) {
            to.write_record(row)?;
            copied += 1;
        }
        Ok(())
    });
    to.flush()?;
    read.map(|()| copied)
}

/// Hands each row of a file of samples to `take`.
///
/// # Errors
/// If the file is none of samples, the stream fails, or `take` does.
pub(super) fn rows(from: impl Read, mut take: impl FnMut(&csv::StringRecord) -> io::Result<()>) -> io::Result<()> {
    let mut from = csv::Reader::from_reader(MultiGzDecoder::new(from));
    if *from.headers().map_err(unwrapped)? != HEADER[..] {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its columns are not those of samples"));
    }
    let mut row = csv::StringRecord::new();
    while from.read_record(&mut row).map_err(unwrapped)? {
        take(&row)?;
    }
    Ok(())
}

/// The error of the stream, if it is one: its kind says more than that of CSV.
fn unwrapped(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}")),
    }
}

/// Node, network and group of what was scraped.
pub fn names(plan: &Plan, source: Source) -> (&str, &str, &str) {
    match source {
        Source::Node(index) => {
            let node = plan.node(index);
            (&node.name, &plan.network(node.network).name, &node.group)
        }
        Source::Router(index) => (&plan.network(index).name, &plan.network(index).name, "router"),
    }
}

/// `path=lan;le=0.5`; a value that holds `;` or `=` stays ambiguous, but butter has none.
/// The labels of a series, as its rows have them.
pub fn labels(series: &Series) -> String {
    let pairs: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{NetworkIndex, NodeIndex};
    use crate::testing::{self, scrape};

    fn written(rows_max: usize, moments: &[Vec<Scrape>]) -> Vec<String> {
        let mut file = Vec::new();
        let mut samples = Samples::bounded(&mut file, rows_max).unwrap();
        for (second, scrapes) in moments.iter().enumerate() {
            samples.write(&testing::plan_with_items(), RunTime(second as u64 * 1_000_000), scrapes).unwrap();
        }
        samples.finish().unwrap();
        text_of(&file, &SampleFilter::default()).lines().map(ToOwned::to_owned).collect()
    }

    fn text_of(file: &[u8], filter: &SampleFilter) -> String {
        let mut text = Vec::new();
        copy_samples(file, filter, &mut text).unwrap();
        String::from_utf8(text).unwrap()
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

    #[test]
    fn file_that_was_cut_off_has_its_whole_members() {
        let moment = [scrape(Source::Node(NodeIndex(0)), &[("x", &[], 1.0)])];
        let mut file = Vec::new();
        let mut samples = Samples::new(&mut file).unwrap();
        for second in 0..15 {
            samples.write(&testing::plan_with_items(), RunTime(second * 1_000_000), &moment).unwrap();
        }
        // As if the program were killed here.
        drop(samples);
        assert_eq!(text_of(&file, &SampleFilter::default()).lines().count(), 1 + 11);
        let mut text = Vec::new();
        file.truncate(file.len() - 5);
        let error = copy_samples(&file[..], &SampleFilter::default(), &mut text).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
        assert!(text.starts_with(b"time_s,node,"), "what could be read is there");
    }

    #[test]
    fn filter_takes_metrics_and_nodes_by_name() {
        let names = ["butter_links", "took_seconds_sum", "took_seconds_count", "took_secondsx"];
        let series: Vec<testing::SeriesSpec<'_>> = names.iter().map(|name| (*name, &[][..], 1.0)).collect();
        let moment = [0, 1].map(|node| scrape(Source::Node(NodeIndex(node)), &series));
        let mut file = Vec::new();
        let mut samples = Samples::new(&mut file).unwrap();
        samples.write(&testing::plan_with_items(), RunTime(0), &moment).unwrap();
        samples.finish().unwrap();
        let count = |metrics: &[&str], nodes: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let filter = SampleFilter { metrics: owned(metrics), nodes: owned(nodes) };
            text_of(&file, &filter).lines().count() - 1
        };
        assert_eq!((count(&[], &[]), count(&["butter_links"], &[]), count(&[], &["n-1"])), (8, 2, 4));
        assert_eq!((count(&["took_seconds"], &["n-0"]), count(&["none"], &[])), (2, 0));
    }

    #[test]
    fn other_files_are_refused() {
        let error = copy_samples(&b"this is plain text"[..], &SampleFilter::default(), Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}
