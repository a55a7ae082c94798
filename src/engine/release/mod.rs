//! Helm's release records: one revision of a release, as `helm` itself reads and writes it.
//!
//! Pure: documents of Secrets in, records out, and the reverse. What cannot be read is an error that names the Secret,
//! never an absence. Start with [`Record`] and [`Record::from_secret`]; `digest` has what Flux keeps of a
//! record.
//! Source: helm pkg/release/v1, pkg/storage/driver (secrets.go, util.go).

mod digest;
mod hidden;
mod stored;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::base::yaml;

pub use digest::{config_digest, document_digest, observed_digest, time_of_snapshot};
pub use hidden::{Hidden, Paths, paths, texts};
pub use stored::stored_chart;

/// The type of the Secrets that hold records.
pub const SECRET_TYPE: &str = "helm.sh/release.v1";
/// The labels that Helm itself writes.
const SYSTEM_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];
/// What a record may unpack to.
const RECORD_BYTES: u64 = 128 << 20;

/// Where a release stands. Source: helm pkg/release/common/status.go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Deployed,
    Uninstalled,
    Superseded,
    Failed,
    Uninstalling,
    PendingInstall,
    PendingUpgrade,
    PendingRollback,
    #[default]
    #[serde(other)]
    Unknown,
}

impl Status {
    /// The word in records and labels.
    pub fn word(self) -> &'static str {
        match self {
            Status::Unknown => "unknown",
            Status::Deployed => "deployed",
            Status::Uninstalled => "uninstalled",
            Status::Superseded => "superseded",
            Status::Failed => "failed",
            Status::Uninstalling => "uninstalling",
            Status::PendingInstall => "pending-install",
            Status::PendingUpgrade => "pending-upgrade",
            Status::PendingRollback => "pending-rollback",
        }
    }

    /// The status of a word; what is not known is `Unknown`.
    pub fn of(word: &str) -> Status {
        serde_json::from_value(word.into()).unwrap_or_default()
    }

    /// Somebody works on it, or died over it.
    pub fn is_pending(self) -> bool {
        matches!(self, Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback)
    }
}

/// One revision of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    pub name: String,
    pub info: Info,
    /// The chart as Helm stores it: metadata, templates, values, files.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub chart: Value,
    /// The values given by the user.
    #[serde(skip_serializing_if = "Map::is_empty", deserialize_with = "or_default")]
    pub config: Map<String, Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub hooks: Vec<Hook>,
    pub version: i64,
    pub namespace: String,
    /// `ssa`, `csa`, or empty for `csa`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub apply_method: String,
    /// Where the values are that Secrets gave; `None` where nobody wrote it down. Weir's own: Helm passes over it.
    #[serde(rename = "weirSecretValues", skip_serializing_if = "Option::is_none")]
    pub secret_values: Option<Paths>,
    /// Labels of the Secret that are not Helm's own.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
}

/// What happened to a release, and when (RFC 3339).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    #[serde(skip_serializing_if = "is_no_time", deserialize_with = "or_default")]
    pub first_deployed: String,
    #[serde(skip_serializing_if = "is_no_time", deserialize_with = "or_default")]
    pub last_deployed: String,
    #[serde(skip_serializing_if = "is_no_time", deserialize_with = "or_default")]
    pub deleted: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub status: Status,
    #[serde(skip_serializing_if = "is_zero")]
    pub rollback_revision: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// A manifest that runs at a moment of a release's life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub events: Vec<String>,
    pub last_run: Execution,
    #[serde(skip_serializing_if = "is_zero")]
    pub weight: i64,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub delete_policies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub output_log_policies: Vec<String>,
}

/// The last run of a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Execution {
    #[serde(skip_serializing_if = "is_no_time", deserialize_with = "or_default")]
    pub started_at: String,
    #[serde(skip_serializing_if = "is_no_time", deserialize_with = "or_default")]
    pub completed_at: String,
    /// Empty, Unknown, Running, Succeeded or Failed.
    pub phase: String,
}

/// The event of hooks that are tests.
pub const TEST: &str = "test";

impl Hook {
    pub fn runs_at(&self, event: &str) -> bool {
        self.events.iter().any(|known| known == event)
    }

    pub fn is_test(&self) -> bool {
        self.runs_at(TEST)
    }
}

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the release record {secret} cannot be read: {why}")]
pub struct RecordError {
    pub secret: String,
    pub why: String,
}

