//! The record of a run of ten hours, made up.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use crate::cli_desk::{self, Desk};

/// A record of ten hours, in which something happens in every second.
pub(crate) fn long_record(desk: &Desk) {
    desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "long"]).exits(0);
    let mut plan = cli_desk::json(&desk.path("long/plan.json"));
    let node = plan["nodes"][0].clone();
    let node = |number: usize| {
        let mut node = node.clone();
        node["name"] = format!("node-with-a-rather-long-name-{number}").into();
        node
    };
    plan["nodes"] = (0..2_000).map(node).collect();
    fs::write(desk.path("long/plan.json"), plan.to_string()).unwrap();
    let mut result = cli_desk::json(&desk.path("long/result.json"));
    result["run_s"] = 36_000.0.into();
    let pair = result["queries"]["by_pair"][0].clone();
    result["queries"]["by_pair"] = (0..20_000).map(|_| pair.clone()).collect();
    fs::write(desk.path("long/result.json"), result.to_string()).unwrap();
    let mut events = String::new();
    let mut samples = String::from("time_s,node,network,group,metric,labels,value\n");
    for second in 0..36_000_u64 {
        let (at, name) = (second * 1_000_000, format!("node-with-a-rather-long-name-{}", second % 2_000));
        let _ = writeln!(events, "{{\"at_us\":{at},\"event\":\"started\",\"id\":\"0\",\"node\":\"{name}\"}}");
        let _ = writeln!(events, "{{\"at_us\":{},\"event\":\"killed\",\"node\":\"{name}\"}}", at + 500_000);
        let _ = writeln!(
            events,
            "{{\"at_us\":{at},\"event\":\"incident\",\"node\":\"{name}\",\"message\":\"{}\"}}",
            "why ".repeat(50)
        );
        let _ = writeln!(
            events,
            "{{\"at_us\":{at},\"event\":\"retrieved\",\"query\":{second},\"item\":{},\"node\":\"{name}\",\"took_us\":{},\"result\":{{\"outcome\":\"{}\"}}}}",
            second % 3,
            second * 7 % 90_000,
            if second % 3 == 0 { "timed_out" } else { "not_found" }
        );
        let _ = writeln!(
            events,
            "{{\"at_us\":{at},\"event\":\"inspected\",\"live\":9,\"components\":1,\"persistent\":3,\"acknowledged\":3,\"copies\":9,\"blocks\":3,\
             \"copies_max\":4,\"spread\":{{\"nodes\":9,\"blocks\":9,\"empty\":0,\"p50\":1,\"p99\":1,\"max\":{}}}}}",
            second % 17
        );
        let _ = writeln!(
            events,
            "{{\"at_us\":{at},\"event\":\"searched\",\"search\":{second},\"node\":\"{name}\",\"query\":\"{}\",\"took_us\":{},\
             \"result\":{{\"outcome\":\"ended\",\"expected\":3,\"found\":{},\"wrong\":0,\"missing\":[],\"messages\":9}}}}",
            "term AND ".repeat(20),
            second * 11 % 70_000,
            second % 4
        );
        for (metric, labels) in [
            ("butter_messages_sent_total", ""),
            ("butter_messages_sent_bytes_total", ""),
            ("butter_purpose_bytes_total", "purpose=upkeep"),
            ("butter_purpose_bytes_total", "purpose=query"),
            ("butter_blocks", ""),
            ("butter_isolated", ""),
        ] {
            let _ = writeln!(samples, "{second}.000,{name},lan,n,{metric},{labels},{}", second % 2_001);
        }
    }
    fs::write(desk.path("long/events.jsonl"), events).unwrap();
    let file = fs::File::create(desk.path("long/samples.csv.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(samples.as_bytes()).unwrap();
    packed.finish().unwrap();
}
