//! A run so far, as a screen shows it: steps, nodes, checks and the last events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use butter_cli::terminal::{Charset, Terminal};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use crate::checks;
use crate::cli::progress::{event_text, part_of_step};
use crate::events::{Event, EventKind, RunTime};
use crate::plan::Plan;
use crate::report::format::{measured, seconds};
use crate::results::check_result::CheckResult;
use crate::results::event_line;
use crate::results::under_way::{RunUnderWay, SumPace};
use crate::run::RunStatus;
use crate::series::Scrape;

/// Most events that are kept: more than any terminal has lines.
const EVENTS_MAX: usize = 400;
/// Columns from which steps and checks stand beside each other.
const WIDE: u16 = 90;

/// What is known of a run.
pub(super) struct RunView {
    under_way: RunUnderWay,
    terminal: Terminal,
    began: Instant,
    steps: Vec<StepState>,
    checks: Vec<CheckResult>,
    pace: SumPace,
    events: VecDeque<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum StepState {
    Waits,
    Runs { began: RunTime },
    Ended { took_s: f64, well: bool },
}

impl RunView {
    pub(super) fn new(plan: Arc<Plan>, backend: &str, terminal: Terminal) -> Self {
        RunView {
            terminal,
            began: Instant::now(),
            steps: vec![StepState::Waits; plan.steps.len()],
            checks: Vec::new(),
            pace: SumPace::default(),
            events: VecDeque::new(),
            under_way: RunUnderWay::new(plan, backend),
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        match &event.kind {
            EventKind::StepBegan { step, .. } => self.steps[*step] = StepState::Runs { began: event.at },
            EventKind::StepEnded { step, problem } => {
                let began = if let StepState::Runs { began } = self.steps[*step] { began } else { event.at };
                let took_s = event.at.as_secs_f64() - began.as_secs_f64();
                self.steps[*step] = StepState::Ended { took_s, well: problem.is_none() };
            }
            _ => {}
        }
        if let Ok(value) = event_line::value(&event, &self.under_way.plan) {
            self.line(&event_text(event.at, &value));
        }
        self.under_way.event(event);
    }

    pub(super) fn sampled(&mut self, at: RunTime, scrapes: Arc<Vec<Scrape>>) {
        self.under_way.sampled(at, scrapes);
    }

    pub(super) fn status(&mut self, status: RunStatus) {
        self.under_way.status = status;
    }

    /// Adds a line to the last events.
    pub(super) fn line(&mut self, line: &str) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(line.to_owned());
    }

