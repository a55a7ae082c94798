//! `componentstatuses`: what a cluster has beside its API, and what of it is in here. Read, never stored.
//!
//! The kind is deprecated, but old clients look at it to know whether they speak to a whole cluster: they get the truth.
//! Start with [`answer`].

use serde_json::{Value, json};

use super::Core;
use super::answer::{self, Answer};
use super::catalog::Resource;
use super::cells;
use super::columns::{Column, NAME, text};
use super::read;
use super::request::Request;
use super::status::Failure;
use super::table;
use super::view::{self, Form};

const DEPRECATED: &str = "v1 ComponentStatus is deprecated in v1.19+";

/// What `kubectl get` shows of one.
pub const COLUMNS: &[Column] = &[
    NAME,
    text("Status", |o, _| if o["conditions"][0]["status"] == "True" { "Healthy" } else { "Unhealthy" }.into()),
    text("Message", |o, _| o["conditions"][0]["message"].clone()),
    text("Error", |o, _| cells::or(&o["conditions"][0]["error"], "")),
];

/// Answers one component or all of them.
///
/// Errors with 404 for one that is not known, 405 for anything but reading.
pub fn answer(core: &Core, resource: &Resource, name: &str, request: &Request) -> Result<Answer, Failure> {
    if request.method != http::Method::GET {
        return Err(Failure::method_not_allowed("the server does not allow this method on the requested resource"));
    }
    if request.flag("watch") && name.is_empty() {
        return Err(Failure::method_not_allowed("watch is not supported on resources of kind \"componentstatuses\""));
    }
    let form = Form::negotiate(request.header("accept"))?;
    let all = components(core.store.trouble().as_deref());
    let mut found = if name.is_empty() {
        list(core, resource, form, &all, request)
    } else {
        let one = all.iter().find(|component| component["metadata"]["name"] == name);
        let one = one.ok_or_else(|| Failure::not_found("componentstatus", "", name))?;
        read::one(core, resource, form, 200, one, request)
    };
    answer::warn(&mut found, &[DEPRECATED.to_string()]);
    Ok(found)
}

fn list(core: &Core, resource: &Resource, form: Form, all: &[Value], request: &Request) -> Answer {
    let revision = core.store.read().revision.to_string();
    let metadata = json!({"resourceVersion": revision});
    match form {
        Form::Table => {
            let include = table::Include::of(request.text("includeObject"));
            let mut table = table::table(resource, all, include, (core.now)());
            table["metadata"] = metadata;
            answer::value(200, Form::Json, &table)
        }
        Form::Metadata => {
            let items: Vec<Value> = all.iter().map(view::metadata_only).collect();
            let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata, "items": items});
            answer::value(200, Form::Json, &list)
        }
        form => {
            let list = json!({"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": metadata, "items": all});
            answer::value(200, form, &list)
        }
    }
}

fn components(trouble: Option<&str>) -> Vec<Value> {
    let component = |name: &str, healthy: bool, message: &str| {
        json!({"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions":
            [{"type": "Healthy", "status": if healthy { "True" } else { "False" }, "message": message}]})
    };
    vec![
        component("scheduler", false, "the embedded API schedules no pods; its workloads are simulated"),
        component("controller-manager", true, "ok: garbage, namespaces and definitions are seen to in this process"),
        component("store", trouble.is_none(), trouble.unwrap_or("ok")),
    ]
}