/// The name of the Secret of a revision.
pub fn secret_name(release: &str, version: i64) -> String {
    format!("sh.helm.release.v1.{release}.v{version}")
}

impl Record {
    /// The record as a Secret. `moment` is the label of the write (`createdAt` or `modifiedAt`) and its Unix time.
    ///
    /// Errors when it cannot be packed, which only memory can cause.
    pub fn to_secret(&self, storage_namespace: &str, moment: (&str, i64)) -> Result<Value, RecordError> {
        let mut labels = self.labels.clone();
        labels.insert(moment.0.into(), moment.1.to_string());
        labels.insert("name".into(), self.name.clone());
        labels.insert("owner".into(), "helm".into());
        labels.insert("status".into(), self.info.status.word().into());
        labels.insert("version".into(), self.version.to_string());
        let name = secret_name(&self.name, self.version);
        let failed = |why: String| RecordError { secret: name.clone(), why };
        let text = serde_json::to_vec(self).map_err(|error| failed(error.to_string()))?;
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        let packed =
            packer.write_all(&text).and_then(|()| packer.finish()).map_err(|error| failed(error.to_string()))?;
        let engine = &base64::engine::general_purpose::STANDARD;
        Ok(json!({"apiVersion": "v1", "kind": "Secret", "type": SECRET_TYPE,
            "metadata": {"name": name, "namespace": storage_namespace, "labels": labels},
            "data": {"release": engine.encode(engine.encode(packed))}}))
    }

    /// The record in a Secret.
    ///
    /// Errors with what is wrong with it: a record that cannot be read is never taken for one that is not there.
    pub fn from_secret(secret: &Value) -> Result<Record, RecordError> {
        let name = secret.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let failed = |why: &str| RecordError { secret: name.to_owned(), why: why.to_owned() };
        let data = secret.pointer("/data/release").and_then(Value::as_str);
        let data = data.ok_or_else(|| failed("it has no key `release`"))?;
        let engine = &base64::engine::general_purpose::STANDARD;
        let once = engine.decode(data).map_err(|_| failed("its data is not base64"))?;
        let packed = engine.decode(once).map_err(|_| failed("its content is not base64"))?;
        let text = if packed.starts_with(&[0x1f, 0x8b, 0x08]) {
            let mut text = Vec::new();
            let mut reader = GzDecoder::new(packed.as_slice()).take(RECORD_BYTES + 1);
            reader.read_to_end(&mut text).map_err(|_| failed("its content cannot be unpacked"))?;
            text
        } else {
            packed
        };
        if text.len() as u64 > RECORD_BYTES {
            return Err(failed("it unpacks to more than a release can be"));
        }
        let mut record: Record =
            serde_json::from_slice(&text).map_err(|error| failed(&format!("its content is no release: {error}")))?;
        if record.name.is_empty() || record.version < 1 {
            return Err(failed("its content is no release: it has no name or version"));
        }
        record.labels = own_labels(secret);
        Ok(record)
    }

    /// What a stored chart says of itself.
    pub fn chart_field(&self, field: &str) -> &str {
        self.chart
            .pointer("/metadata")
            .and_then(|metadata| metadata.get(field))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The manifests of all hooks, as one.
    pub fn hook_manifests(&self) -> String {
        let manifests: Vec<&str> = self.hooks.iter().map(|hook| hook.manifest.as_str()).collect();
        manifests.join("\n---\n")
    }

    /// The values of the user over the defaults of the chart.
    pub fn merged_values(&self) -> Map<String, Value> {
        let mut all = self.chart.get("values").and_then(Value::as_object).cloned().unwrap_or_default();
        lay_over(&mut all, &self.config);
        all
    }
}

/// Map by map; a null removes what is below.
fn lay_over(all: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (all.get_mut(key), value) {
            (_, Value::Null) => drop(all.shift_remove(key)),
            (Some(Value::Object(old)), Value::Object(new)) => lay_over(old, new),
            _ => drop(all.insert(key.clone(), value.clone())),
        }
    }
}

/// The labels of a Secret that are not Helm's own.
fn own_labels(secret: &Value) -> BTreeMap<String, String> {
    let labels = secret.pointer("/metadata/labels").and_then(Value::as_object);
    let own = labels.into_iter().flatten().filter(|(key, _)| !SYSTEM_LABELS.contains(&key.as_str()));
    own.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Go writes `null` where it has nothing.
fn or_default<'de, D, T>(reader: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(reader)?.unwrap_or_default())
}

