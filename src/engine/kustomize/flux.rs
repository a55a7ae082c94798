//! What Flux does before it builds: a kustomization file where there is none, and the fields of a Kustomization.
//!
//! Both return a changed tree, so that what is built can also be looked at. Source: fluxcd/pkg kustomize
//! kustomize_generator.go. Start with [`prepare`].

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::base::FileTree;
use crate::base::yaml::{self, Dialect};

use super::error::{BuildError, ErrorKind};
use super::file::{FIELDS, FILE_NAMES};
use super::read::check_objects;
use super::{Options, Reorder};

/// The fields of a Flux Kustomization that shape a build, as plain values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    pub target_namespace: Option<String>,
    pub name_prefix: Option<String>,
    pub name_suffix: Option<String>,
    pub patches: Vec<OverlayPatch>,
    pub images: Vec<OverlayImage>,
    pub components: Vec<String>,
    /// A component that does not exist is left out instead of being an error.
    pub ignore_missing_components: bool,
    pub build_metadata: Vec<String>,
}

/// A patch and what it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverlayPatch {
    pub patch: String,
    pub target: Option<OverlayTarget>,
}

/// What a patch selects; empty fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverlayTarget {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub name: String,
    pub namespace: String,
    pub label_selector: String,
    pub annotation_selector: String,
}

/// An image and what becomes of it; empty fields change nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverlayImage {
    pub name: String,
    pub new_name: String,
    pub new_tag: String,
    pub digest: String,
}

/// The options under which kustomize-controller builds.
pub fn flux_options(allow_remote: bool) -> Options {
    Options { reorder: Reorder::None, files_anywhere: true, allow_remote, schema_adds: true, ..Options::default() }
}

/// Makes a directory ready to build: generates the kustomization file if needed and lays the overlay over it.
///
/// Errors when the directory does not exist, a manifest in it is no Kubernetes object, or a component is not local.
pub fn prepare(tree: &FileTree, directory: &str, overlay: &Overlay, options: &Options) -> Result<FileTree, BuildError> {
    let root = FileTree::resolve("", directory).filter(|root| tree.is_dir(root)).ok_or_else(|| {
        BuildError::new(ErrorKind::Missing, format!("there is no directory {directory:?}")).hint("check spec.path")
    })?;
    let found = FILE_NAMES.iter().map(|name| join(&root, name)).find(|path| tree.get(path).is_some());
    let (path, mut fields, made) = match found {
        Some(path) => {
            let fields = read(tree, &path, options)?;
            (path, fields, false)
        }
        None => (join(&root, FILE_NAMES[0]), generate_kustomization(tree, &root, options)?, true),
    };
    if !made && list(&fields, "resources").is_empty() {
        // Without resources the file could count as empty.
        fields.insert("buildMetadata".into(), json!(["originAnnotations"]));
    }
    lay_over(&mut fields, tree, &root, overlay).map_err(|error| error.in_file(&path))?;
    let mut changed = tree.clone();
    let text = yaml::write(&Value::Object(fields)).into_bytes();
    let refused = |error: crate::base::PathError| BuildError::new(ErrorKind::Malformed, error.to_string());
    changed.insert(&path, text).map_err(refused)?;
    Ok(changed)
}

/// The kustomization of a directory without one: all manifests beneath it, in the order of a walk.
///
/// Errors when a manifest is no Kubernetes object.
pub fn generate_kustomization(
    tree: &FileTree,
    directory: &str,
    options: &Options,
) -> Result<Map<String, Value>, BuildError> {
    let mut resources = Vec::new();
    walk(tree, directory, options, &mut resources, 0)?;
    let start = if directory.is_empty() { 0 } else { directory.len() + 1 };
    let mut fields = Map::new();
    fields.insert("apiVersion".into(), json!("kustomize.config.k8s.io/v1beta1"));
    fields.insert("kind".into(), json!("Kustomization"));
    if resources.is_empty() {
        // A kustomization must have something in it.
        fields.insert("namespace".into(), json!("_placeholder"));
    } else {
        let relative = resources.iter().map(|path: &String| json!(format!("./{}", &path[start..])));
        fields.insert("resources".into(), relative.collect());
    }
    Ok(fields)
}

