//! [`Schema`]: which lists merge by which keys, and which kinds are cluster-scoped.
//!
//! Source: the OpenAPI of Kubernetes 1.21.2 that kustomize 5.8 carries, reduced to what deviates (`schema.txt`), or
//! the definitions that `openapi.path` names, which then replace it.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

use serde_json::Value;

/// The types of objects. The built-in ones are made when first asked for, since most builds merge nothing.
#[derive(Default)]
pub(in crate::engine) struct Schema {
    table: OnceCell<Table>,
    /// Scope of kinds that a custom schema names: namespaced or not.
    scopes: HashMap<(String, String), bool>,
    /// Whether the scope of a kind was asked for that is not built in.
    was_asked: Cell<bool>,
}

/// Types with merging lists, and which objects have them.
#[derive(Default)]
struct Table {
    types: Vec<Type>,
    objects: HashMap<(String, String), usize>,
}

#[derive(Default)]
struct Type {
    fields: Vec<(String, Field)>,
    /// What the values of a free-form mapping are.
    values: Option<Field>,
}

/// A field: what it holds, and how it merges.
#[derive(Clone, Default)]
pub(in crate::engine) struct Field {
    target: Option<usize>,
    list: bool,
    /// Elements merge: by these keys, or as plain values when there are none.
    pub merge: Option<Vec<String>>,
    /// When a key of it changes, those that are not wanted go: it is a choice of one of several.
    pub retain: bool,
}

impl Field {
    /// The place of an element of this list.
    pub(in crate::engine) fn element(&self) -> At<'static> {
        self.target.map_or(At::Unknown, At::Object)
    }
}

/// A place in the schema while walking a document.
#[derive(Clone, Copy)]
pub(in crate::engine) enum At<'s> {
    Unknown,
    Object(usize),
    List(&'s Field),
}

impl Table {
    fn builtin() -> Self {
        let mut schema = Table::default();
        let mut names: HashMap<&str, usize> = HashMap::new();
        let lines = || include_str!("schema.txt").lines().filter(|line| !line.starts_with('#'));
        for (number, line) in lines().filter(|line| !line.starts_with('@')).enumerate() {
            names.insert(line.split(' ').next().unwrap_or_default(), number);
        }
        for line in lines() {
            let mut words = line.split(' ');
            let first = words.next().unwrap_or_default();
            if first == "@" {
                if let (Some(api), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) {
                    schema.objects.insert((api.into(), kind.into()), names[name]);
                }
                continue;
            }
            let mut made = Type::default();
            for word in words {
                let (name, target) = word.split_once('=').map_or((word, None), |(name, target)| (name, Some(target)));
                let target = target.and_then(|target| names.get(target).copied());
                let (name, keys) = name.split_once('*').map_or((name, None), |(name, keys)| (name, Some(keys)));
                let merge = keys.map(|keys| keys.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect());
                let (name, retain) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
                let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
                let field = Field { target, list: is_list || merge.is_some(), merge, retain };
                match name {
                    "{}" => made.values = Some(field),
                    name => made.fields.push((name.into(), field)),
                }
            }
            schema.types.push(made);
        }
        schema
    }

    /// Adds the definitions of a document.
    fn add(mut self, document: &Value) -> Self {
        let schema = &mut self;
        let empty = serde_json::Map::new();
        let definitions = document.get("definitions").and_then(Value::as_object).unwrap_or(&empty);
        let names: HashMap<&str, usize> =
            definitions.keys().enumerate().map(|(at, name)| (name.as_str(), schema.types.len() + at)).collect();
        schema.types.resize_with(schema.types.len() + definitions.len(), Type::default);
        for (name, definition) in definitions {
            let number = names[name.as_str()];
            schema.define(number, definition, &names, 0);
            for gvk in definition.get("x-kubernetes-group-version-kind").and_then(Value::as_array).into_iter().flatten()
            {
                if let Some(key) = type_meta(gvk) {
                    schema.objects.insert(key, number);
                }
            }
        }
        self
    }

