//! A program on a terminal of a given size.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

/// A terminal, and the program on it.
#[derive(Debug)]
pub(crate) struct OnTerminal {
    pub(crate) program: Child,
    /// The program's side, kept so that its settings can be asked for.
    terminal: OwnedFd,
    reader: Option<JoinHandle<Vec<u8>>>,
}

impl OnTerminal {
    /// Starts it.
    pub(crate) fn start(mut command: Command, columns: u16, lines: u16) -> Self {
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let side = || Stdio::from(pair.slave.try_clone().unwrap());
        command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
        let program = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        drop(command);
        let mut master = File::from(pair.master);
        let reader = std::thread::spawn(move || {
            let mut read = Vec::new();
            // A terminal without programs ends with an error.
            _ = master.read_to_end(&mut read);
            read
        });
        OnTerminal { program, terminal: pair.slave, reader: Some(reader) }
    }

    /// Whether what is typed is shown: so it is in a shell.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(self.terminal.as_fd()).unwrap().local_flags.contains(LocalFlags::ECHO | LocalFlags::ICANON)
    }

    /// Waits for its end. Returns its status and everything that it has written.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = self.program.wait().unwrap().code();
        assert!(self.echoes(), "the terminal is as it was found");
        drop(self.terminal);
        let read = self.reader.take().unwrap().join().unwrap();
        (status, String::from_utf8_lossy(&read).into_owned())
    }
}

/// The lines that stay: without escape sequences, and of a line that was written over and over, what was written last.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' if letters.peek() == Some(&'[') => {
                let _ = letters.by_ref().skip(1).find(|letter| letter.is_ascii_alphabetic());
            }
            letter => plain.push(letter),
        }
    }
    let last = |line: &str| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default().to_owned();
    plain.split('\n').map(last).collect()
}
