//! The way from a request to what answers it.
//!
//! Knows paths and verbs, and nothing of what they do. Start with [`route`].

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;

use super::Core;
use super::answer::{self, Answer};
use super::catalog::{Catalog, Resource};
use super::delete::{self, DeleteOptions};
use super::object::Key;
use super::request::Request;
use super::status::Failure;
use super::view::Form;
use super::write::{self, Call, Done, Patch};
use super::{components, discovery, read, review, scale, view, watch};

/// What a resource path names.
struct Target {
    resource: Arc<Resource>,
    namespace: String,
    name: String,
    subresource: String,
}

/// Answers a request.
///
/// Errors with the refusal to send.
pub async fn route(core: &Arc<Core>, request: Request) -> Result<Answer, Failure> {
    let catalog = core.store.read().catalog.clone();
    let parts: Vec<&str> = request.path.iter().map(String::as_str).collect();
    if request.method == Method::GET
        && let Some(found) = describe(core, &catalog, &parts, &request)
    {
        return found;
    }
    let target = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => target(&catalog, "", version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => target(&catalog, group, version, rest),
        _ => None,
    };
    if let Some(target) = target {
        return serve(core, target, request).await;
    }
    match parts.as_slice() {
        ["apis", group, version, rest @ ..] if request.method == Method::POST => {
            review::answer(group, version, rest, &request).unwrap_or_else(|| Err(Failure::no_such_resource()))
        }
        _ => Err(Failure::no_such_resource()),
    }
}

/// Everything that is not an object: health, version, discovery, schemas.
fn describe(core: &Core, catalog: &Catalog, parts: &[&str], request: &Request) -> Option<Result<Answer, Failure>> {
    let found = match parts {
        [] => answer::json_text(
            json!({"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}).to_string(),
        ),
        ["healthz" | "livez", ..] => answer::plain(StatusCode::OK, "ok"),
        ["readyz", ..] => match core.store.trouble() {
            None => answer::plain(StatusCode::OK, "ok"),
            Some(why) => answer::plain(StatusCode::INTERNAL_SERVER_ERROR, &why),
        },
        ["version"] => answer::json_text(version().to_string()),
        ["api"] => discovery::groups(catalog, true, request),
        ["apis"] => discovery::groups(catalog, false, request),
        ["api", version] => return Some(discovery::resources(catalog, "", version)),
        ["apis", group] => return Some(discovery::one_group(catalog, group)),
        ["apis", group, version] => return Some(discovery::resources(catalog, group, version)),
        ["openapi", "v3"] => discovery::openapi_index(catalog),
        ["openapi", "v3", "api", version] => return Some(discovery::openapi(catalog, "", version)),
        ["openapi", "v3", "apis", group, version] => return Some(discovery::openapi(catalog, group, version)),
        _ => return None,
    };
    Some(Ok(found))
}

fn version() -> serde_json::Value {
    json!({"major": "1", "minor": "37", "gitVersion": super::VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)})
}

fn target(catalog: &Catalog, group: &str, version: &str, rest: &[&str]) -> Option<Target> {
    let find = |plural: &str| catalog.find(group, version, plural).cloned();
    let make = |resource: Arc<Resource>, namespace: &str, name: &str, subresource: &[&str]| {
        Some(Target { resource, namespace: namespace.into(), name: name.into(), subresource: subresource.join("/") })
    };
    match rest {
        // `namespaces/NAME/status` is about the namespace; anything else below a name is inside of it.
        ["namespaces", name, "status" | "finalize"] if group.is_empty() => {
            make(find("namespaces")?, "", name, &rest[2..])
        }
        ["namespaces", namespace, plural, rest @ ..] => {
            let resource = find(plural).filter(|r| r.namespaced)?;
            make(resource, namespace, rest.first().copied().unwrap_or_default(), rest.get(1..).unwrap_or_default())
        }
        [plural] => make(find(plural)?, "", "", &[]),
        [plural, name, subresource @ ..] => {
            let resource = find(plural).filter(|r| !r.namespaced)?;
            make(resource, "", name, subresource)
        }
        [] => None,
    }
}

async fn serve(core: &Arc<Core>, target: Target, request: Request) -> Result<Answer, Failure> {
    let Target { resource, namespace, name, subresource } = target;
    let subresource = known_subresource(&resource, &subresource)?;
    if resource.read_only {
        return components::answer(core, &resource, &name, &request);
    }
    let key = Key::new(&resource.storage, &namespace, &name);
    let on_list = name.is_empty();
    match (request.method.as_str(), on_list, subresource) {
        ("GET", true, _) if request.flag("watch") => watch::watch(core, &resource, &namespace, &request),
        ("GET", true, _) => read::list(core, &resource, &namespace, &request),
        ("GET", false, "" | "status" | "approval" | "ephemeralcontainers") => {
            read::get(core, &resource, &key, &request)
        }
        ("GET", false, "scale") => {
            let found = core.store.read().get(&key).cloned();
            let stored = found.ok_or_else(|| Failure::not_found(&resource.plural, &resource.group, &name))?;
            Ok(answer::value(200, Form::Json, &scale::of(&resource, &view::value(&resource, &stored))?))
        }
        ("POST", true, _) if resource.namespaced && namespace.is_empty() => Err(Failure::method_not_allowed(
            "an object of this kind is created in a namespace: POST to /namespaces/NAME/...",
        )),
        ("POST", true, _)
        | ("PUT" | "PATCH", false, "" | "status" | "scale" | "finalize" | "approval" | "ephemeralcontainers")
        | ("POST", false, "eviction")
        | ("DELETE", false, "") => change(core, resource, namespace, name, subresource, request).await,
        ("DELETE", true, _) => remove_all(core, resource, namespace, request).await,
        _ => Err(Failure::method_not_allowed("the server does not allow this method on the requested resource")),
    }
}

fn known_subresource(resource: &Resource, subresource: &str) -> Result<&'static str, Failure> {
    if subresource.is_empty() {
        return Ok("");
    }
    if let Some(known) = resource.subresources().into_iter().find(|known| *known == subresource) {
        return Ok(known);
    }
    let runs_nothing = |what: &str| {
        Err(Failure::not_implemented(format!(
            "the embedded API runs no pods, so there is no {what}; its workloads are simulated"
        )))
    };
    match (resource.storage.as_ref(), subresource) {
        ("/pods", "log") => runs_nothing("log"),
        ("/pods", "exec" | "attach" | "portforward" | "proxy" | "resize" | "binding") => runs_nothing(subresource),
        ("/services" | "/nodes", _) => runs_nothing(subresource),
        ("/serviceaccounts", "token") => {
            Err(Failure::not_implemented("the embedded API issues no service account tokens"))
        }
        _ => Err(Failure::no_such_resource()),
    }
}

