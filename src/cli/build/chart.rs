//! `weir build chart`: what `helm template` makes of a chart, with nothing but weir.
//!
//! Reads the chart and the values; `engine::chart` does the rest. Start with [`run`].
//! Source: helm pkg/cmd (template.go, install.go), pkg/cli/values (options.go).

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use super::pull::{Place, pull};
use super::{BYTES, FILES, put};
use crate::base::FileTree;
use crate::cli::{CliError, Cx};
use crate::engine::chart::{
    Capabilities, Chart, ChartError, Release, Shown, Values, Writing, ignore, merge, read_values, set_values,
};
use crate::engine::template::World;

/// How long a chart may take.
const LONGEST: Duration = Duration::from_secs(30);
/// Templates call each other; a thread's own stack would be too small for the depth they are allowed.
const STACK: usize = 16 << 20;
/// What a large chart may take of memory before its thread's heap grows page by page.
const ROOM: usize = 24 << 20;
/// From this many files on, two threads read them.
const MANY: usize = 100;
/// The longest packaged chart or file of values that is read.
const FILE_BYTES: u64 = 100 << 20;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Directory of the chart, a packaged chart (.tgz), oci://host/path[:version], or its name with --repo
    chart: String,
    #[command(flatten)]
    place: Place,
    /// Name of the release
    #[arg(long, value_name = "NAME", default_value = "release-name")]
    name: String,
    #[command(flatten)]
    given: Given,
    /// Version of Kubernetes that templates are told
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// Further API versions that templates are told; may be repeated or divided by commas
    #[arg(short, long, value_name = "VERSION", value_delimiter = ',')]
    api_versions: Vec<String>,
    /// Tell templates that the release is upgraded, not installed
    #[arg(long)]
    is_upgrade: bool,
    /// Print the CRDs of the chart, too
    #[arg(long)]
    include_crds: bool,
    /// Leave hooks out
    #[arg(long)]
    no_hooks: bool,
    /// Leave tests out
    #[arg(long)]
    skip_tests: bool,
    /// Leave the values unchecked by the chart's schemas
    #[arg(long)]
    skip_schema_validation: bool,
    /// Print only what these templates make, e.g. templates/service.yaml; globs are allowed, and it may be repeated
    #[arg(short, long, value_name = "PATH")]
    show_only: Vec<String>,
    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Values of the command line, in the order in which the later ones win.
#[derive(clap::Args, Debug)]
struct Given {
    /// File with values; `-` is standard input; may be repeated
    #[arg(short = 'f', long = "values", value_name = "FILE", value_delimiter = ',')]
    files: Vec<String>,
    /// Values as JSON: `name=JSON`, or a whole object
    #[arg(long = "set-json", value_name = "VALUES")]
    json: Vec<String>,
    /// Values such as `a.b=1,list[0]=x`
    #[arg(long = "set", value_name = "VALUES")]
    plain: Vec<String>,
    /// Values that are text whatever they look like
    #[arg(long = "set-string", value_name = "VALUES")]
    text: Vec<String>,
    /// Values that are the texts of files: `name=FILE`
    #[arg(long = "set-file", value_name = "VALUES")]
    file: Vec<String>,
    /// One value that is text to its end, commas and all
    #[arg(long = "set-literal", value_name = "VALUE")]
    literal: Vec<String>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let namespace = if cx.global.names_namespace() { cx.global.namespace() } else { "default".into() };
    let fetched = match args.place.is_remote(&args.chart) {
        true => Some(pull(&args.chart, &args.place).await?),
        false => None,
    };
    on_a_deep_stack(|| build(cx, &args, &namespace, fetched.as_deref()))
}

/// Runs on a thread whose stack holds the deepest templates that are allowed, while nothing else is to be done.
fn on_a_deep_stack(work: impl FnOnce() -> Result<(), CliError> + Send) -> Result<(), CliError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("chart".into()).stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|e| CliError::internal(format!("no thread can be started: {e}")))?;
        thread.join().map_err(|_| CliError::internal("the chart could not be rendered: a thread panicked"))?
    })
}

