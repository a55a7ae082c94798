//! A real terminal: the console on a pty, what it writes there, and how it leaves the place whatever ends it.
//!
//! The test binary runs itself again as the program: [`stand_in`] is that program, and a plain pass otherwise.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use weir::console::guard::{Guard, MARK, watch_over};
use weir::console::run::run;

use super::Stage;
use super::hostile::{payloads, poisoned};

/// Longer than anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const STAND_IN: &str = "WEIR_TEST_STAND_IN";
/// The file that the stand-in makes when the console came back to it.
const ORDERLY: &str = "WEIR_TEST_ORDERLY_END";

/// The program that the other tests run on a pty: a guarded console over the fleet, or over hostile text.
#[test]
fn stand_in() {
    let Ok(what) = std::env::var(STAND_IN) else { return };
    match watch_over(std::env::var(MARK).ok().as_deref()) {
        Ok(Guard::GoOn) => {}
        Ok(Guard::Ended(_)) => std::process::exit(0),
        Err(e) => panic!("{e}"),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = match what.as_str() {
            "hostile" => {
                let stage = poisoned(&payloads()[..45].concat()).await;
                for payload in payloads() {
                    stage
                        .desk
                        .store
                        .put(poisoned(&payload).await.desk.store.all().iter().map(|e| e.object.body()).collect());
                }
                stage
            }
            _ => Stage::fleet().await,
        };
        run(stage.desk.clone(), stage.options.clone()).await.unwrap();
        if let Ok(place) = std::env::var(ORDERLY) {
            std::fs::write(place, "").unwrap();
        }
    });
    std::process::exit(0);
}

struct Terminal {
    /// `None` once it was hung up.
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    raw: Arc<Mutex<Vec<u8>>>,
    before: String,
    hang_up: Arc<AtomicBool>,
    gone: mpsc::Receiver<()>,
    orderly: tempfile::TempDir,
}

impl Terminal {
    fn open(what: &str) -> Terminal {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["console::terminal::stand_in", "--exact", "--nocapture", "--test-threads=1"]);
        command.env(STAND_IN, what);
        command.env("TERM", "xterm-256color");
        command.env_remove(MARK);
        let orderly = tempfile::tempdir().unwrap();
        command.env(ORDERLY, orderly.path().join("end"));
        let before = format!("{:?}", pair.master.get_termios());
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let raw = Arc::new(Mutex::new(Vec::new()));
        let kept = raw.clone();
        let hang_up = Arc::new(AtomicBool::new(false));
        let (leaving, (left, gone)) = (hang_up.clone(), mpsc::channel());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Who reads holds the terminal open, so it lets go when it is to be hung up.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                kept.lock().unwrap().extend_from_slice(&buffer[..count]);
                if leaving.load(Ordering::SeqCst) {
                    break;
                }
            }
            drop(reader);
            left.send(()).ok();
        });
        let writer = pair.master.take_writer().unwrap();
        Terminal { master: Some(pair.master), writer: Some(writer), child, raw, before, hang_up, gone, orderly }
    }

    /// Takes the terminal away, as a lost connection does.
    fn hang_up(&mut self) {
        self.hang_up.store(true, Ordering::SeqCst);
        self.send("?");
        self.gone.recv_timeout(PATIENCE).expect("the console answers the last key");
        self.writer = None;
        self.master = None;
    }

    fn screen(&self) -> vt100::Parser {
        let mut parser = vt100::Parser::new(24, 80, 0);
        parser.process(&self.raw.lock().unwrap());
        parser
    }

    fn text(&self) -> String {
        self.screen().screen().contents()
    }

    fn wait(&self, what: &str, holds: impl Fn(&Terminal) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENCE, "{what}: {}", self.text());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn shows(&self, text: &str) {
        self.wait(&format!("waiting for {text:?}"), |terminal| terminal.text().contains(text));
    }

    fn send(&mut self, keys: &str) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// The guard, and the console that it watches over.
    fn processes(&self) -> (Pid, Pid) {
        let guard = self.child.process_id().unwrap();
        let path = format!("/proc/{guard}/task/{guard}/children");
        let children = || {
            let tasks = std::fs::read_dir(format!("/proc/{guard}/task")).into_iter().flatten().flatten();
            let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
            lists.collect::<String>().split_whitespace().next().and_then(|pid| pid.parse::<i32>().ok())
        };
        self.wait(&format!("a child in {path}"), |_| children().is_some());
        let pid = |number: i32| Pid::from_raw(number).unwrap();
        (pid(i32::try_from(guard).unwrap()), pid(children().unwrap()))
    }

    fn ends(&mut self, by: &str) {
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "still there after {by}: {}", self.text());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Termios as before, main screen, cursor on, no mouse, no bracketed paste.
    fn is_given_back(&self, after: &str) {
        let given_back = |terminal: &Terminal| {
            let parser = terminal.screen();
            let screen = parser.screen();
            !screen.alternate_screen()
                && !screen.hide_cursor()
                && !screen.bracketed_paste()
                && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
                && format!("{:?}", terminal.master.as_ref().unwrap().get_termios()) == terminal.before
        };
        self.wait(&format!("the terminal after {after}"), given_back);
    }
}

