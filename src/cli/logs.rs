//! `weir logs`: what this weir's reconcilers wrote, by object. Reads the log file of the data directory, so it works
//! beside a running weir and after it.

use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use super::log;
use super::session::now;
use super::{CliError, Cx};
use crate::cluster::Target;
use crate::kinds;
use crate::store::{Level, Line};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Kind and name, e.g. ks apps or ks/apps; everything when absent
    #[arg(value_name = "KIND")]
    words: Vec<String>,
    /// Only objects of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only objects of this name
    #[arg(long)]
    name: Option<String>,
    /// Objects of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only lines of this level and above: debug, info, warn, error
    #[arg(long, value_name = "LEVEL")]
    level: Option<Grade>,
    /// Only lines that are younger, e.g. 10m
    #[arg(long, value_name = "TIME", value_parser = super::global::duration)]
    since: Option<Duration>,
    /// Only so many of the newest lines
    #[arg(long, value_name = "COUNT")]
    tail: Option<usize>,
    /// Stay, and print every new line
    #[arg(short, long)]
    follow: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Grade {
    Debug,
    Info,
    Warn,
    Error,
}

/// How often a followed file is looked at.
const PAUSE: Duration = Duration::from_millis(300);

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let Target::Embedded { data } = cx.global.target()? else {
        let hint = "`weir run` prints its log; `weir events` shows what controllers said on the cluster";
        return Err(CliError::user("weir keeps its log with the embedded API, and this is another cluster", hint));
    };
    let wanted = Wanted::new(cx, &args)?;
    let path = log::path_in(&data);
    if !path.exists() {
        let hint = "a log is written while `weir`, `weir serve` or `weir run` works on the directory";
        return Err(CliError::user(format!("there is no log in {}", data.display()), hint));
    }
    let mut lines: Vec<Line> = Vec::new();
    let mut offset = 0;
    for file in [log::older(&path), path.clone()] {
        offset = read(&file, 0, |line| lines.extend(Some(line).filter(|line| wanted.takes(line))))?;
    }
    let skip = args.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
    for line in &lines[skip..] {
        cx.output.line(log::format(line))?;
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(PAUSE).await;
        // A file that shrank was begun anew.
        let size = std::fs::metadata(&path).map_or(0, |file| file.len());
        let from = if size < offset { 0 } else { offset };
        let mut fresh = Vec::new();
        offset = read(&path, from, |line| fresh.extend(Some(line).filter(|line| wanted.takes(line))))?;
        for line in &fresh {
            cx.output.line(log::format(line))?;
        }
    }
}

/// Reads whole lines from an offset and answers with where the next one begins; a missing file is empty.
fn read(path: &Path, from: u64, mut take: impl FnMut(Line)) -> Result<u64, CliError> {
    let unreadable = |e| CliError::config(format!("{} cannot be read: {e}", path.display()), "");
    let Ok(mut file) = std::fs::File::open(path) else { return Ok(0) };
    file.seek(SeekFrom::Start(from)).map_err(unreadable)?;
    let (mut reader, mut offset, mut text) = (BufReader::new(file), from, String::new());
    loop {
        text.clear();
        let size = reader.read_line(&mut text).map_err(unreadable)?;
        if !text.ends_with('\n') {
            return Ok(offset);
        }
        offset += size as u64;
        if let Some(line) = log::parse(&text) {
            take(line);
        }
    }
}

struct Wanted {
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    level: Level,
    since: i64,
}

impl Wanted {
    fn new(cx: &Cx, args: &Args) -> Result<Self, CliError> {
        let (mut kind, mut name) = (args.kind.clone(), args.name.clone());
        match args.words.as_slice() {
            [] => {}
            [one] if one.contains('/') => {
                kind = one.split('/').next().map(str::to_owned);
                name = one.split('/').nth(1).map(str::to_owned);
            }
            [one] => kind = Some(one.clone()),
            [family, word, rest @ ..] if family.starts_with("source") => {
                kind = Some(if word == "git" { "gitrepo".into() } else { word.clone() });
                name = rest.first().cloned();
            }
            [one, two, ..] => (kind, name) = (Some(one.clone()), Some(two.clone())),
        }
        let kind = match kind {
            Some(word) => Some(kinds::find(&word).ok_or_else(|| super::pick::unknown(&word, &[]))?.kind.to_owned()),
            None => None,
        };
        let named = kind.is_some() && name.is_some() || cx.global.names_namespace();
        let level = match args.level {
            Some(Grade::Debug) | None => Level::Trace,
            Some(Grade::Info) => Level::Info,
            Some(Grade::Warn) => Level::Warn,
            Some(Grade::Error) => Level::Error,
        };
        Ok(Wanted {
            kind,
            name,
            namespace: (named && !args.all_namespaces).then(|| cx.global.namespace()),
            level,
            since: args.since.map_or(i64::MIN, |since| now().0 - since.as_secs() as i64),
        })
    }

    fn takes(&self, line: &Line) -> bool {
        if line.level < self.level || line.at.0 < self.since {
            return false;
        }
        let equal =
            |wanted: &Option<String>, have: Option<&str>| wanted.as_deref().is_none_or(|wanted| have == Some(wanted));
        let id = line.id.as_ref();
        equal(&self.kind, id.map(|id| &*id.kind))
            && equal(&self.name, id.map(|id| &*id.name))
            && (id.is_none_or(|id| id.namespace.is_empty()) || equal(&self.namespace, id.map(|id| &*id.namespace)))
    }
}