fn build(cx: &Cx, args: &Args, namespace: &str, fetched: Option<&[u8]>) -> Result<(), CliError> {
    make_room();
    check_name(&args.name)?;
    let chart = match fetched {
        Some(bytes) => {
            let refused = |error: ChartError| CliError::user(format!("{}: {error}", args.chart), "");
            Chart::load_archive(bytes).map_err(refused)?
        }
        None => load(&args.chart)?,
    };
    let values = args.given.read()?;
    let mut capabilities = Capabilities::default();
    if let Some(version) = &args.kube_version {
        capabilities = capabilities.with_kube_version(version).map_err(told)?;
    }
    capabilities.api_versions.extend(args.api_versions.iter().cloned());
    let release =
        Release { name: args.name.clone(), namespace: namespace.into(), revision: 1, is_upgrade: args.is_upgrade };
    let end = Instant::now() + LONGEST;
    let stop = || Instant::now() > end;
    let random = |bytes: &mut [u8]| rand::fill(bytes);
    let zones = |name: &str| if name == "Local" { Some(TimeZone::system()) } else { TimeZone::get(name).ok() };
    let world = World {
        now: jiff::Timestamp::now(),
        random: Some(&random),
        zones: Some(&zones),
        stop: Some(&stop),
        ..World::default()
    };
    let rendered = if args.skip_schema_validation {
        chart.render_unchecked(&values, &release, &capabilities, &world)
    } else {
        chart.render(&values, &release, &capabilities, &world)
    };
    let rendered = rendered.map_err(told)?;
    let shown = Shown { crds: args.include_crds, hooks: !args.no_hooks, tests: !args.skip_tests };
    let pieces = match args.show_only.as_slice() {
        [] => rendered.pieces(shown),
        globs => vec![rendered.print_only(shown, globs).map_err(told)?.into()],
    };
    if chart.metadata.deprecated {
        cx.output.warning(format!("the chart {} is deprecated", chart.metadata.name));
    }
    put(cx, &pieces, args.output.as_deref())?;
    drop(pieces);
    // The process ends with this: taking large charts apart would only delay it.
    std::mem::forget((chart, rendered));
    Ok(())
}

/// The heap of a thread (glibc's) grows by a call of the kernel for every page. A block that is taken and given back
/// leaves room there; the first such block only teaches the allocator that blocks of its size are kept.
fn make_room() {
    for _ in 0..2 {
        drop(std::hint::black_box(Vec::<u8>::with_capacity(ROOM)));
    }
}

fn told(error: ChartError) -> CliError {
    let hint = match &error {
        ChartError::Schema(_) => "correct the values, or leave them unchecked with --skip-schema-validation",
        ChartError::Manifest { .. } => "look at what the template makes of its values",
        _ => "",
    };
    CliError::user(error.to_string(), hint)
}

fn check_name(name: &str) -> Result<(), CliError> {
    let part = |part: &str| {
        let inner = part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        inner && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    if name.len() <= 53 && name.split('.').all(part) {
        return Ok(());
    }
    let hint = "use lower-case letters, digits, dashes and dots, 53 at most";
    Err(CliError::user(format!("{name:?} is no name of a release"), hint))
}

/// The chart in a directory or an archive, with all it depends on.
fn load(named: &str) -> Result<Chart, CliError> {
    let path = Path::new(named);
    let at = |error: ChartError| CliError::user(format!("{named}: {error}"), "");
    let chart = if path.is_dir() {
        Chart::load(&read_directory(path)?).map_err(at)?
    } else if path.is_file() {
        Chart::load_archive(&read_file(path)?).map_err(at)?
    } else if named.contains("://") {
        let hint = "pull it first, e.g. with weir create source helm, or give a directory or a .tgz";
        return Err(CliError::user(format!("{named}: charts are not fetched from registries or servers here"), hint));
    } else {
        return Err(CliError::user(format!("{named}: no such directory or packaged chart"), ""));
    };
    if chart.metadata.is_library() {
        let hint = "build a chart that depends on it";
        return Err(CliError::user(format!("{named}: it is a library and makes nothing of its own"), hint));
    }
    let missing = chart.missing_dependencies();
    if missing.is_empty() {
        return Ok(chart);
    }
    let hint = "put these charts there, e.g. with helm dependency build";
    Err(CliError::user(format!("{named}: found in Chart.yaml, but missing in charts/: {}", missing.join(", ")), hint))
}

fn read_file(path: &Path) -> Result<Vec<u8>, CliError> {
    let refused = |e: std::io::Error| CliError::user(format!("{} cannot be read: {e}", path.display()), "");
    let file = std::fs::File::open(path).map_err(refused)?;
    let length = file.metadata().map_or(0, |about| about.len().min(FILE_BYTES));
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(CliError::user(format!("{} is larger than {} MiB", path.display(), FILE_BYTES >> 20), ""));
    }
    Ok(bytes)
}

/// As [`read_file`], and straight to where it stays.
fn read_shared(path: &Path) -> Result<Arc<[u8]>, CliError> {
    let refused = |e: std::io::Error| CliError::user(format!("{} cannot be read: {e}", path.display()), "");
    let mut file = std::fs::File::open(path).map_err(refused)?;
    let about = file.metadata().map_err(refused)?;
    if !about.is_file() || about.len() == 0 || about.len() > FILE_BYTES {
        return read_file(path).map(Arc::from);
    }
    let mut content: Arc<[u8]> = std::iter::repeat_n(0, usize::try_from(about.len()).unwrap_or_default()).collect();
    if let Some(content) = Arc::get_mut(&mut content) {
        file.read_exact(content).map_err(refused)?;
    }
    Ok(content)
}

