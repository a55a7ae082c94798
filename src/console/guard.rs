//! A small parent that outlives the console: it remembers how the terminal was and puts it back, whatever ends the child.
//!
//! An abort, a stack overflow, a failed allocation or `kill -9` runs no hook and no destructor, so another process must
//! do it. The parent runs the same binary again as its child, waits, and passes signals on; each dies with the other.
//! Call [`watch_over`] before any thread is started.

use std::io::{self, IsTerminal, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};

use rustix::process::{Pid, Signal};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};

use super::terminal::RESET;

/// Tells the child that it is one, and of which parent.
pub const MARK: &str = "WEIR_GUARDED_BY";

/// What became of [`watch_over`].
pub enum Guard {
    /// This process is the child, or there is nothing to guard: go on.
    GoOn,
    /// This process was the parent, and the child has ended.
    Ended(ExitCode),
}

/// Becomes the parent of a second run of this program, when standard input is a terminal.
///
/// `mark` is the value of [`MARK`] in the environment. Errors when the child cannot be started; then going on without
/// a guard is better than not starting.
pub fn watch_over(mark: Option<&str>) -> io::Result<Guard> {
    let own_parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    if mark.is_some() && mark == own_parent.as_deref() {
        follow_parent(mark);
        return Ok(Guard::GoOn);
    }
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Ok(Guard::GoOn);
    }
    let saved = tcgetattr(io::stdin())?;
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1])?;
    let me = std::process::id();
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).env(MARK, me.to_string());
    if let Some(name) = name {
        command.arg0(name);
    }
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let handle = signals.handle();
    let passing = std::thread::spawn(move || {
        for signal in signals.forever() {
            if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
                rustix::process::kill_process(pid, signal).ok();
            }
        }
    });
    let status = child.wait()?;
    handle.close();
    passing.join().ok();
    Ok(Guard::Ended(clean_up(status, &saved)))
}

/// The child ends with its parent: nobody would put the terminal back otherwise.
fn follow_parent(mark: Option<&str>) {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM)).ok();
    // It may have died before the line above.
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    if parent.as_deref() != mark {
        rustix::process::kill_process(rustix::process::getpid(), Signal::TERM).ok();
    }
}

/// Puts the terminal back as it was, and says what ended the child when it could not say it itself.
fn clean_up(status: ExitStatus, saved: &Termios) -> ExitCode {
    tcsetattr(io::stdin(), OptionalActions::Now, saved).ok();
    let Some(signal) = status.signal() else {
        return ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1));
    };
    let mut out = io::stdout();
    out.write_all(RESET).ok();
    out.flush().ok();
    let name = match signal {
        6 => "it aborted (out of memory, or a fault of weir: please report it)",
        9 => "it was killed (kill -9, or the system ran out of memory)",
        11 => "it crashed (a fault of weir: please report it)",
        _ => "it was ended by a signal",
    };
    let text = format!("weir: the console is gone: {name}, signal {signal}. What was acknowledged is on disk.\n");
    io::stderr().write_all(text.as_bytes()).ok();
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(1))
}
