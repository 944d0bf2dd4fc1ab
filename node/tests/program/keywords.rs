//! Keywords as a user meets them.

use std::io::Write;
use std::process::{Output, Stdio};

use butter::api::SearchLine;

use super::{Node, output};

#[test]
fn values_are_found_by_their_keywords() {
    let (a, b) = (Node::start(19_813, &["--set", "replicas=2"]), Node::start(19_813, &["--set", "replicas=2"]));
    a.knows(1);
    b.knows(1);
    let put = |text: &str, keywords: &str| {
        let mut process = a.ask(&["put", "--keywords", keywords, "-"]);
        let mut process = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let (one, two) = (put("one", "Rust, größe"), put("two", "rust,hole punching"));
    let found = output(b.ask(&["search", "rust", "größe"]));
    assert_eq!(String::from_utf8(found.stdout).unwrap(), format!("{one}  größe, rust\n"));
    assert!(String::from_utf8(found.stderr).unwrap().starts_with("1 hit: every peer has answered"));
    let lines = b.says(&["search", "rust NOT größe", "--json"]);
    let lines: Vec<SearchLine> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [SearchLine::Hit(hit), SearchLine::End(end)] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((hit.id.to_string(), &hit.keywords[..]), (two, &["hole punching".to_owned(), "rust".to_owned()][..]));
    assert_eq!((end.hits, end.complete, end.stop.as_str()), (1, true, "all_answered"));
    let cases: [(&[&str], i32, &str); 5] = [
        (&["search", "zig"], 1, "nothing found"),
        (&["search", "a AND"], 2, "\n  a AND\n       ^"),
        (&["search", "NOT a"], 2, "NOT only excludes"),
        (&["search", "a", "--limit", "0"], 2, "from 1 to 10000"),
        (&["search", "a", "--timeout", "2min"], 2, "up to 60 s"),
    ];
    for (arguments, status, wanted) in cases {
        let Output { status: ended, stderr, .. } = output(b.ask(arguments));
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(ended.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(wanted), "{arguments:?}: {said}");
    }
    assert_eq!(b.http("POST", "/v1/blobs?keywords=a,,b", b"x").unwrap().0, 400);
    assert_eq!(b.http("GET", "/v1/search?q=rust%20OR", b"").unwrap().0, 400);
}

#[test]
fn search_of_a_node_alone_is_incomplete() {
    let node = Node::start(19_814, &[]);
    let Output { status, stderr, .. } = output(node.ask(&["search", "rust", "--timeout", "300ms"]));
    assert_eq!(status.code(), Some(4), "{}", String::from_utf8_lossy(&stderr));
}
