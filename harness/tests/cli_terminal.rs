//! What `harness run` shows on terminals: of 80 and of 120 columns, of ones that cannot draw, and where it fills them.

use std::process::Command;
use std::time::{Duration, Instant};

#[path = "support/cli_desk.rs"]
mod cli_desk;
#[path = "support/pty.rs"]
mod pty;

use cli_desk::{Desk, SMALL, has};
use pty::{OnTerminal, lines};

const ENTERS: &str = "\x1b[?1049h";
const LEAVES: &str = "\x1b[?1049l";

fn run(desk: &Desk, options: &[&str], columns: u16) -> (Option<i32>, String) {
    OnTerminal::start(desk.command(&[&["run", "small.yaml", "--backend", "sim"][..], options].concat()), columns, 40)
        .end()
}

/// Two networks, so that tables have many columns.
fn wide() -> Desk {
    let desk = Desk::new();
    let networks = "  internet: {}\n  first-network: {behind: internet}\n  second-network: {behind: internet}\n  third-network: {behind: internet}\n";
    let nodes = "  a: {on: internet, ambassador: true}\n  n: {on: first-network, count: 3}\n  m: {on: second-network, count: 3}\n  o: {on: third-network, count: 2}\n";
    let text = SMALL.replace("  lan: {}\n", networks).replace("  n: {on: lan, count: 4}\n", nodes);
    let text = text.replace("items: 3", "items: 12").replace("from: [lan, fresh]", "from: all");
    desk.write("small.yaml", &text);
    desk
}

#[test]
fn nothing_is_wider_than_the_terminal_and_finished_steps_stay() {
    let desk = wide();
    for (columns, dir) in [(80, "eighty"), (120, "more")] {
        let (status, text) = run(&desk, &["--out", dir], columns);
        assert_eq!(status, Some(0), "{text}");
        let lines = lines(&text);
        // A verdict is one line, whatever its length.
        for line in lines.iter().filter(|line| !line.contains("PASSED after")) {
            assert!(line.chars().count() <= columns.into(), "{} of {columns} columns: {line}", line.chars().count());
        }
        let all = lines.join("\n");
        has(&all, &["✓ step 1 of 4: join within 30s, ", "✓ step 4 of 4: ", " s simulated in ", "success", "upkeep"]);
    }
}

#[test]
fn a_terminal_that_cannot_draw_and_one_without_colour_get_plain_lines() {
    let desk = Desk::new();
    let mut command = desk.command(&["run", "small.yaml", "--backend", "sim", "--out", "dumb"]);
    // `OnTerminal` sets another.
    let program = command.get_program().to_owned();
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = Command::new("env");
    command.arg("TERM=dumb").arg(program).args(arguments).current_dir(desk.path(""));
    let (status, text) = OnTerminal::start(command, 80, 40).end();
    assert_eq!(status, Some(0), "{text}");
    assert!(!text.contains('\x1b'), "{text:?}");
    has(&text, &["small: step 1 of 4: join within 30s", "small: ✓ step 1, "]);
}

#[test]
fn quiet_and_verbose_say_less_and_more() {
    let desk = Desk::new();
    let run =
        |options: &[&str]| desk.harness(&[&["run", "small.yaml", "--backend", "sim"][..], options].concat()).exits(0);
    let quiet = run(&["--out", "quiet", "-q"]);
    assert_eq!((quiet.stdout.lines().count(), quiet.stderr.as_str()), (1, ""), "{}", quiet.stdout);
    has(&quiet.stdout, &["small on sim, seed 3: PASSED after "]);
    let verbose = run(&["--out", "verbose", "-v"]);
    has(&verbose.stderr, &["small: at 0.000 s: step began step=0 verb=join", "retrieved"]);
    has(&desk.harness(&["run", "small.yaml", "-q", "-v"]).exits(2).stderr, &["cannot be used with"]);
}

#[test]
fn a_run_that_fills_the_terminal_gives_it_back() {
    let desk = Desk::new();
    let (status, text) = run(&desk, &["--out", "full", "--full-screen"], 100);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!((text.matches(ENTERS).count(), text.matches(LEAVES).count()), (1, 1));
    let (_, after) = text.split_once(LEAVES).unwrap();
    let after = lines(after).join("\n");
    has(&after, &["✓ step 1, ", "PASSED", "report: full/report.html"]);
    has(&text, &["Checks so far", "Last events", "alive"]);
}

#[test]
fn a_terminal_is_given_back_after_one_signal_and_after_two() {
    for signals in [1, 2] {
        let desk = Desk::new();
        let churn = "  - churn: {for: 100000s, die: 1/300/s}\n";
        desk.write("small.yaml", &SMALL.replace("  - settle: {for: 2s}\n", churn));
        let command = desk.command(&["run", "small.yaml", "--backend", "sim", "--out", "out", "--full-screen"]);
        let mut on = OnTerminal::start(command, 100, 30);
        let began = Instant::now();
        while on.echoes() {
            assert!(began.elapsed() < Duration::from_secs(60), "the terminal was never filled");
            std::thread::sleep(Duration::from_millis(20));
        }
        for _ in 0..signals {
            Command::new("kill").args(["-INT", &on.program.id().to_string()]).status().unwrap();
        }
        assert!(on.program.wait().is_ok());
        let (status, text) = on.end();
        assert_eq!(status, Some(130), "{text}");
        assert!(text.matches(LEAVES).count() >= 1 && text.contains("\x1b[?25h"), "{text}");
    }
}

#[test]
fn what_is_no_terminal_cannot_be_filled() {
    let desk = Desk::new();
    let ran = desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "out", "--full-screen"]).exits(3);
    has(&ran.stderr, &["the run cannot fill the terminal", "no terminal"]);
    assert!(!desk.path("out").exists(), "nothing was played");
}
