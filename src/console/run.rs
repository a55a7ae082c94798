//! The loop: the terminal's keys, the picture's changes and the answers of effects come in, frames go out.
//!
//! The console owns a thread, so that neither a slow terminal nor a slow reconciler delays the other. It draws when
//! something visible changed and 16 ms have passed since the last frame; idle, it sleeps until an age changes.
//! Start with [`run`]; [`render`] does the same without a terminal.

use std::future::poll_fn;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Poll;
use std::time::Duration;

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{Event, EventStream, MouseEventKind};
use crossterm::{execute, queue, terminal as crossterm_terminal};
use futures::StreamExt;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::effects::Doer;
use super::keys;
use super::look::Look;
use super::message::{Effect, Mouse, Msg};
use super::start::{ConsoleError, Options, Script, console, now};
use super::terminal::{self, Counted};
use super::{Console, frame};
use crate::base::Text;
use crate::store::Subscription;
use crate::verbs::Desk;

/// Least time between two frames.
const FRAME: Duration = Duration::from_millis(16);
/// Most events taken before the next frame.
const BATCH: usize = 512;
/// How long the console may take to end.
const END_WITHIN: Duration = Duration::from_millis(1_500);

/// Runs the console until a person quits, the terminal goes, or a signal ends it.
///
/// Errors when a keymap or theme is wrong (before the terminal is touched) or the terminal cannot be used.
pub async fn run(desk: Desk, options: Options) -> Result<(), ConsoleError> {
    let console = console(&desk, &options)?;
    let (stop, stopped) = watch::channel(false);
    let (done, mut ended) = oneshot::channel();
    let runtime = Handle::current();
    terminal::give_back_on_panic(THREAD);
    let thread = std::thread::Builder::new().name(THREAD.into()).spawn(move || {
        let result = own_runtime().and_then(|own| own.block_on(drive(console, desk, options, runtime, stopped)));
        done.send(result).ok();
    })?;
    let mut ends = Ends::new()?;
    let result = tokio::select! {
        result = &mut ended => result,
        () = ends.any() => {
            stop.send_replace(true);
            // A terminal that takes no more bytes holds the thread; the guard puts it back after us.
            match timeout(END_WITHIN, ended).await {
                Ok(result) => result,
                Err(_) => return Ok(()),
            }
        }
    };
    match result {
        Ok(result) => result.map_err(ConsoleError::from),
        Err(_) => {
            thread.join().ok();
            Err(ConsoleError::Panicked)
        }
    }
}

const THREAD: &str = "console";

fn own_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The signals that end the console.
struct Ends([Signal; 4]);

impl Ends {
    fn new() -> std::io::Result<Self> {
        let on = |kind| signal(kind);
        Ok(Ends([
            on(SignalKind::terminate())?,
            on(SignalKind::hangup())?,
            on(SignalKind::interrupt())?,
            on(SignalKind::quit())?,
        ]))
    }

    async fn any(&mut self) {
        let [term, hangup, interrupt, quit] = &mut self.0;
        tokio::select! {
            _ = term.recv() => {}
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
        }
    }
}

/// Everything that the loop holds.
struct Loop {
    console: Console,
    doer: Doer,
    inbox: mpsc::Receiver<Msg>,
    changes: Subscription,
    logged: watch::Receiver<u64>,
    screen: terminal::Screen,
    events: EventStream,
    began: Instant,
    last_frame: Instant,
    mouse: bool,
    quit: bool,
}

