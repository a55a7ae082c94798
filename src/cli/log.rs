//! Weir's own log: one layer that feeds the ring of `store::Activity` and a file that `weir logs` reads.
//!
//! A line is about an object when the event or a span around it has the field `id`. The file is a JSON line each, in the
//! data directory; when it has grown, it becomes the one older file. Start with [`Log`].

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use super::session::now;
use crate::base::{Id, Stamp, Text};
use crate::kinds;
use crate::store::{Activity, Level, Line};

/// Size at which the file becomes the older one, in bytes.
const FILE_BYTES: u64 = 8 << 20;
/// What is kept without `WEIR_LOG`. That a certificate is not checked is said once by weir, not at every connection.
const FILTER: &str = "weir=info,kube_client::client::tls=error,warn";

/// Where lines go.
pub struct Log {
    activity: Activity,
    file: Option<Mutex<LogFile>>,
    /// Headless commands tell people on stderr too.
    stderr: bool,
}

struct LogFile {
    path: PathBuf,
    file: File,
    size_bytes: u64,
}

/// Begins to log; the answer is the ring. A file that cannot be written is left out with a warning in the ring.
pub fn start(path: Option<&Path>, stderr: bool) -> Activity {
    let activity = Activity::default();
    let opened = path.map(LogFile::open);
    if let Some(Err(error)) = &opened {
        let words = format!("the log file cannot be written: {error}");
        activity.push(now(), Level::Warn, None, Text::new(words));
    }
    let file = opened.and_then(Result::ok).map(Mutex::new);
    let wanted = std::env::var("WEIR_LOG").ok().filter(|wanted| !wanted.is_empty());
    let filter = EnvFilter::try_new(wanted.as_deref().unwrap_or(FILTER)).unwrap_or_else(|_| EnvFilter::new(FILTER));
    let log = Log { activity: activity.clone(), file, stderr };
    // Only a test that starts two logs in one process can meet a log that is there already.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log.with_filter(filter))).ok();
    activity
}

/// The log of a data directory.
pub fn path_in(data: &Path) -> PathBuf {
    data.join("weir.log")
}

/// The older file beside a log.
pub fn older(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// One line as the file has it; `None` when it is none.
pub fn parse(line: &str) -> Option<Line> {
    let value: Value = serde_json::from_str(line).ok()?;
    let level = match value["level"].as_str()? {
        "trace" => Level::Trace,
        "debug" => Level::Debug,
        "info" => Level::Info,
        "warn" => Level::Warn,
        _ => Level::Error,
    };
    let part = |key: &str| value["id"][key].as_str().unwrap_or_default();
    let id = value["id"].is_object().then(|| Id::new(part("group"), part("kind"), part("namespace"), part("name")));
    let at = value["at"].as_str()?.parse().ok()?;
    Some(Line { number: 0, at, level, id, message: Text::new(value["message"].as_str()?) })
}

/// `<time> <level> Kind/name.namespace - <message>`, as flux logs writes lines.
pub fn format(line: &Line) -> String {
    let about = match &line.id {
        Some(id) if id.namespace.is_empty() => format!(" {}/{}", id.kind, id.name),
        Some(id) => format!(" {}/{}.{}", id.kind, id.name, id.namespace),
        None => String::new(),
    };
    format!("{} {}{about} - {}", line.at, line.level.word(), line.message)
}

impl LogFile {
    fn open(path: &Path) -> std::io::Result<Self> {
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let size_bytes = file.metadata()?.len();
        Ok(LogFile { path: path.into(), file, size_bytes })
    }

    /// A log that cannot be written must not stop what it tells about.
    fn write(&mut self, line: &str) {
        if self.size_bytes > FILE_BYTES && std::fs::rename(&self.path, older(&self.path)).is_ok() {
            match LogFile::open(&self.path) {
                Ok(fresh) => *self = fresh,
                Err(_) => return,
            }
        }
        if self.file.write_all(line.as_bytes()).is_ok() {
            self.size_bytes += line.len() as u64;
        }
    }
}

impl Log {
    fn push(&self, at: Stamp, level: Level, id: Option<Id>, message: &str) {
        let message = Text::new(message);
        if let Some(file) = &self.file {
            let about = id.as_ref().map(
                |id| json!({"group": &*id.group, "kind": &*id.kind, "namespace": &*id.namespace, "name": &*id.name}),
            );
            let line = json!({"at": at.to_string(), "level": level.word(), "id": about, "message": message.as_str()});
            file.lock().unwrap_or_else(PoisonError::into_inner).write(&format!("{line}\n"));
        }
        if self.stderr {
            let line = Line { number: 0, at, level, id: id.clone(), message: message.clone() };
            writeln!(std::io::stderr().lock(), "{}", format(&line)).ok();
        }
        self.activity.push(at, level, id, message);
    }
}

/// The fields of an event or span that matter here.
#[derive(Default)]
struct Fields {
    id: Option<Id>,
    message: String,
    rest: String,
}

/// What a span says its events are about.
struct About(Id);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "id" => self.id = parse_id(&format!("{value:?}")),
            "message" => self.message = format!("{value:?}"),
            name => self.rest.push_str(&format!(" {name}={value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "id" => self.id = parse_id(value),
            "message" => self.message = value.to_owned(),
            name => self.rest.push_str(&format!(" {name}={value}")),
        }
    }
}