/// Go's zero time counts as none.
fn is_no_time(text: &str) -> bool {
    text.is_empty() || text == "0001-01-01T00:00:00Z"
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The documents of a manifest, lists taken apart.
///
/// Errors when it is no YAML.
pub fn documents(manifest: &str) -> Result<Vec<Value>, String> {
    let read = yaml::read_as(manifest.as_bytes(), &yaml::Limits::default(), yaml::Dialect::Lenient);
    let read = read.map_err(|error| format!("the manifest cannot be read: {error}"))?;
    let mut all = Vec::new();
    for mut document in read.into_iter().map(|document| document.value).filter(Value::is_object) {
        let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        match document.get_mut("items").filter(|_| is_list).map(Value::take) {
            Some(Value::Array(items)) => all.extend(items),
            _ => all.push(document),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            name: "web".into(),
            info: Info { last_deployed: "2026-01-02T03:04:05.5Z".into(), status: Status::Deployed, ..Info::default() },
            chart: json!({"metadata": {"name": "app", "version": "1.2.3"}, "values": {"a": 1, "b": {"c": 2}}}),
            config: json!({"b": {"c": null, "d": 3}}).as_object().unwrap().clone(),
            manifest: "---\n# Source: app/templates/a.yaml\nkind: ConfigMap\n".into(),
            version: 3,
            namespace: "prod".into(),
            apply_method: "ssa".into(),
            labels: [("team".to_owned(), "shop".to_owned())].into(),
            ..Record::default()
        }
    }

    #[test]
    fn a_record_goes_into_a_secret_and_comes_back() {
        let secret = record().to_secret("store", ("createdAt", 7)).unwrap();
        assert_eq!(secret["metadata"]["name"], "sh.helm.release.v1.web.v3");
        assert_eq!(
            secret["metadata"]["labels"],
            json!({"createdAt": "7", "name": "web", "owner": "helm", "status": "deployed", "team": "shop", "version": "3"})
        );
        assert_eq!(Record::from_secret(&secret).unwrap(), record());
    }

    #[test]
    fn what_is_no_record_says_what_is_wrong() {
        let why = |data: Value| {
            Record::from_secret(&json!({"metadata": {"name": "s"}, "data": data})).unwrap_err().to_string()
        };
        let packed = |bytes: &[u8]| {
            let engine = &base64::engine::general_purpose::STANDARD;
            json!({"release": engine.encode(engine.encode(bytes))})
        };
        assert_eq!(why(json!({})), "the release record s cannot be read: it has no key `release`");
        assert!(why(json!({"release": "?"})).contains("not base64"));
        assert!(why(packed(&[0x1f, 0x8b, 0x08, 0, 1])).contains("cannot be unpacked"));
        assert!(why(packed(b"{}")).contains("no name"));
        assert!(why(packed(b"[")).contains("no release"));
        let whole = record().to_secret("store", ("createdAt", 7)).unwrap();
        let engine = &base64::engine::general_purpose::STANDARD;
        let bytes = engine.decode(engine.decode(whole["data"]["release"].as_str().unwrap()).unwrap()).unwrap();
        assert!(why(packed(&bytes[..bytes.len() / 2])).contains("cannot be unpacked"));
    }

    #[test]
    fn go_may_leave_out_or_null_what_is_empty() {
        let text = json!({"name": "a", "version": 1, "config": null, "hooks": null, "info": {"status": "superseded",
            "first_deployed": "", "deleted": null}});
        let record: Record = serde_json::from_value(text).unwrap();
        assert_eq!((record.info.status, record.info.deleted.as_str()), (Status::Superseded, ""));
        assert_eq!(serde_json::to_value(&record).unwrap()["info"], json!({"status": "superseded"}));
    }

    #[test]
    fn values_of_the_user_lie_over_those_of_the_chart() {
        assert_eq!(Value::Object(record().merged_values()), json!({"a": 1, "b": {"d": 3}}));
        assert!(Status::of("pending-upgrade").is_pending() && Status::of("whatever") == Status::Unknown);
    }

    #[test]
    fn lists_are_taken_apart() {
        let found = documents("---\nkind: List\nitems:\n- kind: A\n- kind: B\n---\n# nothing\n---\nkind: C\n").unwrap();
        let kinds: Vec<&str> = found.iter().filter_map(|document| document["kind"].as_str()).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
    }
}
