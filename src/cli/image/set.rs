//! `weir image set`: what an automation would edit in the files of a directory, done there, with the patch on stdout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::FileTree;
use crate::cli::{CliError, Cx};
use crate::engine::commit_message::{Data, render};
use crate::engine::diff::unified;
use crate::engine::setters::{Applied, Choice, Setters, apply, is_manifest};

/// Files and bytes that are read at most, so that a wrong directory does not fill the memory.
const FILES: usize = 100_000;
const BYTES: u64 = 1 << 30;
const DEPTH: usize = 64;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Directory with the manifests
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// What a policy chose, as namespace:name=IMAGE:TAG[@DIGEST]; may be repeated
    #[arg(long = "policy", value_name = "POLICY=IMAGE", required = true)]
    policies: Vec<String>,
    /// Print the patch and leave the files as they are
    #[arg(long)]
    dry_run: bool,
    /// File with a template; its commit message is printed before the patch
    #[arg(long, value_name = "FILE")]
    message_template: Option<PathBuf>,
    /// Namespace and name that the template sees as its automation
    #[arg(long, value_name = "NS/NAME", requires = "message_template", default_value = "flux-system/flux-system")]
    automation: String,
    /// A value for the template; may be repeated
    #[arg(long = "value", value_name = "KEY=VALUE", requires = "message_template")]
    values: Vec<String>,
}

pub fn run(cx: &Cx, args: &Args) -> Result<(), CliError> {
    let choices: Vec<Choice> = args.policies.iter().map(|text| choice(text)).collect::<Result<_, _>>()?;
    let setters = Setters::of(&choices).map_err(|error| CliError::user(error.to_string(), ""))?;
    let tree = read(&args.path)?;
    let applied = apply(&tree, "", &setters).map_err(|error| CliError::user(error.to_string(), ""))?;
    for (file, why) in &applied.problems {
        cx.output.warning(format!("{file} is left alone: {why}"));
    }
    for (place, setter) in &applied.unknown {
        cx.output.warning(format!("{place}: no policy is given for {setter}"));
    }
    let message = message(args, &applied)?;
    if !args.dry_run {
        for (path, bytes) in &applied.files {
            write(&args.path.join(path), bytes)?;
        }
    }
    let mut text = message;
    for (path, bytes) in &applied.files {
        text.push_str(&unified(path, tree.get(path).map_or(&[], |file| &file.bytes), bytes));
    }
    let fields = applied.changed.files.values().flat_map(|objects| objects.values()).map(Vec::len).sum::<usize>();
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    cx.output.success(match fields {
        0 => "nothing to change".to_owned(),
        _ => format!("{} in {}", counted(fields, "field"), counted(applied.files.len(), "file")),
    });
    cx.output.data(&text)
}

/// The commit message with an empty line behind it; empty without a template.
fn message(args: &Args, applied: &Applied) -> Result<String, CliError> {
    let Some(file) = &args.message_template else { return Ok(String::new()) };
    let unreadable = |error| CliError::user(format!("{} cannot be read: {error}", file.display()), "");
    let template = std::fs::read_to_string(file).map_err(unreadable)?;
    let automation =
        args.automation.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
    let automation = automation.ok_or_else(|| {
        CliError::user(format!("--automation {:?} is not namespace/name", args.automation), "e.g. flux-system/apps")
    })?;
    let mut values = BTreeMap::new();
    for text in &args.values {
        let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
        let (key, value) = pair.ok_or_else(|| CliError::user(format!("--value {text:?} is not key=value"), ""))?;
        values.insert(key.to_owned(), value.to_owned());
    }
    let data = Data { automation, changed: &applied.changed, values: &values };
    let message = render(&template, &data).map_err(|error| CliError::user(error.to_string(), ""))?;
    Ok(format!("{}\n\n", message.trim_end_matches('\n')))
}

/// Reads `namespace:name=IMAGE:TAG[@DIGEST]`.
fn choice(text: &str) -> Result<Choice, CliError> {
    let hint = "write it like flux-system:app=ghcr.io/org/app:1.2.3";
    let refused = |why: &str| CliError::user(format!("--policy {text:?} {why}"), hint);
    let (policy, reference) = text.split_once('=').ok_or_else(|| refused("has no ="))?;
    let (namespace, name) = policy.split_once(':').ok_or_else(|| refused("names no namespace"))?;
    let (reference, digest) = match reference.split_once('@') {
        Some((reference, digest)) => (reference, Some(digest.to_owned())),
        None => (reference, None),
    };
    let (image, tag) =
        reference.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).ok_or_else(|| refused("has no tag"))?;
    if namespace.is_empty() || name.is_empty() {
        return Err(refused("names no policy"));
    }
    Ok(Choice { namespace: namespace.into(), policy: name.into(), image: image.into(), tag: tag.into(), digest })
}

/// Reads the manifests of a directory; links and `.git` are left out.
fn read(root: &Path) -> Result<FileTree, CliError> {
    let mut tree = FileTree::default();
    let mut bytes = 0;
    let mut pending = vec![(root.to_path_buf(), 0)];
    while let Some((directory, depth)) = pending.pop() {
        let unreadable =
            |error: std::io::Error| CliError::user(format!("{} cannot be read: {error}", directory.display()), "");
        for entry in std::fs::read_dir(&directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(unreadable)?);
            if kind.is_dir() && entry.file_name() != ".git" && depth < DEPTH {
                pending.push((path, depth + 1));
                continue;
            }
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            if !kind.is_file() || !is_manifest(&name) {
                continue;
            }
            bytes += entry.metadata().map_err(unreadable)?.len();
            if tree.len() >= FILES || bytes > BYTES {
                let hint = "name a smaller directory with --path";
                return Err(CliError::user(format!("{} holds too many files", root.display()), hint));
            }
            // A name that a Git repository could not have is none of ours.
            tree.insert(&name, std::fs::read(&path).map_err(unreadable)?).ok();
        }
    }
    Ok(tree)
}

/// Replaces a file in one step, with the permissions it has.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let replaced = || -> std::io::Result<()> {
        let permissions = std::fs::metadata(path)?.permissions();
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.as_file().set_permissions(permissions)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    replaced().map_err(|error| CliError::user(format!("{} cannot be written: {error}", path.display()), ""))
}