/// Reads `Kind/namespace/name` or `Kind/name`; the group is that of the known kind.
fn parse_id(text: &str) -> Option<Id> {
    let parts: Vec<&str> = text.split('/').collect();
    let (kind, namespace, name) = match parts.as_slice() {
        [kind, namespace, name] => (*kind, *namespace, *name),
        [kind, name] => (*kind, "", *name),
        _ => return None,
    };
    let group = kinds::ALL.iter().find(|known| known.kind == kind).map_or("", |known| known.group);
    Some(Id::new(group, kind, namespace, name))
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(&self, attributes: &tracing::span::Attributes<'_>, id: &tracing::span::Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let (Some(about), Some(span)) = (fields.id, context.span(id)) {
            span.extensions_mut().replace(About(about));
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let around = || {
            let scope = context.event_scope(event)?;
            scope.into_iter().find_map(|span| span.extensions().get::<About>().map(|about| about.0.clone()))
        };
        let id = fields.id.take().or_else(around);
        let level = match *event.metadata().level() {
            tracing::Level::TRACE => Level::Trace,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::INFO => Level::Info,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::ERROR => Level::Error,
        };
        self.push(now(), level, id, &format!("{}{}", fields.message, fields.rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_about_the_object_of_its_span_and_comes_back_from_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = path_in(directory.path());
        let activity = Activity::default();
        let file = Some(Mutex::new(LogFile::open(&path).unwrap()));
        let log = Log { activity: activity.clone(), file, stderr: false };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
            let span = tracing::info_span!("reconcile", id = %"Kustomization/flux-system/apps");
            let _inside = span.enter();
            tracing::warn!(reason = "BuildFailed", "no \x1b[2J such file");
            tracing::info!(id = %"Namespace/shop", "made");
        });
        let id = Id::new(kinds::kustomization::GROUP, "Kustomization", "flux-system", "apps");
        let lines = activity.of(&id);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].message.as_str(), "no ␛[2J such file reason=BuildFailed");
        let kept: Vec<Line> = std::fs::read_to_string(&path).unwrap().lines().filter_map(parse).collect();
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0].id, Some(id));
        assert!(
            format(&kept[0]).ends_with(" warn Kustomization/apps.flux-system - no ␛[2J such file reason=BuildFailed")
        );
        assert!(format(&kept[1]).ends_with(" info Namespace/shop - made"));
    }

    #[test]
    fn a_grown_file_becomes_the_older_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = path_in(directory.path());
        let mut file = LogFile::open(&path).unwrap();
        file.write("one\n");
        file.size_bytes = FILE_BYTES + 1;
        file.write("two\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(std::fs::read_to_string(older(&path)).unwrap(), "one\n");
    }
}