fn is_alive(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

#[test]
fn quitting_gives_the_terminal_back() {
    let mut terminal = Terminal::open("fleet");
    terminal.shows("gitrepo flux-system/fleet");
    terminal.send("jjjj");
    terminal.shows("because of Kustomization/flux-system/shop");
    terminal.send("q");
    terminal.shows("press again to quit");
    terminal.send("q");
    terminal.ends("q");
    terminal.is_given_back("q");
}

#[test]
fn whatever_ends_the_console_the_terminal_is_given_back() {
    for signal in [Signal::KILL, Signal::ABORT, Signal::SEGV, Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        let mut terminal = Terminal::open("fleet");
        terminal.shows("gitrepo flux-system/fleet");
        let (_, console) = terminal.processes();
        kill_process(console, signal).unwrap();
        if signal == Signal::SEGV {
            // Rust's own handler takes the first, looks for an overflown stack, and goes on when there is none.
            std::thread::park_timeout(Duration::from_millis(200));
            kill_process(console, signal).ok();
        }
        terminal.ends(&format!("{signal:?}"));
        terminal.is_given_back(&format!("{signal:?}"));
        assert!(!is_alive(console));
        let told = terminal.text().contains("weir: the console is gone");
        let abrupt = matches!(signal, Signal::KILL | Signal::ABORT | Signal::SEGV);
        assert_eq!(told, abrupt, "{signal:?}: {}", terminal.text());
    }
}

#[test]
fn the_console_dies_with_its_guard_and_leaves_the_terminal_in_order() {
    for signal in [Signal::KILL, Signal::TERM] {
        let mut terminal = Terminal::open("fleet");
        terminal.shows("gitrepo flux-system/fleet");
        let (guard, console) = terminal.processes();
        kill_process(guard, signal).unwrap();
        terminal.ends(&format!("{signal:?}"));
        terminal.wait("the console ends with its guard", |_| !is_alive(console));
        terminal.is_given_back(&format!("{signal:?} of the guard"));
    }
}

#[test]
fn a_terminal_that_goes_away_takes_the_console_along() {
    let mut terminal = Terminal::open("fleet");
    terminal.shows("gitrepo flux-system/fleet");
    let (guard, console) = terminal.processes();
    terminal.hang_up();
    let began = Instant::now();
    terminal.wait("both end", |_| !is_alive(console));
    terminal.ends("hanging up");
    assert!(!is_alive(guard) || terminal.child.try_wait().unwrap().is_some());
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    // Leases are given back and directories removed only by who ends in order.
    assert!(terminal.orderly.path().join("end").exists(), "the console died instead of ending");
}

#[test]
fn without_a_shell_to_go_back_to_nothing_stops() {
    let mut terminal = Terminal::open("fleet");
    terminal.shows("gitrepo flux-system/fleet");
    terminal.send("\x1a");
    terminal.shows("there is no shell to go back to");
    terminal.send("\x03\x03");
    terminal.ends("ctrl-c, twice");
    terminal.is_given_back("ctrl-c, twice");
}

#[test]
fn a_paste_commands_nothing() {
    let mut terminal = Terminal::open("fleet");
    terminal.shows("gitrepo flux-system/fleet");
    terminal.send("\x1b[200~jr\nq\nq\n\x1b[201~");
    terminal.shows("nothing here takes a paste");
    assert!(terminal.text().contains("── GitRepository/flux-system/fleet"), "{}", terminal.text());
    // Fragments of answers that a terminal may send late.
    terminal.send("\x1b[?1;2c\x1b[24;80R\x1b]11;rgb:0000/0000/0000\x1b\\");
    // What comes in the same breath is part of it.
    std::thread::park_timeout(Duration::from_secs(1));
    terminal.send("?");
    terminal.shows("On this screen");
}

#[test]
fn only_weirs_own_sequences_reach_the_terminal() {
    let mut terminal = Terminal::open("hostile");
    terminal.shows("NAME");
    for (keys, sign) in [
        ("E", "NAME"),
        ("2", "NAMESPACE"),
        (":cm\r", "NAMESPACE"),
        ("2y", "YAML"),
        ("d", "Object"),
        ("i", "Ready"),
        ("l", "Logs"),
    ] {
        terminal.send(keys);
        terminal.shows(sign);
    }
    terminal.send("?");
    terminal.shows("On this screen");
    let raw = terminal.raw.lock().unwrap().clone();
    let text = String::from_utf8(raw).expect("whole characters only");
    // What ratatui and crossterm write: modes, colours, the cursor, clearing.
    let own = regex::Regex::new(r"\x1b\[\??[0-9;:]*[hlmHJKABCDGd]").unwrap();
    let rest = own.replace_all(&text, "");
    let start = rest.find("weir").unwrap_or(0);
    for (at, character) in rest.char_indices().filter(|(at, _)| *at >= start) {
        let plain = !character.is_control() || matches!(character, '\n' | '\r');
        let around: String = rest[at..].chars().take(20).collect();
        assert!(plain, "{character:?} reached the terminal, before {around:?}");
        assert!(!matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{feff}'));
    }
}
