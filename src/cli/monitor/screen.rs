//! The terminal as a screen: taken whole and given back as it was, also after a panic; keys.
//! Imports: ratatui, `monitor::frame`.
#![expect(clippy::disallowed_methods, reason = "this is a door to the terminal")]

use std::io::{Error, ErrorKind, IsTerminal, Result, Stdout, stdin, stdout};
use std::mem::ManuallyDrop;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::frame::{View, draw};

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Key {
    /// The end.
    Quit,
    /// The end, by Ctrl-C.
    Interrupt,
    /// Away with what lies over the dashboard; if there is nothing, the end.
    Escape,
    /// Stand still, go on.
    Pause,
    /// The keys.
    Help,
    /// The next model.
    Next,
    /// The model before.
    Previous,
    /// The terminal has another size.
    Resized,
}

/// The terminal, until this value is dropped.
pub(in crate::cli) struct Screen {
    /// `leave` does what its end would do: that shows the cursor, and panics where the terminal is gone and
    /// is also what stderr is.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
}

impl Screen {
    /// Is there a terminal, to show and to press keys?
    pub(in crate::cli) fn is_there() -> bool {
        stdout().is_terminal() && stdin().is_terminal()
    }

    /// Takes the terminal.
    pub(in crate::cli) fn enter() -> Result<Self> {
        // What a panic says is lost with the screen, unless that goes first.
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            leave();
            told(info);
        }));
        enable_raw_mode()?;
        let entered = execute!(stdout(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        match entered {
            Ok(terminal) => Ok(Self {
                terminal: ManuallyDrop::new(terminal),
            }),
            Err(error) => {
                leave();
                Err(error)
            }
        }
    }

    /// Shows a frame.
    pub(in crate::cli) fn show(&mut self, view: &View<'_>) -> Result<()> {
        self.terminal.draw(|frame| draw(frame, view)).map(drop)
    }

    /// Waits so long for a key.
    #[expect(
        clippy::unused_self,
        reason = "only who holds the screen gets its keys"
    )]
    pub(in crate::cli) fn key(&self, wait: Duration) -> Result<Option<Key>> {
        // Of a terminal that is gone crossterm reads nothing, for ever: it is looked at before.
        stay(Duration::ZERO)?;
        if !event::poll(Duration::ZERO)? {
            stay(wait)?;
            if !event::poll(Duration::ZERO)? {
                return Ok(None);
            }
        }
        Ok(match event::read()? {
            Event::Key(key) => meant(key),
            Event::Resize(_, _) => Some(Key::Resized),
            _ => None,
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Waits so long, or until there is something to read. A signal ends the wait, the one of a terminal that
/// goes among them.
///
/// # Errors
/// The terminal is gone.
fn stay(wait: Duration) -> Result<()> {
    let stdin = stdin();
    let mut terminal = [PollFd::new(&stdin, PollFlags::IN)];
    let wait = Timespec {
        tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    };
    match poll(&mut terminal, Some(&wait)) {
        Ok(_) => {}
        Err(Errno::INTR) => return stay(Duration::ZERO),
        Err(error) => return Err(error.into()),
    }
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    if terminal[0].revents().intersects(gone) {
        return Err(Error::new(ErrorKind::BrokenPipe, "the terminal is gone"));
    }
    Ok(())
}

/// Gives the terminal back. It may be gone: then there is nobody to tell.
fn leave() {
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

fn meant(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Key::Interrupt);
    }
    match key.code {
        KeyCode::Char('q' | 'Q') => Some(Key::Quit),
        KeyCode::Esc => Some(Key::Escape),
        KeyCode::Char('p' | 'P' | ' ') => Some(Key::Pause),
        KeyCode::Char('?' | 'h' | 'H') => Some(Key::Help),
        KeyCode::Right | KeyCode::Down | KeyCode::Tab => Some(Key::Next),
        KeyCode::Left | KeyCode::Up | KeyCode::BackTab => Some(Key::Previous),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_they_say() {
        let plain = |code| meant(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char('q')), Some(Key::Quit));
        assert_eq!(plain(KeyCode::Char('c')), None);
        assert_eq!(plain(KeyCode::BackTab), Some(Key::Previous));
        let control = |c| meant(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
        assert_eq!(control('c'), Some(Key::Interrupt));
        assert_eq!(control('p'), None);
    }
}