async fn change(
    core: &Arc<Core>,
    resource: Arc<Resource>,
    namespace: String,
    name: String,
    subresource: &'static str,
    request: Request,
) -> Result<Answer, Failure> {
    let form = Form::negotiate(request.header("accept"))?;
    let options = request.options()?;
    let call = Call { resource: resource.clone(), namespace, name, subresource, options, now: core.stamp() };
    let done: Done = match request.method.as_str() {
        "POST" if subresource == "eviction" => {
            let options = DeleteOptions::of_eviction(&request)?;
            let done = core.store.write(move |txn| delete::remove(txn, &call, &options)).await?;
            let object =
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
            Done { code: 201, object, ..done }
        }
        "POST" => {
            let body = request.body_value()?;
            core.store.write(move |txn| write::create(txn, &call, body)).await?
        }
        "PUT" => {
            let body = request.body_value()?;
            core.store.write(move |txn| write::replace(txn, &call, body)).await?
        }
        "PATCH" => {
            let patch = patch_of(&request)?;
            core.store.write(move |txn| write::patch(txn, &call, patch)).await?
        }
        _ => {
            let options = DeleteOptions::of(&request)?;
            core.store.write(move |txn| delete::remove(txn, &call, &options)).await?
        }
    };
    let shape = if done.object["kind"] == resource.kind.as_str() { form } else { Form::Json };
    let mut answer = read::one(core, &resource, shape, done.code, &done.object, &request);
    answer::warn(&mut answer, &done.warnings);
    Ok(answer)
}

fn patch_of(request: &Request) -> Result<Patch, Failure> {
    let media = request.content_type();
    let make = match media {
        "application/json-patch+json" => Patch::Json,
        "application/merge-patch+json" => Patch::Merge,
        "application/strategic-merge-patch+json" => Patch::Strategic,
        "application/apply-patch+yaml" => Patch::Apply,
        other => {
            return Err(Failure::new(
                415,
                "UnsupportedMediaType",
                format!(
                    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, \
                 application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml (got \"{other}\")"
                ),
            ));
        }
    };
    if request.flag("force") && media != "application/apply-patch+yaml" {
        let causes = vec![super::status::forbidden_value("force", "may not be specified for non-apply patch")];
        return Err(Failure::invalid("PatchOptions", "meta.k8s.io", "", causes));
    }
    Ok(make(request.body_value()?))
}

async fn remove_all(
    core: &Arc<Core>,
    resource: Arc<Resource>,
    namespace: String,
    request: Request,
) -> Result<Answer, Failure> {
    if !resource.deletes_collections {
        return Err(Failure::method_not_allowed("the server does not allow this method on the requested resource"));
    }
    let selection = read::Selection::of(&resource, &request)?;
    let found = read::find(core, &resource, &namespace, &selection, &request)?;
    let (options, write_options) = (DeleteOptions::of(&request)?, request.options()?);
    let answer = read::list_text(&resource, &found);
    let now = core.stamp();
    core.store
        .write(move |txn| {
            for (key, _) in found.objects {
                let (namespace, name) = (key.namespace.to_string(), key.name.to_string());
                let call = Call {
                    resource: resource.clone(),
                    namespace,
                    name,
                    subresource: "",
                    options: write_options.clone(),
                    now: now.clone(),
                };
                match delete::remove(txn, &call, &options) {
                    Err(failure) if failure.code != 404 => return Err(failure),
                    _ => {}
                }
            }
            Ok(())
        })
        .await?;
    Ok(answer::json_text(answer))
}
