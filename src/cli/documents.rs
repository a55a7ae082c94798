//! Documents from files for `apply` and `build`: read, converted from older versions, checked, with places for errors.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{CliError, Cx};
use crate::base::{Value, yaml};
use crate::kinds::{check, convert};

/// Files of a directory that are taken at most, so that a wrong path does not read a whole disk.
const FILES: usize = 10_000;

/// One document of a file.
pub struct Document {
    pub value: Value,
    /// `deploy/apps.yaml:12`, for messages.
    pub place: String,
}

/// Reads documents from files, directories (`recursive`: and below) and `-` for stdin; tells what was converted.
///
/// Errors with every problem found, each with file and line; nothing is returned then.
pub fn read(cx: &Cx, paths: &[PathBuf], recursive: bool) -> Result<Vec<Document>, CliError> {
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for (name, text) in texts(paths, recursive)? {
        match yaml::read(&text, &yaml::Limits::default()) {
            Ok(found) => {
                for document in found {
                    documents.extend(judge(cx, &name, &text, document, &mut problems));
                }
            }
            Err(error) => problems.push(format!("{name}: {error}")),
        }
    }
    match problems.is_empty() {
        true => Ok(documents),
        false => Err(CliError::user(problems.join("\n"), "correct these places; nothing was changed")),
    }
}

/// Converts and checks one document; a List becomes its items.
fn judge(cx: &Cx, name: &str, text: &[u8], document: yaml::Document, problems: &mut Vec<String>) -> Vec<Document> {
    let items = match document.value.get("kind").and_then(Value::as_str) {
        Some("List") => document.value["items"].as_array().cloned().unwrap_or_default(),
        _ => vec![document.value],
    };
    let mut good = Vec::new();
    for mut value in items {
        let line = |path: &[String]| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let line = yaml::line_of(text, document.index, &path).unwrap_or(document.line);
            if line > 0 { format!("{name}:{line}") } else { name.to_owned() }
        };
        // Problems are placed in the text as it is written, so what a conversion wrote falls back to the document.
        let notes = convert::convert(&mut value);
        for note in &notes {
            let path: Vec<String> = note.field.split('.').map(str::to_owned).collect();
            cx.output.warning(format!("{}: {note}", line(&path)));
        }
        let found = check::check(&value);
        problems.extend(found.iter().map(|problem| format!("{}: {problem}", line(&problem.path))));
        if found.is_empty() {
            good.push(Document { value, place: line(&[]) });
        }
    }
    good
}

/// The texts of all files that are named, with their names.
fn texts(paths: &[PathBuf], recursive: bool) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    let mut texts = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            texts.push(("stdin".to_owned(), limited(&mut std::io::stdin().lock()).map_err(|e| unreadable(path, &e))?));
            continue;
        }
        let mut files = Vec::new();
        if path.is_dir() {
            walk(path, recursive, &mut files)?;
            if files.is_empty() {
                return Err(CliError::user(format!("{} has no .yaml, .yml or .json file", path.display()), ""));
            }
        } else {
            files.push(path.clone());
        }
        for file in files {
            let read = std::fs::File::open(&file).and_then(|mut open| limited(&mut open));
            texts.push((file.display().to_string(), read.map_err(|e| unreadable(&file, &e))?));
        }
    }
    Ok(texts)
}

/// Reads no more than the reader of YAML would take.
fn limited(source: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    source.take(yaml::Limits::default().file_bytes as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Links to directories are not followed, so the depth is that of the real tree.
fn walk(directory: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let entries = std::fs::read_dir(directory).map_err(|e| unreadable(directory, &e))?;
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| unreadable(&path, &e))?;
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if kind.is_dir() && recursive {
            walk(&path, recursive, files)?;
        } else if !kind.is_dir() && ["yaml", "yml", "json"].contains(&extension) {
            files.push(path);
        }
        if files.len() > FILES {
            return Err(CliError::user(format!("{} has more than {FILES} files", directory.display()), ""));
        }
    }
    Ok(())
}

fn unreadable(path: &Path, e: &std::io::Error) -> CliError {
    CliError::user(format!("{} cannot be read: {e}", path.display()), "")
}
