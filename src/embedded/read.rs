//! GET and LIST: one object, or many with selectors, pages and revisions.
//!
//! Reads the store and never changes it. Start with [`get`] and [`list`].

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Core;
use super::answer::{self, Answer};
use super::catalog::Resource;
use super::object::{Key, Stored};
use super::request::Request;
use super::select::{Fields, Labels, field_text};
use super::status::{Failure, cause};
use super::table;
use super::view::{self, Form};

/// Which objects of a kind are meant.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub labels: Labels,
    pub fields: Fields,
}

impl Selection {
    /// Reads both selectors of a request.
    ///
    /// Errors with 400 when one cannot be read or names a field that cannot be selected by.
    pub fn of(resource: &Resource, request: &Request) -> Result<Selection, Failure> {
        let labels = Labels::parse(request.text("labelSelector")).map_err(Failure::bad_request)?;
        let fields = Fields::parse(request.text("fieldSelector")).map_err(Failure::bad_request)?;
        for path in fields.paths() {
            let always = path == "metadata.name" || path == "metadata.namespace";
            if !always && !resource.fields.iter().any(|known| known == path) {
                return Err(Failure::bad_request(format!("field label not supported: {path}")));
            }
        }
        Ok(Selection { labels, fields })
    }

    /// Whether an object is meant.
    pub fn takes(&self, resource: &Resource, key: &Key, object: &Stored) -> bool {
        if !self.labels.matches(|label| object.label(label)) {
            return false;
        }
        if self.fields.is_empty() {
            return true;
        }
        let value = if self.fields.only_identity() { Value::Null } else { view::value(resource, object) };
        self.fields.matches(|path| match path {
            "metadata.name" => key.name.to_string(),
            "metadata.namespace" => key.namespace.to_string(),
            "source" => field_text(&value, "source.component"),
            path => field_text(&value, path),
        })
    }

    /// Whether everything is meant.
    pub fn is_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// Answers one object.
pub fn get(core: &Core, resource: &Resource, key: &Key, request: &Request) -> Result<Answer, Failure> {
    let form = Form::negotiate(request.header("accept"))?;
    let found = core.store.read().get(key).cloned();
    let stored = found.ok_or_else(|| Failure::not_found(&resource.plural, &resource.group, &key.name))?;
    if form == Form::Json {
        let mut out = Vec::with_capacity(stored.json().len() + 16);
        view::write(resource, &stored, false, &mut out);
        return Ok(answer::json_text(out));
    }
    let object = view::value(resource, &stored);
    Ok(one(core, resource, form, 200, &object, request))
}

/// Answers one object that is at hand as a value.
pub fn one(core: &Core, resource: &Resource, form: Form, code: u16, object: &Value, request: &Request) -> Answer {
    match form {
        Form::Table => {
            let include = table::Include::of(request.text("includeObject"));
            let revision = object["metadata"]["resourceVersion"].clone();
            let table = table::table(resource, [object], include, (core.now)());
            answer::value(code, Form::Json, &table_with(table, json!({"resourceVersion": revision})))
        }
        Form::Metadata => answer::value(code, Form::Json, &view::metadata_only(object)),
        form => answer::value(code, form, object),
    }
}

fn table_with(mut table: Value, metadata: Value) -> Value {
    table["metadata"] = metadata;
    table
}

/// Where a list stands: its revision and what to skip.
struct Page {
    revision: u64,
    after: Option<(String, String)>,
}

/// One page of a list.
pub struct Found {
    pub objects: Vec<(Key, Arc<Stored>)>,
    pub metadata: Value,
}

/// Finds one page.
///
/// Errors with 400 for broken options, 410 for an expired page, 504 for a revision that is not there yet.
pub fn find(
    core: &Core,
    resource: &Resource,
    namespace: &str,
    selection: &Selection,
    request: &Request,
) -> Result<Found, Failure> {
    let limit = request.number("limit")?.unwrap_or(0) as usize;
    let state = core.store.read();
    let page = page(request, state.revision, || state.ripe(core.dial.watch_lag()))?;
    let all = state
        .list_at(&resource.storage, namespace, page.revision)
        .map_err(|_| expired_page(page.after.is_some(), state.revision, request))?;
    drop(state);
    let start = page.after.as_ref().map_or(0, |(ns, name)| {
        all.partition_point(|(key, _)| (key.namespace.as_ref(), key.name.as_ref()) <= (ns.as_str(), name.as_str()))
    });
    let mut objects = Vec::new();
    let mut rest = all.into_iter().skip(start).filter(|(key, object)| selection.takes(resource, key, object));
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if limit == 0 {
        objects.extend(rest);
    } else {
        objects.extend(rest.by_ref().take(limit));
        let remaining = rest.count();
        if let (true, Some((key, _))) = (remaining > 0, objects.last()) {
            let token = json!({"v": "meta.k8s.io/v1", "rv": page.revision, "start": [key.namespace.as_ref(), key.name.as_ref()]});
            metadata["continue"] = URL_SAFE_NO_PAD.encode(token.to_string()).into();
            if selection.is_all() {
                metadata["remainingItemCount"] = remaining.into();
            }
        }
    }
    Ok(Found { objects, metadata })
}

fn page(request: &Request, newest: u64, ripe: impl FnOnce() -> u64) -> Result<Page, Failure> {
    let wanted = revision(request.text("resourceVersion"))?;
    let exact = match (request.text("resourceVersionMatch"), wanted) {
        ("", _) | ("NotOlderThan", Some(_)) => false,
        ("Exact", Some(1..)) => true,
        (other, _) => {
            let known = matches!(other, "Exact" | "NotOlderThan");
            let causes = vec![if known {
                let why = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided, and Exact \
                           is forbidden for resourceVersion \"0\"";
                cause("FieldValueForbidden", "resourceVersionMatch", why)
            } else {
                let why =
                    format!("Unsupported value: \"{other}\": supported values: \"Exact\", \"NotOlderThan\", \"\"");
                cause("FieldValueNotSupported", "resourceVersionMatch", why)
            }];
            return Err(Failure::invalid("ListOptions", "meta.k8s.io", "", causes));
        }
    };
    let token = request.text("continue");
    if !token.is_empty() {
        let broken = || Failure::bad_request("continue key is not valid: start the list again without it");
        if wanted.is_some_and(|revision| revision > 0) {
            return Err(Failure::bad_request("specifying resource version is not allowed when using continue"));
        }
        let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|_| broken())?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|_| broken())?;
        let text = |at: usize| token["start"][at].as_str().map(String::from);
        let (Some(revision), Some(ns), Some(name)) = (token["rv"].as_u64(), text(0), text(1)) else {
            return Err(broken());
        };
        return Ok(Page { revision, after: Some((ns, name)) });
    }
    match wanted {
        Some(0) => Ok(Page { revision: ripe(), after: None }),
        Some(wanted) if wanted > newest => Err(too_large(wanted, newest)),
        Some(wanted) if exact => Ok(Page { revision: wanted, after: None }),
        _ => Ok(Page { revision: newest, after: None }),
    }
}