async fn drive(
    console: Console,
    desk: Desk,
    options: Options,
    runtime: Handle,
    mut stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mouse = options.settings.mouse;
    let (tell, inbox) = mpsc::channel(256);
    terminal::enter(mouse)?;
    let bytes = Arc::new(AtomicU64::new(0));
    let screen = ratatui::Terminal::new(CrosstermBackend::new(Counted::new(bytes)));
    let mut stop_job = signal(SignalKind::from_raw(TSTP))?;
    let mut go_on = signal(SignalKind::from_raw(CONT))?;
    let now = Instant::now();
    let mut this = Loop {
        console,
        changes: desk.store.subscribe(),
        logged: desk.activity.subscribe(),
        doer: Doer::new(desk, runtime, tell, options.demo),
        inbox,
        screen: screen?,
        events: EventStream::new(),
        began: now,
        last_frame: now.checked_sub(FRAME).unwrap_or(now),
        mouse,
        quit: false,
    };
    let mut result = Ok(());
    while !this.quit && result.is_ok() {
        result = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            result = this.turn() => result,
            _ = stop_job.recv() => this.pause(),
            _ = go_on.recv() => this.resume(),
        };
    }
    terminal::leave();
    // Dropped, it would tell a terminal that is gone that its cursor cannot be shown, panic over that, and abort.
    std::mem::forget(this.screen);
    // A terminal that is gone is how a person leaves; it is no fault.
    result.or_else(|e| if is_gone(&e) { Ok(()) } else { Err(e) })
}

const TSTP: i32 = 20;
const CONT: i32 = 18;

fn is_gone(e: &std::io::Error) -> bool {
    const EIO: i32 = 5;
    matches!(e.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::BrokenPipe)
        || e.raw_os_error() == Some(EIO)
}

impl Loop {
    /// Waits for something, takes all of it, and draws when it is time. Safe to cancel while it waits.
    async fn turn(&mut self) -> std::io::Result<()> {
        let frame = self.last_frame + FRAME;
        let dirty = self.console.is_dirty();
        let due = self.console.due().map(|due| Duration::from_secs(u64::try_from(due.0 - now().0).unwrap_or(0).max(1)));
        tokio::select! {
            biased;
            event = self.events.next() => match event {
                Some(Ok(event)) => self.input(event).await?,
                Some(Err(e)) => return Err(e),
                None => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            },
            Some(msg) = self.inbox.recv() => self.take(msg)?,
            // Changes wait for the frame that will show them: a flood of them is one message per frame.
            changes = async { sleep_until(frame).await; self.changes.next().await } => self.take(Msg::Changed(changes))?,
            Ok(()) = async { sleep_until(frame).await; self.logged.changed().await } => self.take(Msg::Logged)?,
            () = sleep_until(frame), if dirty => {}
            () = sleep(due.unwrap_or(Duration::MAX / 4)), if due.is_some() => self.take(Msg::Second(now()))?,
        }
        for _ in 0..BATCH {
            let Ok(msg) = self.inbox.try_recv() else { break };
            self.take(msg)?;
        }
        if self.console.is_dirty() && Instant::now() >= frame && !self.quit {
            self.draw()?;
        }
        Ok(())
    }

    /// Takes an event and all that wait behind it, so that held keys cost one frame.
    ///
    /// The stream keeps the waker of the first look that finds nothing, so that look must be this task's own.
    async fn input(&mut self, first: Event) -> std::io::Result<()> {
        let mut events = vec![first];
        while events.len() < BATCH {
            match poll_fn(|cx| Poll::Ready(self.events.poll_next_unpin(cx))).await {
                Poll::Ready(Some(Ok(event))) => events.push(event),
                Poll::Ready(Some(Err(e))) => return Err(e),
                Poll::Ready(None) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Poll::Pending => break,
            }
        }
        let events = keys::without_answers(events);
        if keys::is_burst(&events) && !self.console.scope().types() {
            return self.take(Msg::Trouble(Text::new("many keys came at once: taken for a paste, and left out")));
        }
        events.into_iter().try_for_each(|event| match event {
            Event::Key(key) => keys::read(key).map_or(Ok(()), |key| self.take(Msg::Key(key, self.began.elapsed()))),
            Event::Paste(text) => self.take(Msg::Paste(text)),
            Event::Resize(width, height) => self.take(Msg::Size(width, height)),
            Event::Mouse(mouse) => match mouse.kind {
                MouseEventKind::Down(_) => self.take(Msg::Mouse(Mouse::Press(mouse.column, mouse.row))),
                MouseEventKind::ScrollUp => self.take(Msg::Mouse(Mouse::WheelUp)),
                MouseEventKind::ScrollDown => self.take(Msg::Mouse(Mouse::WheelDown)),
                _ => Ok(()),
            },
            Event::FocusGained | Event::FocusLost => Ok(()),
        })
    }