    /// Judges the checks by what has happened so far, now and then.
    pub(super) fn judge(&mut self) {
        let RunUnderWay { plan, record, .. } = &self.under_way;
        if self.pace.begin() {
            self.checks = checks::evaluate(plan, &record.events, &record.metric_history);
            self.pace.end();
        }
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let is_wide = area.width >= WIDE;
        let (steps, checks) = (self.steps.len() as u16 + 2, self.checks.len().max(1) as u16 + 2);
        // At least a third is for the events.
        let room = (area.height.saturating_sub(2) * 2 / 3).max(4);
        let [head, standing, middle, events] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(room.min(if is_wide { steps.max(checks) } else { steps + checks })),
            Constraint::Min(3),
        ])
        .areas(area);
        frame.render_widget(
            Paragraph::new(self.encoded(&self.headline())).style(self.style(None, Modifier::BOLD)),
            head,
        );
        frame.render_widget(Paragraph::new(self.encoded(&self.standing())), standing);
        let halves = [Constraint::Fill(1), Constraint::Fill(1)];
        let [left, right] = match is_wide {
            true => Layout::horizontal(halves).areas(middle),
            false => Layout::vertical([Constraint::Length(steps.min(room / 2)), Constraint::Fill(1)]).areas(middle),
        };
        self.draw_steps(frame, left);
        self.draw_checks(frame, right);
        self.draw_events(frame, events);
    }

    fn draw_steps(&self, frame: &mut Frame<'_>, area: Rect) {
        let lines: Vec<Line<'_>> = self
            .steps
            .iter()
            .zip(&self.under_way.plan.steps)
            .map(|(state, step)| {
                let (sign, color, time) = match state {
                    StepState::Waits => (self.signs()[2], None, String::new()),
                    StepState::Runs { began } => {
                        let part = part_of_step(&self.under_way.plan, &self.under_way.status, *began);
                        let part = part.map_or(String::new(), |part| format!(" {:.0} %", (part * 100.0).min(100.0)));
                        (self.signs()[3], Some(Color::Yellow), part)
                    }
                    StepState::Ended { took_s, well: true } => {
                        (self.signs()[0], Some(Color::Green), format!(" {}", seconds(*took_s)))
                    }
                    StepState::Ended { took_s, well: false } => {
                        (self.signs()[1], Some(Color::Red), format!(" {}", seconds(*took_s)))
                    }
                };
                self.row(area, sign, color, &step.summary, &time)
            })
            .collect();
        // The running step is in sight.
        let running = self.steps.iter().rposition(|state| *state != StepState::Waits).unwrap_or(0);
        let block = self.block("Steps");
        let rows = usize::from(block.inner(area).height).max(1);
        let above = (running + 2).min(lines.len()).saturating_sub(rows);
        frame.render_widget(Paragraph::new(lines).scroll((above as u16, 0)).block(block), area);
    }

    fn draw_checks(&self, frame: &mut Frame<'_>, area: Rect) {
        let row = |check: &CheckResult| {
            let (sign, color) = match (check.passed, check.value) {
                (true, _) => (self.signs()[0], Some(Color::Green)),
                (false, Some(_)) => (self.signs()[1], Some(Color::Red)),
                (false, None) => (self.signs()[2], None),
            };
            let value = check.value.map_or(String::new(), |_| format!(" {}", measured(check)));
            self.row(area, sign, color, &check.text, &value)
        };
        let mut checks: Vec<&CheckResult> = self.checks.iter().collect();
        // What does not hold is in sight.
        checks.sort_by_key(|check| (check.passed, check.value.is_none()));
        let lines: Vec<Line<'_>> = checks.into_iter().map(row).collect();
        frame.render_widget(Paragraph::new(lines).block(self.block("Checks so far")), area);
    }

    fn draw_events(&self, frame: &mut Frame<'_>, area: Rect) {
        let room = usize::from(area.height.saturating_sub(2));
        let first = self.events.len().saturating_sub(room);
        let lines: Vec<Line<'_>> = self.events.iter().skip(first).map(|line| Line::from(self.encoded(line))).collect();
        frame.render_widget(Paragraph::new(lines).block(self.block("Last events")), area);
    }

    /// A sign, a text that is cut where there is no room for it, and a value at the right edge.
    fn row(&self, area: Rect, sign: &'static str, color: Option<Color>, text: &str, value: &str) -> Line<'static> {
        let inner = usize::from(area.width.saturating_sub(2));
        let room = inner.saturating_sub(sign.len().min(2) + 1 + value.chars().count());
        let text: String = self.encoded(text).chars().take(room).collect();
        let pad = " ".repeat(room.saturating_sub(text.chars().count()));
        let sign = Span::styled(format!("{sign} "), self.style(color, Modifier::BOLD));
        Line::from(vec![sign, Span::raw(text), Span::raw(pad), Span::raw(self.encoded(value))])
    }

    fn headline(&self) -> String {
        let RunUnderWay { plan, backend, status, .. } = &self.under_way;
        let Plan { name, seed, .. } = &**plan;
        let real = humantime::format_duration(Duration::from_secs(self.began.elapsed().as_secs()));
        format!(
            "{name} on {backend}, seed {seed}: clock {:.1} s, {real} by the wall; Ctrl-C ends the run",
            status.now.as_secs_f64()
        )
    }

    fn standing(&self) -> String {
        let RunStatus { live, acknowledged, persistent, queries, .. } = self.under_way.status;
        let mut parts = vec![format!("{live} nodes alive")];
        match persistent {
            Some((kept, of)) if of > 0 => parts.push(format!("{kept} of {of} items persistent")),
            _ if acknowledged > 0 => parts.push(format!("{acknowledged} items stored")),
            _ => {}
        }
        if queries.total() > 0 {
            parts.push(format!("{} of {} queries found", queries.found, queries.total()));
        }
        parts.join(" · ")
    }

    /// Went well, did not, is still to come, goes on.
    fn signs(&self) -> [&'static str; 4] {
        if self.terminal.charset == Charset::Ascii { ["+", "x", ".", ">"] } else { ["✓", "✗", "·", "▸"] }
    }

    fn style(&self, color: Option<Color>, modifier: Modifier) -> Style {
        let style = Style::new().add_modifier(modifier);
        color.filter(|_| self.terminal.color).map_or(style, |color| style.fg(color))
    }

    fn block(&self, title: &'static str) -> Block<'static> {
        let borders = if self.terminal.charset == Charset::Ascii { Borders::NONE } else { Borders::ALL };
        Block::new().borders(borders).title(Span::styled(format!(" {title} "), self.style(None, Modifier::BOLD)))
    }

    fn encoded(&self, text: &str) -> String {
        self.terminal.charset.encode(text)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::plan::NodeIndex;
    use crate::results::fixture::{event, plan, step_began, step_ended};

    fn drawn(width: u16, height: u16, terminal: Terminal) -> String {
        let mut view = RunView::new(Arc::new(plan()), "sim", terminal);
        for event in [step_began(0), step_ended(0), step_began(1), event(EventKind::Killed { node: NodeIndex(3) })] {
            view.event(event);
        }
        view.status(RunStatus { live: 4, step: Some(1), ..RunStatus::default() });
        view.judge();
        let mut screen = ratatui::Terminal::new(TestBackend::new(width, height)).unwrap();
        screen.draw(|frame| view.draw(frame)).unwrap();
        screen.backend().to_string()
    }

    #[test]
    fn a_screen_of_any_size_shows_steps_nodes_checks_and_events() {
        let terminal = Terminal { charset: Charset::Utf8, ..Terminal::default() };
        for (width, height) in [(120, 40), (80, 24), (60, 20)] {
            let text = drawn(width, height, terminal);
            for part in [
                "fixture on sim",
                "4 nodes alive",
                "✓ store something",
                "▸ retrieve something",
                "persistence >= 99%",
                "killed node=n-3",
            ] {
                assert!(text.contains(part), "{width}×{height}: {part:?} is not in\n{text}");
            }
        }
        for (width, height) in [(1, 1), (10, 3), (20, 5)] {
            drawn(width, height, terminal);
        }
    }

    #[test]
    fn a_terminal_of_ascii_gets_nothing_else() {
        let text = drawn(80, 24, Terminal::default());
        assert!(text.is_ascii() && text.contains("+ store something"), "{text}");
    }
}
