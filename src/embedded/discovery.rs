//! Discovery: what is served, in both shapes that clients ask for, and the OpenAPI index.
//!
//! Derived from the catalog alone. Start with [`groups`], [`aggregated`] and [`resources`].

use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::answer::{self, Answer};
use super::catalog::{Catalog, Resource, group_version};
use super::registry::REVIEWS;
use super::request::Request;
use super::schema::{Served, openapi_document};
use super::status::Failure;

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

fn verbs(resource: &Resource) -> Vec<&'static str> {
    if resource.read_only {
        return vec!["get", "list"];
    }
    VERBS.into_iter().filter(|verb| *verb != "deletecollection" || resource.deletes_collections).collect()
}

/// How a client asked for aggregated discovery, if it did.
fn aggregated_version(request: &Request) -> Option<&'static str> {
    request.header("accept").split(',').find_map(|clause| {
        let has = |part: &str| clause.split(';').any(|p| p.trim() == part);
        let asked = clause.trim().starts_with("application/json")
            && has("g=apidiscovery.k8s.io")
            && has("as=APIGroupDiscoveryList");
        match (asked, has("v=v2"), has("v=v2beta1")) {
            (true, true, _) => Some("v2"),
            (true, _, true) => Some("v2beta1"),
            _ => None,
        }
    })
}

/// Answers `/api` and `/apis`.
pub fn groups(catalog: &Catalog, core_group: bool, request: &Request) -> Answer {
    if let Some(version) = aggregated_version(request) {
        return aggregated(catalog, core_group, version, request);
    }
    if core_group {
        let body = json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]});
        return answer::json_text(body.to_string());
    }
    let groups: Vec<Value> = catalog
        .groups()
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group(name, versions))
        .collect();
    answer::json_text(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}).to_string())
}

fn group(name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> =
        versions.iter().map(|v| json!({"groupVersion": group_version(name, v), "version": v})).collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

/// Answers `/apis/GROUP`.
///
/// Errors with 404 when there is no such group.
pub fn one_group(catalog: &Catalog, name: &str) -> Result<Answer, Failure> {
    let groups = catalog.groups();
    let (_, versions) =
        groups.iter().find(|(n, v)| n == name && !v.is_empty()).ok_or_else(Failure::no_such_resource)?;
    let mut body = group(name, versions);
    body["kind"] = "APIGroup".into();
    body["apiVersion"] = "v1".into();
    Ok(answer::json_text(body.to_string()))
}

fn of_version<'a>(catalog: &'a Catalog, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Resource> {
    catalog.all().map(|r| r.as_ref()).filter(move |r| r.group == group && r.version == version)
}

/// Answers `/apis/GROUP/VERSION`, the older shape.
///
/// Errors with 404 when there is no such version.
pub fn resources(catalog: &Catalog, group: &str, version: &str) -> Result<Answer, Failure> {
    let mut list = Vec::new();
    for resource in of_version(catalog, group, version) {
        let mut entry = json!({"name": resource.plural, "singularName": resource.singular,
            "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs(resource)});
        if !resource.short.is_empty() {
            entry["shortNames"] = resource.short.clone().into();
        }
        if !resource.categories.is_empty() {
            entry["categories"] = resource.categories.clone().into();
        }
        entry["storageVersionHash"] = hash(&resource.storage).into();
        list.push(entry);
        for name in resource.subresources() {
            let mut entry = json!({"name": format!("{}/{name}", resource.plural), "singularName": "",
                "namespaced": resource.namespaced});
            let (kind, verbs) = subresource(resource, name);
            if let Some((group, version)) = kind.1 {
                entry["group"] = group.into();
                entry["version"] = version.into();
            }
            entry["kind"] = kind.0.into();
            entry["verbs"] = verbs.into();
            list.push(entry);
        }
    }
    for (_, _, kind, plural, namespaced) in REVIEWS.iter().filter(|r| r.0 == group && r.1 == version) {
        list.push(json!({"name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced,
            "kind": kind, "verbs": ["create"]}));
    }
    if list.is_empty() {
        return Err(Failure::no_such_resource());
    }
    let body = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group, version), "resources": list});
    Ok(answer::json_text(body.to_string()))
}

type SubresourceKind<'a> = (&'a str, Option<(&'static str, &'static str)>);