fn walk(
    tree: &FileTree,
    directory: &str,
    options: &Options,
    found: &mut Vec<String>,
    depth: usize,
) -> Result<(), BuildError> {
    if depth > options.limits.depth {
        let message = format!("directories are nested deeper than {} levels", options.limits.depth);
        return Err(BuildError::new(ErrorKind::Limit, message).in_file(directory));
    }
    let start = if directory.is_empty() { 0 } else { directory.len() + 1 };
    let entries: BTreeSet<&str> =
        tree.under(directory).map(|(path, _)| path[start..].split('/').next().unwrap_or_default()).collect();
    for entry in entries {
        let path = join(directory, entry);
        match tree.get(&path) {
            Some(file) if entry.ends_with(".yaml") || entry.ends_with(".yml") => {
                check_objects(&file.bytes, &path, options)?;
                found.push(path);
            }
            Some(_) => {}
            None if FILE_NAMES.iter().any(|name| tree.get(&join(&path, name)).is_some()) => found.push(path),
            None => walk(tree, &path, options, found, depth + 1)?,
        }
        if found.len() > options.limits.files {
            let message = format!("there are more than {} manifests", options.limits.files);
            return Err(BuildError::new(ErrorKind::Limit, message).in_file(directory));
        }
    }
    Ok(())
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// The fields of a kustomization file under their right names; unknown ones are dropped, as Flux does.
fn read(tree: &FileTree, path: &str, options: &Options) -> Result<Map<String, Value>, BuildError> {
    let bytes = tree.get(path).map(|file| &*file.bytes).unwrap_or_default();
    let documents = yaml::read_as(bytes, &options.yaml, Dialect::Lenient)
        .map_err(|error| BuildError::new(ErrorKind::Malformed, error.message).at_line(error.line).in_file(path))?;
    let mut fields = Map::new();
    fields.insert("apiVersion".into(), json!("kustomize.config.k8s.io/v1beta1"));
    fields.insert("kind".into(), json!("Kustomization"));
    match documents.into_iter().next().map(|document| document.value) {
        None => {}
        Some(Value::Object(given)) => {
            for (key, value) in given {
                if let Some(name) = FIELDS.iter().find(|name| name.eq_ignore_ascii_case(&key)) {
                    fields.insert((*name).to_owned(), value);
                }
            }
        }
        Some(_) => return Err(BuildError::new(ErrorKind::Malformed, "the kustomization is no mapping").in_file(path)),
    }
    Ok(fields)
}

fn list<'f>(fields: &'f Map<String, Value>, name: &str) -> &'f [Value] {
    fields.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn extend(fields: &mut Map<String, Value>, name: &str, more: impl IntoIterator<Item = Value>) {
    let mut items = list(fields, name).to_vec();
    items.extend(more);
    if !items.is_empty() {
        fields.insert(name.to_owned(), Value::Array(items));
    }
}

/// Lays the fields of a Flux Kustomization over those of a kustomization file.
fn lay_over(fields: &mut Map<String, Value>, tree: &FileTree, root: &str, overlay: &Overlay) -> Result<(), BuildError> {
    for (name, value) in [
        ("namespace", &overlay.target_namespace),
        ("namePrefix", &overlay.name_prefix),
        ("nameSuffix", &overlay.name_suffix),
    ] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), json!(value));
        }
    }
    extend(fields, "patches", overlay.patches.iter().map(OverlayPatch::value));
    let mut components = Vec::new();
    for component in &overlay.components {
        if !is_local(component) {
            let message = format!("the component {component:?} is not a local, relative path");
            return Err(BuildError::new(ErrorKind::Forbidden, message).hint("name a directory beside spec.path"));
        }
        let exists = FileTree::resolve(root, component).is_some_and(|path| tree.is_dir(&path));
        if exists || !overlay.ignore_missing_components {
            components.push(json!(component));
        }
    }
    extend(fields, "components", components);
    merge_images(fields, &overlay.images);
    if !overlay.build_metadata.is_empty() {
        fields.insert("buildMetadata".into(), json!(overlay.build_metadata));
    }
    Ok(())
}

/// Images of one name are one entry; tag and digest belong together.
fn merge_images(fields: &mut Map<String, Value>, images: &[OverlayImage]) {
    let mut entries = list(fields, "images").to_vec();
    for image in images {
        let existing = entries.iter_mut().find(|entry| entry.get("name").and_then(Value::as_str) == Some(&image.name));
        match existing {
            Some(Value::Object(entry)) => {
                if !image.new_name.is_empty() {
                    entry.insert("newName".into(), json!(image.new_name));
                }
                if !image.new_tag.is_empty() || !image.digest.is_empty() {
                    entry.insert("newTag".into(), json!(image.new_tag));
                    entry.insert("digest".into(), json!(image.digest));
                }
            }
            _ => entries.push(json!({
                "name": image.name, "newName": image.new_name, "newTag": image.new_tag, "digest": image.digest,
            })),
        }
    }
    if !entries.is_empty() {
        fields.insert("images".into(), Value::Array(entries));
    }
}

