//! The terminal that standard error is: its other screen without echo, and the way back.

use std::io::{self, Stderr, stderr};
use std::sync::{Mutex, Once, PoisonError};

use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::{Frame, Terminal};

/// How the terminal was, while it is taken.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// The terminal, taken until this is dropped.
pub(super) struct Screen(Terminal<CrosstermBackend<Stderr>>);

impl Screen {
    /// Takes it. Ctrl-C is a signal as ever; Ctrl-Z is none, as a shell would show its prompt on this screen.
    pub(super) fn enter() -> io::Result<Self> {
        let before = termios::tcgetattr(stderr())?;
        let mut taken = before.clone();
        taken.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON);
        taken.control_chars[SpecialCharacterIndices::VSUSP as usize] = 0;
        HOOK.call_once(restore_before_panics);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let entered = termios::tcsetattr(stderr(), SetArg::TCSANOW, &taken)
            .map_err(io::Error::from)
            .and_then(|()| execute!(stderr(), EnterAlternateScreen, Hide))
            .and_then(|()| Terminal::new(CrosstermBackend::new(stderr())));
        entered.map(Screen).inspect_err(|_| restore())
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        // Taken back by a signal or a bug meanwhile: what is there now is not this screen.
        let taken = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.is_none() {
            return Err(io::Error::other("the terminal was given back"));
        }
        self.0.draw(draw).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was found. A second time it does nothing.
pub(super) fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        give_back(&before);
    }
}

fn give_back(before: &Termios) {
    // Nothing is left to do if the terminal is gone.
    _ = execute!(stderr(), LeaveAlternateScreen, Show);
    // What was typed meanwhile was for nothing.
    _ = termios::tcsetattr(stderr(), SetArg::TCSAFLUSH, before);
}

/// A panic is shown on the screen that stays. One while drawing holds the lock, so the lock is not waited for.
fn restore_before_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        match BEFORE.try_lock() {
            Ok(mut taken) => taken.take().iter().for_each(give_back),
            Err(std::sync::TryLockError::Poisoned(taken)) => taken.into_inner().take().iter().for_each(give_back),
            // The thread that draws holds it. Its screen is given back when it is dropped.
            Err(std::sync::TryLockError::WouldBlock) => _ = execute!(stderr(), LeaveAlternateScreen, Show),
        }
        before(panic);
    }));
}
