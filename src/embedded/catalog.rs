//! What is served right now: the built-in kinds and the custom ones that definitions brought.
//!
//! A snapshot, swapped as a whole when a definition changes; it never reads the store.
//! Start with [`Catalog::find`] and [`Resource`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::convert::Shape;
use super::registry::{GROUP_ORDER, ROWS, Row};
use super::schema::{self, Schema};

/// Where definitions are stored.
pub const DEFINITIONS: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// Where requests for certificates are stored.
pub const CERTIFICATES: &str = "certificates.k8s.io/certificatesigningrequests";

/// The field paths of a scale subresource, without a leading dot.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    pub replicas: String,
    pub status_replicas: String,
    pub selector: Option<String>,
}

/// A printer column of a custom resource.
#[derive(Clone, Debug, PartialEq)]
pub struct PrinterColumn {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
    pub path: String,
}

/// What only custom resources have.
#[derive(Debug)]
pub struct Custom {
    /// The name of the definition.
    pub definition: String,
    pub columns: Vec<PrinterColumn>,
    /// Why the schema could not be used, when it could not.
    pub broken: Option<String>,
    /// Objects written before this revision may not have met the schema of today.
    pub since: u64,
    /// Whether an object may have been written by another version, with another schema.
    pub is_one_of_many: bool,
}

/// One kind of one served version.
#[derive(Debug)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub list_kind: String,
    pub plural: String,
    pub singular: String,
    pub short: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// Counts generations.
    pub generation: bool,
    /// Has a status subresource.
    pub status: bool,
    pub scale: Option<Scale>,
    /// DELETE answers the object, not a `Status`.
    pub answers_object: bool,
    pub deletes_collections: bool,
    /// Answered from the state of the server: nothing of it is stored.
    pub read_only: bool,
    /// Fields that a selector may name beyond name and namespace.
    pub fields: Vec<String>,
    pub schema: Schema,
    /// Where its objects are stored; versions of one kind share it.
    pub storage: Arc<str>,
    /// How it differs from what is stored.
    pub shape: Shape,
    pub custom: Option<Custom>,
}

impl Resource {
    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    /// The subresources beside the object itself.
    pub fn subresources(&self) -> Vec<&'static str> {
        let mut all = Vec::new();
        if self.status {
            all.push("status");
        }
        if self.scale.is_some() {
            all.push("scale");
        }
        match self.storage.as_ref() {
            "/namespaces" => all.push("finalize"),
            "/pods" => all.extend(["ephemeralcontainers", "eviction"]),
            CERTIFICATES => all.push("approval"),
            _ => {}
        }
        all
    }
}

/// `apps/v1`, or `v1` for the core group.
pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_string() } else { format!("{group}/{version}") }
}

type Path = (String, String, String);

/// Everything served, by path.
#[derive(Clone, Debug)]
pub struct Catalog {
    builtin: Arc<Vec<Arc<Resource>>>,
    /// Definition name to its served versions, preferred first.
    custom: BTreeMap<String, Arc<Vec<Arc<Resource>>>>,
    by_path: HashMap<Path, Arc<Resource>>,
    /// Changes when anything served changes.
    pub digest: String,
}

impl Catalog {
    /// The built-in kinds alone.
    pub fn new() -> Catalog {
        let builtin = Arc::new(ROWS.iter().filter_map(from_row).map(Arc::new).collect::<Vec<_>>());
        let mut catalog = Catalog { builtin, custom: BTreeMap::new(), by_path: HashMap::new(), digest: String::new() };
        catalog.index("");
        catalog
    }

    /// The same with one definition added, changed or (with `None`) removed.
    pub fn with_definition(&self, name: &str, definition: Option<&Value>) -> Catalog {
        let mut next = self.clone();
        match definition {
            Some(definition) => next.custom.insert(name.to_string(), Arc::new(from_definition(definition))),
            None => next.custom.remove(name),
        };
        let content = definition.map_or_else(String::new, |d| format!("{}{}", d["spec"], d["status"]["acceptedNames"]));
        next.index(&format!("{name}{content}"));
        next
    }

    fn index(&mut self, change: &str) {
        self.by_path =
            self.all().map(|r| ((r.group.clone(), r.version.clone(), r.plural.clone()), r.clone())).collect();
        let mut hash = Sha256::new();
        hash.update(self.digest.as_bytes());
        hash.update(change.as_bytes());
        self.digest = hex::encode(hash.finalize()).to_uppercase();
    }