/// Reads the directory of a chart. Links are followed as far as the repository around it goes.
fn read_directory(root: &Path) -> Result<FileTree, CliError> {
    let unreadable =
        |path: &Path, e: std::io::Error| CliError::user(format!("{} cannot be read: {e}", path.display()), "");
    let real = root.canonicalize().map_err(|e| unreadable(root, e))?;
    let around = real.ancestors().find(|above| above.join(".git").exists()).unwrap_or(&real);
    // What the chart ignores is not even read.
    let rules = std::fs::read(real.join(".helmignore")).unwrap_or_default();
    let rules = ignore::Rules::read(&String::from_utf8_lossy(&rules));
    let mut files = Vec::new();
    let mut left: Vec<(PathBuf, String, usize)> = vec![(real.clone(), String::new(), 0)];
    while let Some((directory, below, depth)) = left.pop() {
        for entry in std::fs::read_dir(&directory).map_err(|e| unreadable(&directory, e))? {
            let entry = entry.map_err(|e| unreadable(&directory, e))?;
            let path = entry.path();
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            // Directories are real already, so only a link can lead elsewhere.
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let target = if is_link { path.canonicalize().map_err(|e| unreadable(&path, e))? } else { path.clone() };
            if !target.starts_with(around) {
                let message = format!("{} is a link to {}, outside the chart", path.display(), target.display());
                return Err(CliError::user(message, "copy it into the chart"));
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) || is_link && target.is_dir() {
                if entry.file_name() != ".git" && depth < 64 {
                    left.push((target, format!("{name}/"), depth + 1));
                }
                continue;
            }
            if rules.ignores(&name) {
                continue;
            }
            if files.len() >= FILES {
                return Err(too_many(root));
            }
            files.push((name, target));
        }
    }
    let mut tree = FileTree::default();
    for (at, content) in read_all(root, &files)? {
        tree.insert(&files[at].0, content).map_err(|e| CliError::user(format!("{}: {e}", root.display()), ""))?;
    }
    Ok(tree)
}

/// Indices of files, and what is in them.
type Contents = Vec<(usize, Arc<[u8]>)>;

fn too_many(root: &Path) -> CliError {
    let hint = "name the chart's own directory, or list what is not of the chart in its .helmignore";
    CliError::user(format!("{} holds too many files for a chart", root.display()), hint)
}

/// The contents of files by their index, in any order; of many files by two threads, each of which takes the next.
fn read_all(root: &Path, files: &[(String, PathBuf)]) -> Result<Contents, CliError> {
    let (next, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
    let read = || -> Result<Contents, CliError> {
        let mut contents = Contents::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((_, path)) = files.get(at) else { return Ok(contents) };
            let content = read_shared(path)?;
            if bytes.fetch_add(content.len() as u64, Ordering::Relaxed) > BYTES {
                return Err(too_many(root));
            }
            contents.push((at, content));
        }
    };
    if files.len() < MANY {
        return read();
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(read);
        let mut contents = read()?;
        contents.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        Ok(contents)
    })
}

impl Given {
    /// The values given, laid over each other as Helm does it.
    fn read(&self) -> Result<Values, CliError> {
        let mut values = Values::new();
        for file in &self.files {
            if file.contains("://") {
                let message = format!("{file}: values are not fetched from servers");
                return Err(CliError::user(message, "download the file and name it"));
            }
            let bytes = if file == "-" { read_stdin()? } else { read_file(Path::new(file))? };
            let read = read_values(file, &bytes).map_err(|e| CliError::user(e.to_string(), ""))?;
            merge(&mut values, read);
        }
        let texts = |path: &str| match read_file(Path::new(path)) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => Err(error.message),
        };
        let lines = [
            ("--set-json", &self.json, Writing::Json),
            ("--set", &self.plain, Writing::Plain),
            ("--set-string", &self.text, Writing::Text),
            ("--set-file", &self.file, Writing::File(&texts)),
            ("--set-literal", &self.literal, Writing::Literal),
        ];
        for (flag, lines, writing) in lines {
            for line in lines {
                set_values(&mut values, line, writing).map_err(|e| CliError::user(format!("{flag}: {e}"), ""))?;
            }
        }
        Ok(values)
    }
}

fn read_stdin() -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(FILE_BYTES).read_to_end(&mut bytes);
    read.map_err(|e| CliError::user(format!("standard input cannot be read: {e}"), ""))?;
    Ok(bytes)
}