    fn define(&mut self, number: usize, definition: &Value, names: &HashMap<&str, usize>, depth: usize) {
        if depth > 64 {
            return;
        }
        let mut made = Type::default();
        for (name, property) in definition.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let field = self.field(property, names, depth);
            made.fields.push((name.clone(), field));
        }
        if let Some(values) = definition.get("additionalProperties").filter(|values| values.is_object()) {
            made.values = Some(self.field(values, names, depth));
        }
        self.types[number] = made;
    }

    fn field(&mut self, property: &Value, names: &HashMap<&str, usize>, depth: usize) -> Field {
        let text = |key: &str| property.get(key).and_then(Value::as_str);
        let strategy = |wanted: &str| {
            text("x-kubernetes-patch-strategy").is_some_and(|all| all.split(',').any(|strategy| strategy == wanted))
        };
        let merge = strategy("merge");
        let items = property.get("items");
        let list = text("type") == Some("array") && items.is_some();
        let keys = || match property.get("x-kubernetes-list-map-keys").and_then(Value::as_array) {
            Some(keys) => keys.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => text("x-kubernetes-patch-merge-key").map(str::to_owned).into_iter().collect(),
        };
        let merge = merge.then(keys);
        let inner = if list { items.unwrap_or(property) } else { property };
        let target = match inner.get("$ref").and_then(Value::as_str) {
            Some(reference) => names.get(reference.trim_start_matches("#/definitions/")).copied(),
            None if inner.get("properties").is_some()
                || inner.get("additionalProperties").is_some_and(Value::is_object) =>
            {
                self.types.push(Type::default());
                let number = self.types.len() - 1;
                self.define(number, inner, names, depth + 1);
                Some(number)
            }
            None => None,
        };
        Field { target, list, merge, retain: strategy("retainKeys") }
    }
}

impl Schema {
    /// Reads the definitions of an OpenAPI 2 document, which replace the built-in ones or add to them.
    pub(in crate::engine) fn custom(document: &Value, adds: bool) -> Self {
        let base = if adds { Table::builtin() } else { Table::default() };
        let mut schema = Schema { table: OnceCell::from(base.add(document)), ..Schema::default() };
        for (path, methods) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
            let gvk = methods.pointer("/get/x-kubernetes-group-version-kind").and_then(type_meta);
            if let Some(key) = gvk {
                let namespaced = path.contains("namespaces/{namespace}");
                let scope = schema.scopes.entry(key).or_insert(namespaced);
                *scope |= namespaced;
            }
        }
        schema
    }

    /// Whether kustomize would have read this schema by now, so that one that comes later adds to it.
    pub(in crate::engine) fn is_in_use(&self) -> bool {
        self.was_asked.get() || self.table.get().is_some()
    }

    fn table(&self) -> &Table {
        self.table.get_or_init(Table::builtin)
    }

    /// The place of a whole object.
    pub(in crate::engine) fn object(&self, api_version: &str, kind: &str) -> At<'_> {
        match self.table().objects.get(&(api_version.to_owned(), kind.to_owned())) {
            Some(number) => At::Object(*number),
            None => At::Unknown,
        }
    }

    /// A field of a place, if it is known.
    pub(in crate::engine) fn field(&self, at: At<'_>, name: &str) -> Option<&Field> {
        let At::Object(number) = at else { return None };
        let made = &self.table().types[number];
        made.fields.iter().find(|(field, _)| field == name).map(|(_, field)| field).or(made.values.as_ref())
    }

    /// The place of a field.
    pub(in crate::engine) fn field_of(&self, at: At<'_>, name: &str) -> At<'_> {
        match self.field(at, name) {
            Some(field) if field.list => At::List(field),
            Some(Field { target: Some(target), .. }) => At::Object(*target),
            _ => At::Unknown,
        }
    }

    /// Whether a kind is known to be cluster-scoped.
    pub(in crate::engine) fn is_cluster_scoped(&self, api_version: &str, kind: &str) -> bool {
        if let Some(scoped) = builtin_scope(api_version, kind) {
            return scoped;
        }
        self.was_asked.set(true);
        !self.scopes.is_empty() && self.scopes.get(&(api_version.to_owned(), kind.to_owned())) == Some(&false)
    }
}