    /// The resource that a path names.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.by_path.get(&(group.to_string(), version.to_string(), plural.to_string()))
    }

    /// The resource in whose shape things are stored at `storage`.
    pub fn stored(&self, storage: &str) -> Option<&Arc<Resource>> {
        self.all().find(|r| r.storage.as_ref() == storage && r.shape == Shape::Same)
    }

    /// Everything, built-ins first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.builtin.iter().chain(self.custom.values().flat_map(|versions| versions.iter()))
    }

    /// Everything namespaced, each stored kind once.
    pub fn namespaced(&self) -> Vec<Arc<Resource>> {
        let mut seen = std::collections::BTreeSet::new();
        self.all()
            .filter(|r| r.namespaced && r.shape == Shape::Same && seen.insert(r.storage.clone()))
            .cloned()
            .collect()
    }

    /// Groups in the order of preference, each with its versions, best first.
    pub fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: Vec<(String, Vec<String>)> =
            GROUP_ORDER.iter().map(|g| (g.to_string(), vec!["v1".to_string()])).collect();
        groups.iter_mut().for_each(|(_, versions)| versions.clear());
        for resource in self.all() {
            let at = groups.iter().position(|(g, _)| *g == resource.group).unwrap_or_else(|| {
                groups.push((resource.group.clone(), Vec::new()));
                groups.len() - 1
            });
            if !groups[at].1.contains(&resource.version) {
                groups[at].1.push(resource.version.clone());
            }
        }
        for (group, version, ..) in super::registry::REVIEWS {
            for (_, versions) in groups.iter_mut().filter(|(g, v)| g == group && v.is_empty()) {
                versions.push(version.to_string());
            }
        }
        let known = GROUP_ORDER.len();
        groups[known..].sort();
        for (_, versions) in &mut groups {
            versions.sort_by_key(|v| std::cmp::Reverse(version_rank(v)));
        }
        groups
    }
}

/// How versions compare: `v2` over `v1` over `v1beta2` over `v1alpha1` over anything else.
///
/// Source: Kubernetes version priority.
pub fn version_rank(version: &str) -> (u8, u64, u64) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major: u64 = rest[..end].parse().ok()?;
        match &rest[end..] {
            "" => Some((3, major, 0)),
            more => {
                let (stage, minor) =
                    more.strip_prefix("beta").map(|n| (2, n)).or_else(|| more.strip_prefix("alpha").map(|n| (1, n)))?;
                Some((stage, major, minor.parse().ok()?))
            }
        }
    };
    parse().unwrap_or((0, 0, 0))
}

fn from_row(row: &Row) -> Option<Resource> {
    let storage = if row.group == "events.k8s.io" { "/events".into() } else { format!("{}/{}", row.group, row.plural) };
    let scale = row.is('c').then(|| Scale {
        replicas: "spec.replicas".into(),
        status_replicas: "status.replicas".into(),
        selector: Some("spec.selector".into()),
    });
    Some(Resource {
        group: row.group.into(),
        version: row.version.into(),
        kind: row.kind.into(),
        list_kind: format!("{}List", row.kind),
        plural: row.plural.into(),
        singular: row.kind.to_lowercase(),
        short: row.short.iter().map(|s| s.to_string()).collect(),
        categories: [('a', "all"), ('e', "api-extensions")]
            .into_iter()
            .filter(|(letter, _)| row.is(*letter))
            .map(|(_, name)| name.to_string())
            .collect(),
        namespaced: row.is('n'),
        generation: row.is('g'),
        status: row.is('s'),
        scale,
        answers_object: row.is('o'),
        deletes_collections: !row.is('d'),
        read_only: row.is('r'),
        fields: row.fields.iter().map(|f| f.to_string()).collect(),
        schema: schema::builtin(row.group, row.version, row.kind)?,
        storage: storage.into(),
        shape: Shape::of(row.group, row.version),
        custom: None,
    })
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(String::from)).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

