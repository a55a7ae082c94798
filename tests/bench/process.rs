//! Time and peak memory of whole processes, for the benches that compare commands.
//!
//! Peak memory is `VmHWM` of /proc, watched until the process ends; it is measured apart from time, because the watch
//! takes some. Start with [`report`].

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A command and where its output goes.
pub struct Subject<'s> {
    pub program: &'s Path,
    pub arguments: &'s [&'s str],
    pub output: &'s Path,
}

/// What a command took.
struct Measured {
    /// Of the fastest run: load only adds.
    best: Duration,
    median: Duration,
    /// In KiB, the most of all runs.
    memory: u64,
}

impl Subject<'_> {
    fn start(&self, directory: &Path) -> Child {
        let mut command = Command::new(self.program);
        command.args(self.arguments).arg(directory);
        command.stdout(fs::File::create(self.output).unwrap()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn end(&self, mut child: Child) {
        assert!(child.wait().unwrap().success(), "{} fails", self.program.display());
    }

    fn time(&self, directory: &Path) -> Duration {
        let start = Instant::now();
        self.end(self.start(directory));
        start.elapsed()
    }

    fn memory(&self, directory: &Path) -> u64 {
        let child = self.start(directory);
        let status = format!("/proc/{}/status", child.id());
        let watch = std::thread::spawn(move || {
            let mut peak = 0;
            // The line is gone once the process has given its memory back.
            while let Some(now) = fs::read_to_string(&status).ok().and_then(|text| high_water(&text)) {
                peak = now.max(peak);
                std::thread::sleep(Duration::from_micros(200));
            }
            peak
        });
        self.end(child);
        watch.join().unwrap()
    }
}

fn high_water(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// Runs each command on a directory that often, in turns: what slows the machine for a while slows them all.
fn compare(subjects: &[Subject<'_>], directory: &Path, runs: usize) -> Vec<Measured> {
    let mut times = vec![Vec::new(); subjects.len()];
    for _ in 0..runs {
        for (subject, times) in subjects.iter().zip(&mut times) {
            times.push(subject.time(directory));
        }
    }
    let measured = subjects.iter().zip(times).map(|(subject, mut times)| {
        times.sort_unstable();
        let memory = (0..runs.min(5)).map(|_| subject.memory(directory)).max().unwrap_or_default();
        Measured { best: times[0], median: times[times.len() / 2], memory }
    });
    measured.collect()
}

/// Measures weir, and the reference beside it where there is one, and prints what came of it.
pub fn report(name: &str, subjects: &[Subject<'_>], directory: &Path, runs: usize) {
    let measured = compare(subjects, directory, runs);
    for (subject, Measured { best, median, memory }) in subjects.iter().zip(&measured) {
        let program = subject.program.file_name().unwrap_or_default().to_string_lossy();
        println!("{name}: {program} best {best:.1?}, median {median:.1?} of {runs} runs, {memory} KiB");
    }
    if let [ours, theirs] = measured.as_slice() {
        let times = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
        let (best, median) = (times(theirs.best, ours.best), times(theirs.median, ours.median));
        #[allow(clippy::cast_precision_loss)]
        let memory = theirs.memory as f64 / ours.memory as f64;
        println!(
            "{name}: {best:.1} times faster by the best, {median:.1} by the median, in 1/{memory:.1} of the memory"
        );
    }
}