fn subresource<'a>(resource: &'a Resource, name: &str) -> (SubresourceKind<'a>, Vec<&'static str>) {
    match name {
        "scale" => (("Scale", Some(("autoscaling", "v1"))), vec!["get", "patch", "update"]),
        "eviction" => (("Eviction", Some(("policy", "v1"))), vec!["create"]),
        "finalize" => ((&resource.kind, None), vec!["update"]),
        _ => ((&resource.kind, None), vec!["get", "patch", "update"]),
    }
}

fn hash(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(&Sha256::digest(text.as_bytes())[..8])
}

fn aggregated(catalog: &Catalog, core_group: bool, version: &'static str, request: &Request) -> Answer {
    let tag = format!("\"{}\"", catalog.digest);
    let media = if version == "v2" {
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    } else {
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    };
    let same = request.header("if-none-match").split(',').any(|given| given.trim() == tag);
    let mut found = if same {
        answer::bytes(StatusCode::NOT_MODIFIED, media, "")
    } else {
        let groups = catalog.groups();
        let wanted = groups.iter().filter(|(name, versions)| name.is_empty() == core_group && !versions.is_empty());
        let items: Vec<Value> = wanted.map(|(name, versions)| discovered_group(catalog, name, versions)).collect();
        let body = json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
            "metadata": {}, "items": items});
        answer::bytes(StatusCode::OK, media, body.to_string())
    };
    let headers = found.headers_mut();
    headers.insert(http::header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("public"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(http::header::ETAG, tag);
    }
    found
}

fn discovered_group(catalog: &Catalog, name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            let mut resources: Vec<Value> = of_version(catalog, name, version).map(discovered).collect();
            for (group, of, kind, plural, namespaced) in REVIEWS.iter().filter(|r| r.0 == name && r.1 == version) {
                let scope = if *namespaced { "Namespaced" } else { "Cluster" };
                resources
                    .push(json!({"resource": plural, "responseKind": {"group": group, "version": of, "kind": kind},
                    "scope": scope, "singularResource": kind.to_lowercase(), "verbs": ["create"]}));
            }
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if name.is_empty() {
        json!({"creationTimestamp": null})
    } else {
        json!({"name": name, "creationTimestamp": null})
    };
    json!({"metadata": metadata, "versions": versions})
}

fn discovered(resource: &Resource) -> Value {
    let kind = |kind: &str, of: Option<(&str, &str)>| {
        let (group, version) = of.unwrap_or((&resource.group, &resource.version));
        json!({"group": group, "version": version, "kind": kind})
    };
    let mut entry = json!({"resource": resource.plural, "responseKind": kind(&resource.kind, None),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular, "verbs": verbs(resource)});
    if !resource.short.is_empty() {
        entry["shortNames"] = resource.short.clone().into();
    }
    if !resource.categories.is_empty() {
        entry["categories"] = resource.categories.clone().into();
    }
    let below: Vec<Value> = resource
        .subresources()
        .into_iter()
        .map(|name| {
            let ((of, at), verbs) = subresource(resource, name);
            json!({"subresource": name, "responseKind": kind(of, at), "verbs": verbs})
        })
        .collect();
    if !below.is_empty() {
        entry["subresources"] = below.into();
    }
    entry
}

/// Answers `/openapi/v3`: one document per group version, under a hash that changes with it.
pub fn openapi_index(catalog: &Catalog) -> Answer {
    let mut paths = serde_json::Map::new();
    for (name, versions) in catalog.groups() {
        for version in versions {
            let path = if name.is_empty() { format!("api/{version}") } else { format!("apis/{name}/{version}") };
            let custom = of_version(catalog, &name, &version).any(|r| r.custom.is_some());
            let content = if custom { &catalog.digest } else { super::VERSION };
            let hash = hex::encode(Sha256::digest(format!("{path}{content}"))).to_uppercase();
            paths.insert(path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}));
        }
    }
    answer::json_text(json!({"paths": paths}).to_string())
}

/// Answers one document of the index.
///
/// Errors with 404 when there is no such group version.
pub fn openapi(catalog: &Catalog, group: &str, version: &str) -> Result<Answer, Failure> {
    let served: Vec<Served> = of_version(catalog, group, version)
        .map(|resource| Served {
            kind: resource.kind.clone(),
            schema: resource.schema.clone(),
            plural: resource.plural.clone(),
            namespaced: resource.namespaced,
            subresources: resource.subresources().into_iter().map(String::from).collect(),
        })
        .collect();
    let known = !served.is_empty() || REVIEWS.iter().any(|r| r.0 == group && r.1 == version);
    if !known {
        return Err(Failure::no_such_resource());
    }
    Ok(answer::json_text(openapi_document(&group_version(group, version), &served).to_string()))
}