/// The served versions of a definition; none while its names are not accepted.
fn from_definition(definition: &Value) -> Vec<Arc<Resource>> {
    let spec = &definition["spec"];
    let established = definition["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|c| c["type"] == "Established" && c["status"] == "True"));
    if !established {
        return Vec::new();
    }
    let mut versions: Vec<&Value> =
        spec["versions"].as_array().into_iter().flatten().filter(|v| v["served"] == true).collect();
    versions.sort_by_key(|v| std::cmp::Reverse(version_rank(v["name"].as_str().unwrap_or_default())));
    versions.into_iter().map(|version| Arc::new(from_version(definition, version))).collect()
}

fn from_version(definition: &Value, version: &Value) -> Resource {
    let (spec, names) = (&definition["spec"], &definition["status"]["acceptedNames"]);
    let subresources = &version["subresources"];
    let dotted = |value: &Value| value.as_str().map(|path| path.trim_start_matches('.').to_string());
    let scale = subresources["scale"].as_object().map(|scale| Scale {
        replicas: scale.get("specReplicasPath").and_then(dotted).unwrap_or_default(),
        status_replicas: scale.get("statusReplicasPath").and_then(dotted).unwrap_or_default(),
        selector: scale.get("labelSelectorPath").and_then(dotted),
    });
    let preserve = spec["preserveUnknownFields"] == true;
    let (schema, broken) = match schema::custom(version["schema"].get("openAPIV3Schema"), preserve) {
        Ok(schema) => (Some(schema), None),
        Err(causes) => (None, causes.first().map(|c| format!("{}: {}", c.field, c.message))),
    };
    // An object of a definition whose schema cannot be used is kept whole rather than pruned to nothing.
    let schema = schema.or_else(|| schema::custom(None, true).ok()).expect("the schema of anything is always valid");
    let group = text(&spec["group"]);
    let storage: Arc<str> = format!("{group}/{}", text(&names["plural"])).into();
    let columns = version["additionalPrinterColumns"].as_array().into_iter().flatten().map(|column| PrinterColumn {
        name: text(&column["name"]),
        kind: text(&column["type"]),
        format: text(&column["format"]),
        description: text(&column["description"]),
        priority: column["priority"].as_i64().unwrap_or(0),
        path: text(&column["jsonPath"]),
    });
    let fields = version["selectableFields"].as_array().into_iter().flatten().filter_map(|f| dotted(&f["jsonPath"]));
    Resource {
        group,
        version: text(&version["name"]),
        kind: text(&names["kind"]),
        list_kind: text(&names["listKind"]),
        plural: text(&names["plural"]),
        singular: text(&names["singular"]),
        short: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        generation: true,
        status: subresources["status"].is_object(),
        scale,
        answers_object: false,
        deletes_collections: true,
        read_only: false,
        fields: fields.collect(),
        schema,
        storage,
        shape: Shape::Same,
        custom: Some(Custom {
            definition: text(&definition["metadata"]["name"]),
            columns: columns.collect(),
            broken,
            since: definition["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse().ok()).unwrap_or(0),
            is_one_of_many: spec["versions"].as_array().is_some_and(|versions| versions.len() > 1),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_are_ranked_as_kubernetes_ranks_them() {
        let mut versions = vec!["foo", "v1alpha1", "v1", "v2beta1", "v10", "v1beta2", "v2"];
        versions.sort_by_key(|v| std::cmp::Reverse(version_rank(v)));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "foo"]);
    }

    #[test]
    fn every_built_in_kind_has_a_schema_and_is_served() {
        let served = Catalog::new();
        for row in ROWS {
            assert!(served.find(row.group, row.version, row.plural).is_some(), "{} {}", row.group, row.kind);
        }
    }

    #[test]
    fn a_definition_brings_and_takes_its_versions() {
        let crd = json!({"metadata": {"name": "things.x.io"}, "spec": {"group": "x.io", "scope": "Namespaced",
            "versions": [{"name": "v1beta1", "served": true}, {"name": "v1", "served": true}, {"name": "v0", "served": false}]},
            "status": {"acceptedNames": {"plural": "things", "kind": "Thing", "listKind": "ThingList"},
            "conditions": [{"type": "Established", "status": "True"}]}});
        let with = Catalog::new().with_definition("things.x.io", Some(&crd));
        assert!(with.find("x.io", "v1", "things").is_some());
        assert!(with.find("x.io", "v0", "things").is_none());
        assert!(with.groups().contains(&("x.io".into(), vec!["v1".into(), "v1beta1".into()])));
        let without = with.with_definition("things.x.io", None);
        assert!(without.find("x.io", "v1", "things").is_none());
        assert_ne!(with.digest, without.digest);
    }
}
