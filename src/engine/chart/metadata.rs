//! What `Chart.yaml` says: who the chart is and what it depends on.
//!
//! Scalars become text as Helm's decoder makes them. Start with [`Metadata`].
//! Source: helm pkg/chart/v2 (metadata.go, dependency.go).

use serde_json::{Map as JsonMap, Value as Json};

use crate::base::yaml;
use crate::engine::template::{Entries, Fields, Map, Value};

/// A chart's own description.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    pub name: String,
    pub version: String,
    pub api_version: String,
    pub app_version: String,
    pub kube_version: String,
    /// `application`, `library` or empty.
    pub kind: String,
    pub deprecated: bool,
    pub dependencies: Vec<Dependency>,
    /// The fields that only templates read.
    pub(super) raw: JsonMap<String, Json>,
}

/// One chart that a chart needs.
#[derive(Clone, Debug, Default)]
pub struct Dependency {
    pub name: String,
    pub version: String,
    pub repository: String,
    pub condition: String,
    pub tags: Vec<String>,
    pub alias: String,
    pub enabled: bool,
    pub import_values: Vec<Json>,
}

/// Text without line breaks and without what cannot be seen.
fn plain(text: String) -> String {
    if text.bytes().all(|c| (b' '..0x7f).contains(&c)) {
        return text;
    }
    let shown = |c: char| match c {
        c if c.is_whitespace() => Some(' '),
        c if c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}') =>
        {
            None
        }
        c => Some(c),
    };
    text.chars().filter_map(shown).collect()
}

/// A scalar as the text Helm's decoder makes of it.
fn scalar(value: Option<&Json>) -> String {
    match value {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Bool(bool)) => bool.to_string(),
        Some(Json::Number(number)) => match number.as_i64() {
            Some(whole) => whole.to_string(),
            None => yaml::format_float(number.as_f64().unwrap_or_default()),
        },
        _ => String::new(),
    }
}

fn texts(value: Option<&Json>) -> Vec<String> {
    value
        .and_then(Json::as_array)
        .map(|items| items.iter().map(|item| plain(scalar(Some(item)))).collect())
        .unwrap_or_default()
}

fn maintainer(json: &Json) -> Json {
    let mut all = JsonMap::new();
    for name in ["name", "email", "url"] {
        let text = plain(scalar(json.get(name)));
        if !text.is_empty() {
            all.insert(name.into(), text.into());
        }
    }
    Json::Object(all)
}

impl Dependency {
    fn read(json: &Json) -> Self {
        let field = |name: &str| plain(scalar(json.get(name)));
        Dependency {
            name: field("name"),
            version: field("version"),
            repository: field("repository"),
            condition: field("condition"),
            tags: texts(json.get("tags")),
            alias: field("alias"),
            enabled: json.get("enabled").and_then(Json::as_bool).unwrap_or_default(),
            import_values: json.get("import-values").and_then(Json::as_array).cloned().unwrap_or_default(),
        }
    }

    fn to_json(&self) -> Json {
        let mut all = JsonMap::new();
        let mut put = |name: &str, value: Json, always: bool| {
            if always || value.as_str().map_or(!value.is_null(), |text| !text.is_empty()) {
                all.insert(name.into(), value);
            }
        };
        put("name", self.name.as_str().into(), true);
        put("version", self.version.as_str().into(), false);
        put("repository", self.repository.as_str().into(), true);
        put("condition", self.condition.as_str().into(), false);
        put("tags", if self.tags.is_empty() { Json::Null } else { self.tags.clone().into() }, false);
        put("enabled", if self.enabled { true.into() } else { Json::Null }, false);
        let imports = if self.import_values.is_empty() { Json::Null } else { self.import_values.clone().into() };
        put("import-values", imports, false);
        put("alias", self.alias.as_str().into(), false);
        Json::Object(all)
    }

    fn to_value(&self) -> Value {
        let imports = self.import_values.iter().map(Value::from_document).collect();
        Value::map([
            ("Name", Value::str(&self.name)),
            ("Version", Value::str(&self.version)),
            ("Repository", Value::str(&self.repository)),
            ("Condition", Value::str(&self.condition)),
            ("Tags", Value::list(self.tags.iter().map(|tag| Value::str(tag)).collect())),
            ("Enabled", Value::Bool(self.enabled)),
            ("ImportValues", Value::list(imports)),
            ("Alias", Value::str(&self.alias)),
        ])
    }
}

