//! `harness graph`: a topology as SVG, for Graphviz and for Mermaid.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn graph(arguments: &[&str]) -> Output {
    let topologies = concat!(env!("CARGO_MANIFEST_DIR"), "/../topologies");
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.env_remove("HARNESS_SEED").env_remove("HARNESS_SET").current_dir(topologies);
    command.arg("graph").args(arguments).output().unwrap()
}

#[track_caller]
fn drawing(arguments: &[&str]) -> String {
    let output = graph(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_drawing_is_svg_unless_another_format_is_asked_for() {
    let svg = drawing(&["three-lans.yaml"]);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert_eq!(svg, drawing(&["three-lans.yaml", "--format", "svg"]));
    for part in ["alpha", "full-cone NAT", "a × 5", "ambassador"] {
        assert!(svg.contains(part), "{part} is not in:\n{svg}");
    }
    assert!(drawing(&["three-lans.yaml", "--format", "dot"]).starts_with("graph \"three-lans\" {\n"));
    assert!(drawing(&["three-lans.yaml", "--format", "mermaid"]).starts_with("flowchart TB\n"));
}

#[test]
fn set_and_seed_count_and_faults_are_reported() {
    assert!(drawing(&["churn.yaml", "--set", "nodes=31", "--seed", "4"]).contains("× 31"));
    let output = graph(&["none.yaml"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot read none.yaml"));
    assert_eq!(graph(&["three-lans.yaml", "--format", "png"]).status.code(), Some(2));
}

#[test]
fn graphviz_takes_every_shipped_topology() {
    for name in ["three-lans", "cgnat", "nat-matrix", "hostile", "dual-stack", "agreement/double-nat"] {
        let text = drawing(&[&format!("{name}.yaml"), "--format", "dot"]);
        let dot = Command::new("dot")
            .arg("-Tsvg")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut dot = match dot {
            Ok(dot) => dot,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("skipped: dot is not installed");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        dot.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = dot.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