/// Reads a resource version.
///
/// Errors with 400 when it is no number.
pub fn revision(text: &str) -> Result<Option<u64>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Failure::bad_request(format!("invalid resource version \"{text}\"")))
}

/// 504 for a revision from the future; clients retry on its cause.
pub fn too_large(wanted: u64, newest: u64) -> Failure {
    let message = format!("Too large resource version: {wanted}, current: {newest}");
    Failure::new(504, "Timeout", message)
        .with_causes(vec![cause("ResourceVersionTooLarge", "", "Too large resource version")])
        .retry_after(1)
}

fn expired_page(continued: bool, newest: u64, request: &Request) -> Failure {
    if continued {
        Failure::expired(
            "The provided continue parameter is too old to display a consistent list result. \
             You must start a new list without the continue parameter.",
        )
    } else {
        Failure::expired(format!("too old resource version: {} ({newest})", request.text("resourceVersion")))
    }
}

/// Answers a list.
pub fn list(core: &Core, resource: &Resource, namespace: &str, request: &Request) -> Result<Answer, Failure> {
    let form = Form::negotiate(request.header("accept"))?;
    let selection = Selection::of(resource, request)?;
    let found = find(core, resource, namespace, &selection, request)?;
    match form {
        Form::Json => Ok(answer::json_text(list_text(resource, &found))),
        Form::Yaml => {
            let text = list_text(resource, &found);
            let value: Value = serde_json::from_slice(&text).map_err(|e| Failure::internal(e.to_string()))?;
            Ok(answer::value(200, Form::Yaml, &value))
        }
        Form::Table => {
            let objects: Vec<Value> = found.objects.iter().map(|(_, object)| view::value(resource, object)).collect();
            let include = table::Include::of(request.text("includeObject"));
            let table = table::table(resource, &objects, include, (core.now)());
            Ok(answer::value(200, Form::Json, &table_with(table, found.metadata)))
        }
        Form::Metadata => {
            let items: Vec<Value> =
                found.objects.iter().map(|(_, object)| view::metadata_only(&object.value())).collect();
            let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": found.metadata, "items": items});
            Ok(answer::value(200, Form::Json, &list))
        }
    }
}

/// The text of a list; items of built-in kinds carry no kind and apiVersion, those of custom kinds do.
pub fn list_text(resource: &Resource, found: &Found) -> Vec<u8> {
    let size: usize = found.objects.iter().map(|(_, object)| object.json().len() + 1).sum();
    let mut out = Vec::with_capacity(size + 200);
    let (kind, version) = (Value::from(resource.list_kind.as_str()), Value::from(resource.api_version()));
    let head = format!("{{\"kind\":{kind},\"apiVersion\":{version},\"metadata\":{},\"items\":[", found.metadata);
    out.extend_from_slice(head.as_bytes());
    for (at, (_, object)) in found.objects.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        view::write(resource, object, resource.custom.is_none(), &mut out);
    }
    out.extend_from_slice(b"]}");
    out
}