impl Metadata {
    /// Reads a document over what is known already, as `requirements.yaml` is read over `Chart.yaml`.
    pub(super) fn read(&mut self, document: &Json) {
        let Some(fields) = document.as_object() else { return };
        for (key, value) in fields {
            self.raw.insert(key.clone(), value.clone());
        }
        let field = |name: &str| plain(scalar(self.raw.get(name)));
        self.name = field("name");
        self.version = field("version");
        self.api_version = field("apiVersion");
        self.app_version = field("appVersion");
        self.kube_version = field("kubeVersion");
        self.kind = field("type");
        self.deprecated = self.raw.get("deprecated").and_then(Json::as_bool).unwrap_or_default();
        if let Some(Json::Array(items)) = fields.get("dependencies") {
            self.dependencies = items.iter().filter(|item| !item.is_null()).map(Dependency::read).collect();
        }
    }

    /// The description as Helm keeps it in a release, its fields in the order of Go's struct.
    pub fn to_json(&self) -> Json {
        let mut all = JsonMap::new();
        let mut put = |name: &str, value: Json| {
            let is_empty = match &value {
                Json::Null | Json::Bool(false) => true,
                Json::String(text) => text.is_empty(),
                Json::Array(items) => items.is_empty(),
                Json::Object(fields) => fields.is_empty(),
                Json::Bool(true) | Json::Number(_) => false,
            };
            if !is_empty {
                all.insert(name.into(), value);
            }
        };
        let text = |name: &str| Json::from(plain(scalar(self.raw.get(name))));
        let list = |name: &str| Json::from(texts(self.raw.get(name)));
        let annotations = self.raw.get("annotations").and_then(Json::as_object);
        let maintainers = self.raw.get("maintainers").and_then(Json::as_array);
        put("name", self.name.as_str().into());
        put("home", text("home"));
        put("sources", list("sources"));
        put("version", self.version.as_str().into());
        put("description", text("description"));
        put("keywords", list("keywords"));
        put("maintainers", maintainers.into_iter().flatten().map(maintainer).collect());
        put("icon", text("icon"));
        put("apiVersion", self.api_version.as_str().into());
        put("condition", text("condition"));
        put("tags", text("tags"));
        put("appVersion", self.app_version.as_str().into());
        put("deprecated", self.deprecated.into());
        let plain =
            annotations.into_iter().flatten().map(|(key, value)| (key.clone(), Json::from(scalar(Some(value)))));
        put("annotations", plain.collect());
        put("kubeVersion", self.kube_version.as_str().into());
        put("dependencies", self.dependencies.iter().map(Dependency::to_json).collect());
        put("type", self.kind.as_str().into());
        Json::Object(all)
    }

    /// Whether the chart only lends templates to others.
    pub fn is_library(&self) -> bool {
        self.kind.eq_ignore_ascii_case("library")
    }

    /// `.Chart` as templates see it.
    pub(super) fn to_value(&self, is_root: bool) -> Value {
        let text = |name: &str| Value::from(plain(scalar(self.raw.get(name))));
        let list = |name: &str| Value::list(texts(self.raw.get(name)).into_iter().map(Value::from).collect());
        let annotations = match self.raw.get("annotations") {
            Some(Json::Object(fields)) => {
                let entries: Entries =
                    fields.iter().map(|(key, value)| (key.as_str().into(), scalar(Some(value)).into())).collect();
                Map::of(Fields::Strings, entries)
            }
            _ => Map::nil().retyped(Fields::Strings),
        };
        let maintainers = self.raw.get("maintainers").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let maintainer = |json: &Json| {
            let field = |name: &str| Value::from(plain(scalar(json.get(name))));
            Value::map([("Name", field("name")), ("Email", field("email")), ("URL", field("url"))])
        };
        Value::map([
            ("Name", Value::str(&self.name)),
            ("Home", text("home")),
            ("Sources", list("sources")),
            ("Version", Value::str(&self.version)),
            ("Description", text("description")),
            ("Keywords", list("keywords")),
            ("Maintainers", Value::list(maintainers.iter().map(maintainer).collect())),
            ("Icon", text("icon")),
            ("APIVersion", Value::str(&self.api_version)),
            ("Condition", text("condition")),
            ("Tags", text("tags")),
            ("AppVersion", Value::str(&self.app_version)),
            ("Deprecated", Value::Bool(self.deprecated)),
            ("Annotations", Value::Map(annotations)),
            ("KubeVersion", Value::str(&self.kube_version)),
            ("Dependencies", Value::list(self.dependencies.iter().map(Dependency::to_value).collect())),
            ("Type", Value::str(&self.kind)),
            ("IsRoot", Value::Bool(is_root)),
        ])
    }
}
