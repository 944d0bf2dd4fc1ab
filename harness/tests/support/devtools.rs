//! A browser without a window that is steered by its DevTools protocol over two pipes: what is on a page while it changes.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a page may take until something holds on it.
const PATIENCE: Duration = Duration::from_secs(240);

/// A page in a browser.
#[derive(Debug)]
pub(crate) struct Tab {
    browser: Child,
    to: File,
    from: BufReader<File>,
    session: String,
    next: u64,
    /// What the page has reported: errors of its script, of its policy, and what it could not load.
    pub(crate) reported: Vec<String>,
    _folder: TempDir,
}

impl Tab {
    /// Opens `address` in the browser of this name.
    pub(crate) fn open(browser: &str, address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [to, from] = ["to", "from"].map(|name| folder.path().join(name));
        let made = Command::new("mkfifo").args([&to, &from]).status().unwrap();
        assert!(made.success(), "no named pipes");
        // The browser reads commands from descriptor 3 and answers on 4. Opened for both ways, so that neither side waits for the other.
        let line = format!(
            "exec {browser} --headless --no-sandbox --disable-gpu --remote-debugging-pipe --user-data-dir={} \
             3<>{} 4<>{}",
            folder.path().join("profile").display(),
            to.display(),
            from.display()
        );
        let browser =
            Command::new("bash").args(["-c", &line]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let both_ways = |path| OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut tab = Tab {
            browser,
            to: both_ways(to),
            from: BufReader::new(both_ways(from)),
            session: String::new(),
            next: 0,
            reported: Vec::new(),
            _folder: folder,
        };
        let target = tab.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = tab.call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        tab.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            tab.call(domain, json!({}));
        }
        tab.call("Performance.enable", json!({"timeDomain": "threadTicks"}));
        tab.call("Page.navigate", json!({"url": address}));
        tab
    }

    /// Calls a method, and waits for its answer.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let mut call = json!({"id": self.next, "method": method, "params": parameters});
        if !self.session.is_empty() {
            call["sessionId"] = self.session.as_str().into();
        }
        let mut bytes = call.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            bytes.pop();
            let said: Value = serde_json::from_slice(&bytes).unwrap();
            match said["method"].as_str() {
                Some("Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled") => {
                    self.reported.push(said["params"].to_string());
                }
                _ if said["id"] == self.next => {
                    assert!(said["error"].is_null(), "{method}: {}", said["error"]);
                    return said["result"].clone();
                }
                _ => {}
            }
        }
    }

    /// The value of an expression on the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Processor time of the page's main thread so far, in seconds.
    pub(crate) fn processor_seconds(&mut self) -> f64 {
        let metrics = self.call("Performance.getMetrics", json!({}));
        let of = |metric: &&Value| metric["name"] == "TaskDuration";
        metrics["metrics"].as_array().unwrap().iter().find(of).unwrap()["value"].as_f64().unwrap()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, expression: &str) {
        let began = Instant::now();
        while self.value(expression) != true {
            let text = self.value("document.body.innerText.slice(0, 2000)");
            assert!(began.elapsed() < PATIENCE, "never held: {expression}\non the page:\n{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.browser.kill();
        _ = self.browser.wait();
    }
}