impl OverlayPatch {
    fn value(&self) -> Value {
        let mut value = json!({"patch": self.patch});
        if let Some(target) = &self.target {
            value["target"] = json!({
                "group": target.group, "version": target.version, "kind": target.kind, "name": target.name,
                "namespace": target.namespace, "labelSelector": target.label_selector,
                "annotationSelector": target.annotation_selector,
            });
        }
        value
    }
}

/// Whether a component lies in the tree and not somewhere else.
fn is_local(path: &str) -> bool {
    let lower = path.to_lowercase();
    let remote =
        ["git::", "gh:", "ssh://", "https://", "http://", "git@", "github.com:", "github.com/", "/", "file:///"];
    !remote.iter().any(|start| lower.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::super::{Answers, Output, build};
    use super::*;

    fn config_map(name: &str) -> String {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
    }

    fn names(tree: &FileTree, directory: &str, overlay: &Overlay) -> Result<Vec<String>, String> {
        let options = flux_options(false);
        let prepared = prepare(tree, directory, overlay, &options).map_err(|error| error.to_string())?;
        match build(&prepared, directory, &options, &Answers::default()).map_err(|error| error.to_string())? {
            Output::Built { manifests, .. } => Ok(manifests
                .iter()
                .map(|manifest| {
                    let meta = &manifest.value["metadata"];
                    let text = |key: &str| meta[key].as_str().unwrap_or_default().to_owned();
                    format!("{}/{}", text("namespace"), text("name"))
                })
                .collect()),
            Output::Need(need) => Err(format!("{need:?}")),
        }
    }

    #[test]
    fn a_directory_without_kustomization_is_walked_by_the_names_of_its_entries() {
        let inner = "resources: [x.yaml]\nnamePrefix: in-\n";
        let tree: FileTree = [
            ("d/a-b/1.yaml", config_map("second").as_str()),
            ("d/a/1.yml", &config_map("first")),
            ("d/own/kustomization.yaml", inner),
            ("d/own/x.yaml", &config_map("x")),
            ("d/own/y.yaml", "not an object"),
            ("d/README.md", "text"),
            ("e.yaml", &config_map("outside")),
        ]
        .into_iter()
        .collect();
        assert_eq!(names(&tree, "d", &Overlay::default()).unwrap(), ["/first", "/second", "/in-x"]);
        let overlay =
            Overlay { target_namespace: Some("n".into()), name_suffix: Some("-s".into()), ..Overlay::default() };
        assert_eq!(names(&tree, "d", &overlay).unwrap(), ["n/first-s", "n/second-s", "n/in-x-s"]);
    }

    #[test]
    fn what_is_no_object_is_refused_by_name_and_nothing_is_nothing() {
        let tree: FileTree = [("d/a.yaml", "a: 1\n"), ("empty/x.txt", "")].into_iter().collect();
        let error = names(&tree, "d", &Overlay::default()).unwrap_err();
        assert!(error.starts_with("d/a.yaml:1: the object has no kind"), "{error}");
        assert_eq!(names(&tree, "empty", &Overlay::default()).unwrap(), Vec::<String>::new());
        assert!(names(&tree, "nowhere", &Overlay::default()).unwrap_err().contains("no directory"));
    }

    #[test]
    fn images_merge_by_name_and_components_stay_local() {
        let mut fields = Map::new();
        fields.insert("images".into(), json!([{"name": "a", "newTag": "1", "digest": "sha256:x"}]));
        let image = |name: &str, new_name: &str, tag: &str| OverlayImage {
            name: name.into(),
            new_name: new_name.into(),
            new_tag: tag.into(),
            digest: String::new(),
        };
        merge_images(&mut fields, &[image("a", "b", "")]);
        assert_eq!(fields["images"][0], json!({"name": "a", "newTag": "1", "digest": "sha256:x", "newName": "b"}));
        merge_images(&mut fields, &[image("a", "", "2")]);
        assert_eq!(fields["images"][0], json!({"name": "a", "newTag": "2", "digest": "", "newName": "b"}));
        let tree: FileTree = [("d/a.yaml", config_map("a"))].into_iter().collect();
        let overlay = Overlay { components: vec!["https://example.org/x".into()], ..Overlay::default() };
        assert!(names(&tree, "d", &overlay).unwrap_err().contains("local"));
        let missing = Overlay { components: vec!["../c".into()], ..Overlay::default() };
        assert!(names(&tree, "d", &missing).is_err());
        assert!(names(&tree, "d", &Overlay { ignore_missing_components: true, ..missing }).is_ok());
    }
}
