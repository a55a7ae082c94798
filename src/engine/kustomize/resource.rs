//! [`Resource`]: one object on its way through a build, with every name it has had.
//!
//! Source: kustomize api/resource/resource.go. Kustomize keeps the former ids, prefixes and generator wishes as
//! annotations on the object and parses them again and again; here they are fields. Where that shows (an annotation
//! mapping that is emptied, annotations that become text), the effect is imitated in `finish`.

use std::collections::HashMap;
use std::rc::Rc;

use crate::base::yaml::{self, Mapping, Node, Scalar, Style, Tag};

use super::Origin;
use super::schema::Schema;

/// The namespace of what has none; no real namespace can be called so.
pub(super) const CLUSTER: &str = "_non_namespaceable_";

/// How a generated object meets one that exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Behavior {
    /// Nothing was generated.
    Given,
    #[default]
    Unspecified,
    Create,
    Replace,
    Merge,
}

/// A former id: group and version are always the current ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Former {
    pub kind: String,
    pub name: String,
    /// Effective: `default` for none, [`CLUSTER`] for cluster-scoped kinds.
    pub namespace: String,
}

/// One object and what the build knows of it.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub node: Mapping,
    pub former: Vec<Former>,
    pub prefixes: Vec<String>,
    pub suffixes: Vec<String>,
    pub needs_hash: bool,
    pub behavior: Behavior,
    pub variables: Vec<String>,
    /// For patches.
    pub allow_name_change: bool,
    /// For patches.
    pub allow_kind_change: bool,
    /// The internal annotations would have emptied `annotations: {}`.
    pub touched: bool,
    /// Scalars that change together, by their number (`links.rs`).
    pub links: HashMap<u32, Scalar>,
    pub origin: Option<Rc<Origin>>,
}

/// An id to compare by: two objects of one id exclude each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub name: String,
    /// Effective, as in [`Former`].
    pub namespace: String,
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind)?;
        match self.namespace.as_str() {
            CLUSTER => {}
            namespace => write!(f, "/{namespace}")?,
        }
        write!(f, "/{}", self.name)
    }
}

impl Resource {
    pub(super) fn new(node: Mapping) -> Self {
        Resource {
            node,
            former: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            needs_hash: false,
            behavior: Behavior::Given,
            variables: Vec::new(),
            allow_name_change: false,
            allow_kind_change: false,
            touched: false,
            links: HashMap::new(),
            origin: None,
        }
    }

    fn top(&self, key: &str) -> &str {
        self.node.get(key).and_then(Node::as_scalar).map_or("", |scalar| &scalar.text)
    }

    pub(super) fn kind(&self) -> &str {
        self.top("kind")
    }

    pub(super) fn api_version(&self) -> &str {
        self.top("apiVersion")
    }

    pub(super) fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    pub(super) fn version(&self) -> &str {
        self.api_version().split_once('/').map_or(self.api_version(), |(_, version)| version)
    }

    fn meta(&self, key: &str) -> &str {
        self.node.get("metadata").and_then(|meta| meta.get(key)).and_then(Node::as_text).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.meta("name")
    }

    /// As written; empty for none.
    pub(super) fn namespace(&self) -> &str {
        self.meta("namespace")
    }

    pub(super) fn is_cluster_scoped(&self, schema: &Schema) -> bool {
        schema.is_cluster_scoped(self.api_version(), self.kind())
    }

    /// `default` for none, [`CLUSTER`] for cluster-scoped kinds.
    pub(super) fn effective_namespace(&self, schema: &Schema) -> &str {
        match self.namespace() {
            _ if self.is_cluster_scoped(schema) => CLUSTER,
            "" => "default",
            namespace => namespace,
        }
    }

    /// The current id.
    pub(super) fn id(&self, schema: &Schema) -> Id {
        Id {
            group: self.group().to_owned(),
            version: self.version().to_owned(),
            kind: self.kind().to_owned(),
            name: self.name().to_owned(),
            namespace: self.effective_namespace(schema).to_owned(),
        }
    }

    /// The id it had first.
    pub(super) fn original_id(&self, schema: &Schema) -> Id {
        let mut id = self.id(schema);
        if let Some(first) = self.former.first() {
            id.kind.clone_from(&first.kind);
            id.name.clone_from(&first.name);
            id.namespace.clone_from(&first.namespace);
        }
        id
    }

    /// Whether it has, or ever had, that id.
    pub(super) fn ever_had(&self, id: &Id, schema: &Schema) -> bool {
        if self.group() != id.group || self.version() != id.version {
            return false;
        }
        let now = self.kind() == id.kind && self.name() == id.name && self.effective_namespace(schema) == id.namespace;
        now || self.former.iter().any(|f| f.kind == id.kind && f.name == id.name && f.namespace == id.namespace)
    }

    /// Notes the current id before a change.
    pub(super) fn remember_id(&mut self, schema: &Schema) {
        self.former.push(Former {
            kind: self.kind().to_owned(),
            name: self.name().to_owned(),
            namespace: self.effective_namespace(schema).to_owned(),
        });
        self.touched = true;
    }

    /// The mapping of metadata, made when missing.
    pub(super) fn metadata_mut(&mut self) -> &mut Mapping {
        if self.node.get("metadata").is_none_or(|meta| meta.as_mapping().is_none()) {
            self.node.insert("metadata", Node::Mapping(Mapping::default()));
        }
        self.node.get_mut("metadata").and_then(Node::as_mapping_mut).expect("it was just made a mapping")
    }

