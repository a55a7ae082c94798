//! Whole processes: the built binary, with a home directory of its own, as a person or a script runs it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

mod apply;
mod build;
mod create;
mod create_image;
mod get;
mod image;
mod messages;
mod serve;

/// A machine of its own: nothing of the real home, kubeconfig or settings is seen.
pub struct Machine {
    home: tempfile::TempDir,
}

/// What a run left behind.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Machine {
    pub fn new() -> Self {
        Machine { home: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file into the home directory and answers with its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The command, not yet run, in the home directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(arguments).env_clear().env("HOME", self.home.path()).env("PATH", "/usr/bin:/bin");
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    pub fn weir(&self, arguments: &[&str]) -> Ran {
        finish(&mut self.command(arguments))
    }

    /// Runs words divided by blanks.
    pub fn run(&self, line: &str) -> Ran {
        self.weir(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub fn with_stdin(&self, line: &str, text: &str) -> Ran {
        let mut command = self.command(&line.split_whitespace().collect::<Vec<_>>());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }
}

pub fn finish(command: &mut Command) -> Ran {
    Ran::of(command.output().unwrap())
}

impl Ran {
    fn of(output: std::process::Output) -> Self {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts success and answers with stdout.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, 0, "stderr: {}", self.stderr);
        self.stdout
    }

    /// Asserts failure with nothing on stdout, and answers with stderr.
    #[track_caller]
    pub fn bad(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (1, ""), "stderr: {}", self.stderr);
        self.stderr
    }
}

/// Text with every occurrence of a path replaced, so that snapshots are the same everywhere.
pub fn without(text: &str, path: &Path) -> String {
    text.replace(&path.display().to_string(), "HOME")
}