fn type_meta(gvk: &Value) -> Option<(String, String)> {
    let text = |key: &str| gvk.get(key).and_then(Value::as_str);
    let version = text("version")?;
    let api_version = match text("group") {
        None | Some("") => version.to_owned(),
        Some(group) => format!("{group}/{version}"),
    };
    Some((api_version, text("kind")?.to_owned()))
}

/// Whether a built-in kind is cluster-scoped; `None` for kinds that are not built in.
fn builtin_scope(api_version: &str, kind: &str) -> Option<bool> {
    const V1: &[&str] = &["v1"];
    const BOTH: &[&str] = &["v1", "v1beta1"];
    const BETA: &[&str] = &["v1beta1"];
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let (cluster, versions): (bool, &[&str]) = match (group, kind) {
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration")
        | ("apiextensions.k8s.io", "CustomResourceDefinition")
        | ("apiregistration.k8s.io", "APIService")
        | ("certificates.k8s.io", "CertificateSigningRequest")
        | ("networking.k8s.io", "IngressClass")
        | ("node.k8s.io", "RuntimeClass")
        | ("rbac.authorization.k8s.io", "ClusterRole" | "ClusterRoleBinding")
        | ("scheduling.k8s.io", "PriorityClass")
        | ("storage.k8s.io", "CSIDriver" | "CSINode" | "StorageClass" | "VolumeAttachment") => (true, BOTH),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema" | "PriorityLevelConfiguration")
        | ("policy", "PodSecurityPolicy") => (true, BETA),
        ("", "ComponentStatus" | "Namespace" | "Node" | "NodeProxyOptions" | "PersistentVolume") => (true, V1),
        ("apps", "ControllerRevision" | "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet") => (false, V1),
        ("autoscaling", "HorizontalPodAutoscaler") => (false, &["v1", "v2beta1", "v2beta2"]),
        ("autoscaling", "Scale") | ("batch", "Job") | ("networking.k8s.io", "NetworkPolicy") => (false, V1),
        ("batch", "CronJob")
        | ("coordination.k8s.io", "Lease")
        | ("discovery.k8s.io", "EndpointSlice")
        | ("events.k8s.io", "Event")
        | ("networking.k8s.io", "Ingress")
        | ("policy", "PodDisruptionBudget")
        | ("rbac.authorization.k8s.io", "Role" | "RoleBinding") => (false, BOTH),
        ("extensions", "Ingress") | ("storage.k8s.io", "CSIStorageCapacity") => (false, BETA),
        (
            "",
            "ConfigMap"
            | "Endpoints"
            | "Event"
            | "LimitRange"
            | "PersistentVolumeClaim"
            | "Pod"
            | "PodAttachOptions"
            | "PodExecOptions"
            | "PodPortForwardOptions"
            | "PodProxyOptions"
            | "PodTemplate"
            | "ReplicationController"
            | "ResourceQuota"
            | "Secret"
            | "Service"
            | "ServiceAccount"
            | "ServiceProxyOptions",
        ) => (false, V1),
        _ => return None,
    };
    versions.contains(&version).then_some(cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_merge_by_name_and_their_ports_by_number_and_protocol() {
        let schema = Schema::default();
        let mut at = schema.object("apps/v1", "Deployment");
        for name in ["spec", "template", "spec"] {
            at = schema.field_of(at, name);
        }
        let At::List(containers) = schema.field_of(at, "containers") else { panic!("no list") };
        assert_eq!(containers.merge.as_deref(), Some(&["name".to_owned()][..]));
        let At::List(ports) = schema.field_of(containers.element(), "ports") else { panic!("no list") };
        assert_eq!(ports.merge.as_deref(), Some(&["containerPort".to_owned(), "protocol".to_owned()][..]));
        assert!(matches!(schema.field_of(at, "nodeSelector"), At::Unknown));
        assert!(schema.is_cluster_scoped("v1", "Namespace") && !schema.is_cluster_scoped("v1", "Pod"));
    }
}