    pub(super) fn set_name(&mut self, name: &str) {
        set_field(self.metadata_mut(), "name", Scalar::new(name, Tag::Unset));
    }

    /// Sets the namespace; an empty one removes the field.
    pub(super) fn set_namespace(&mut self, namespace: &str) {
        match namespace {
            "" => drop(self.metadata_mut().remove("namespace")),
            namespace => set_field(self.metadata_mut(), "namespace", Scalar::new(namespace, Tag::Unset)),
        }
    }

    pub(super) fn set_kind(&mut self, kind: &str) {
        set_field(&mut self.node, "kind", Scalar::new(kind, Tag::Unset));
    }

    /// Labels or annotations as text to text.
    pub(super) fn texts(&self, field: &str) -> Vec<(&str, &str)> {
        let fields = self.node.get("metadata").and_then(|meta| meta.get(field)).and_then(Node::as_mapping);
        fields.into_iter().flat_map(Mapping::iter).map(|(key, value)| (key, text_of(value))).collect()
    }

    /// The text of one label or annotation.
    pub(super) fn text(&self, field: &str, key: &str) -> Option<&str> {
        self.node.get("metadata")?.get(field)?.get(key).map(text_of)
    }

    /// Replaces labels or annotations; none removes the field.
    pub(super) fn set_texts(&mut self, field: &str, pairs: Vec<(String, String)>) {
        let meta = self.metadata_mut();
        meta.remove(field);
        if !pairs.is_empty() {
            let made: Vec<_> =
                pairs.into_iter().map(|(key, value)| (key.into(), Node::Scalar(careful(&value)))).collect();
            meta.insert(field, Node::Mapping(made.into()));
        }
    }

    /// Sets one annotation.
    pub(super) fn set_annotation(&mut self, key: &str, value: &str) {
        let meta = self.metadata_mut();
        if meta.get("annotations").is_none_or(|annotations| annotations.as_mapping().is_none()) {
            meta.insert("annotations", Node::Mapping(Mapping::default()));
        }
        if let Some(annotations) = meta.get_mut("annotations").and_then(Node::as_mapping_mut) {
            set_field(annotations, key, Scalar::new(value, Tag::Str));
        }
    }

    /// Makes room for annotations where kustomize keeps notes of its own as annotations, so that they exist.
    pub(super) fn admit_annotations(&mut self) {
        let is_noted = !self.former.is_empty() || !self.prefixes.is_empty() || !self.suffixes.is_empty();
        if (is_noted || self.needs_hash)
            && self.node.get("metadata").is_some_and(|meta| meta.get("annotations").is_none())
        {
            self.metadata_mut().insert("annotations", Node::Mapping(Mapping::default()));
        }
    }

    /// Whether nothing is left of it.
    pub(super) fn is_empty(&self) -> bool {
        self.node.is_empty()
    }
}

/// The raw text of a value, as the build reads labels: empty for lists and mappings.
pub(super) fn text_of(node: &Node) -> &str {
    node.as_scalar().map_or("", |scalar| &scalar.text)
}

/// Sets a field to a scalar, keeping the style that is there.
pub(super) fn set_field(mapping: &mut Mapping, key: &str, scalar: Scalar) {
    match mapping.get_mut(key) {
        Some(Node::Scalar(old)) => overwrite(old, scalar),
        Some(old) => *old = Node::Scalar(scalar),
        None => {
            let style = match scalar.tag {
                Tag::Str | Tag::Unset => careful(&scalar.text).style,
                _ => scalar.style,
            };
            mapping.0.push((key.into(), Node::Scalar(Scalar { style, ..scalar })));
        }
    }
}

/// Text as it is put into a new field: in quotes when it looks like something else. What is merged over it later keeps
/// the quotes.
pub(super) fn careful(text: &str) -> Scalar {
    let style = if looks_typed(text) { Style::Double } else { Style::Plain };
    Scalar { style, ..Scalar::new(text, Tag::Str) }
}

/// Writes a scalar over another in place: its style and its links stay.
pub(super) fn overwrite(old: &mut Scalar, new: Scalar) {
    *old = Scalar { style: old.style, explicit: old.explicit, link: old.link, ..new };
}

/// Whether a YAML 1.1 reader would take the text for something else: another type, or a document of its own.
fn looks_typed(text: &str) -> bool {
    !text.is_empty() && !text.contains('\n') && (yaml::is_typed(text) || is_document(text))
}

/// Whether text reads as a list, a mapping, a tagged value or nothing, such as `a: b`, `[x]`, `- x` and `# x`.
fn is_document(text: &str) -> bool {
    let trimmed = text.trim_start();
    let starts = trimmed.starts_with(['[', '{', '#', '!', '&']) || trimmed.starts_with("- ") || trimmed == "-";
    if !starts && !text.contains(": ") && !text.ends_with(':') && !trimmed.starts_with("? ") {
        return trimmed.is_empty();
    }
    match yaml::read_nodes(text.as_bytes(), &yaml::Limits::default()).as_deref() {
        Ok([]) => true,
        Ok([first, ..]) => !matches!(&first.node, Node::Scalar(Scalar { tag: Tag::Str, .. })),
        Err(_) => false,
    }
}