    fn take(&mut self, msg: Msg) -> std::io::Result<()> {
        for effect in self.console.update(msg) {
            match self.doer.begin(effect) {
                None => {}
                Some(Effect::Copy(text)) => {
                    execute!(self.screen.backend_mut(), CopyToClipboard::to_clipboard_from(text))?
                }
                Some(Effect::Redraw) => self.screen.clear()?,
                Some(Effect::Pause) => self.pause()?,
                Some(_) => self.quit = true,
            }
        }
        Ok(())
    }

    fn draw(&mut self) -> std::io::Result<()> {
        let size = self.screen.size()?;
        self.console.update(Msg::Second(now()));
        self.console.update(Msg::Size(size.width, size.height));
        self.console.prepare();
        queue!(self.screen.backend_mut(), crossterm_terminal::BeginSynchronizedUpdate)?;
        let console = &self.console;
        self.screen.draw(|frame| {
            if let Some(cursor) = console.draw(frame.buffer_mut()) {
                frame.set_cursor_position(cursor);
            }
        })?;
        queue!(self.screen.backend_mut(), crossterm_terminal::EndSynchronizedUpdate)?;
        self.screen.backend_mut().flush()?;
        self.last_frame = Instant::now();
        Ok(())
    }

    /// Gives the terminal to the shell, stops the whole job, and takes the terminal back when it goes on.
    fn pause(&mut self) -> std::io::Result<()> {
        let ours = rustix::process::getpgrp();
        if rustix::process::getsid(None).is_ok_and(|session| session == ours) {
            return self
                .take(Msg::Trouble(Text::new("there is no shell to go back to: weir was not started from one")));
        }
        terminal::leave();
        rustix::process::kill_current_process_group(rustix::process::Signal::STOP)?;
        self.resume()
    }

    fn resume(&mut self) -> std::io::Result<()> {
        terminal::enter(self.mouse)?;
        self.screen.clear()?;
        self.take(Msg::Resumed)
    }
}

/// Types keys into a console over the desk, lets every effect come to its end, and answers the last frame as text.
///
/// Errors when a keymap, theme or script is wrong.
pub async fn render(desk: Desk, options: Options, script: &Script) -> Result<String, ConsoleError> {
    /// How long an effect may take before the frame is drawn without it.
    const PATIENCE: Duration = Duration::from_secs(10);
    let mut console = console(&desk, &options)?;
    if script.roles {
        console.set_look(Look::numbered());
    }
    let typed = crate::config::parse_script(&script.keys).map_err(ConsoleError::Script)?;
    let (tell, mut inbox) = mpsc::channel(256);
    let changes = desk.store.subscribe();
    let mut doer = Doer::new(desk, Handle::current(), tell, options.demo.clone());
    let mut take = |console: &mut Console, msg: Msg| {
        for effect in console.update(msg) {
            doer.begin(effect);
        }
        doer.busy()
    };
    take(&mut console, Msg::Size(script.width, script.height));
    console.prepare();
    for (number, key) in (1u32..).zip(typed) {
        // A person's pace: dialogs take nothing faster.
        let mut busy = take(&mut console, Msg::Key(key, Duration::from_millis(200) * number));
        while busy > 0 {
            let Ok(Some(msg)) = timeout(PATIENCE, inbox.recv()).await else { break };
            busy = take(&mut console, msg);
            if let Some(changes) = changes.try_take() {
                take(&mut console, Msg::Changed(changes));
            }
            // The task that sent the message ends a moment later.
            tokio::task::yield_now().await;
            busy = busy.min(take(&mut console, Msg::Logged));
        }
        console.prepare();
    }
    if let Some(changes) = changes.try_take() {
        take(&mut console, Msg::Changed(changes));
    }
    take(&mut console, Msg::Second(options.clock.unwrap_or_else(now)));
    console.prepare();
    let mut buffer = Buffer::empty(Rect::new(0, 0, script.width, script.height));
    console.draw(&mut buffer);
    Ok(if script.roles { frame::roles(&buffer) } else { frame::text(&buffer) })
}
