//! OpenAPI v3 documents: what kubectl validates, explains, diffs and edits with.
//!
//! A document is made anew when it is asked for: clients cache it under a hash. Only what clients read is in it:
//! types with their prose, extensions and group-version-kinds, and paths with verbs, kinds and parameters.

use serde_json::{Map, Value, json};

use super::{Schema, Source, builtin};

/// One kind that an OpenAPI document shall describe.
#[derive(Clone, Debug)]
pub struct Served {
    pub kind: String,
    pub schema: Schema,
    pub plural: String,
    pub namespaced: bool,
    /// Subresources with paths of their own, e.g. `status`.
    pub subresources: Vec<String>,
}

const REF: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

impl Schema {
    /// The schema as an OpenAPI v3 object.
    pub fn open_api(&self) -> Value {
        match &self.source {
            Source::Builtin(name) => {
                let (types, docs) = (builtin::types(), builtin::docs());
                spelled_out(&types["schemas"][&**name], &docs[&**name])
            }
            Source::Custom(declared) => published((**declared).clone()),
        }
    }
}

/// The OpenAPI v3 document of a group version.
pub fn openapi_document(group_version: &str, kinds: &[Served]) -> Value {
    let (types, docs) = (builtin::types(), builtin::docs());
    let (group, version) = group_version.rsplit_once('/').unwrap_or(("", group_version));
    let mut out = Document { types: &types["schemas"], docs: &docs, schemas: Map::new(), paths: Map::new() };
    for name in ["Patch", "DeleteOptions", "Status", "APIResourceList", "ObjectMeta", "ListMeta"] {
        out.include(&format!("{META}.{name}"));
    }
    for served in kinds {
        let gvk = json!({"group": group, "kind": served.kind, "version": version});
        let (one, list) = match &served.schema.source {
            Source::Builtin(name) => (name.to_string(), format!("{name}List")),
            Source::Custom(declared) => out.custom(declared, &gvk),
        };
        out.include(&one);
        if out.types.get(&list).is_some() {
            out.include(&list);
        }
        out.add_paths(group_version, served, &gvk, &one, &list);
    }
    let Document { mut schemas, mut paths, .. } = out;
    let release = builtin::table().source.rsplit(' ').next().unwrap_or_default();
    schemas.sort_keys();
    paths.sort_keys();
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": release}, "paths": paths,
        "components": {"schemas": schemas}})
}

struct Document<'a> {
    types: &'a Value,
    docs: &'a Value,
    schemas: Map<String, Value>,
    paths: Map<String, Value>,
}

impl Document<'_> {
    /// Takes in a built-in type and all it refers to.
    fn include(&mut self, name: &str) {
        if self.schemas.contains_key(name) {
            return;
        }
        let Some(slim) = self.types.get(name) else { return };
        self.schemas.insert(name.to_string(), spelled_out(slim, &self.docs[name]));
        let mut names = Vec::new();
        references(slim, &mut names);
        for name in names {
            self.include(&name);
        }
    }

    /// Takes in a custom resource and its list; answers their names.
    fn custom(&mut self, declared: &Value, gvk: &Value) -> (String, String) {
        let text = |key: &str| gvk[key].as_str().unwrap_or_default();
        let reversed: Vec<&str> = text("group").split('.').rev().collect();
        let one = format!("{}.{}.{}", reversed.join("."), text("version"), text("kind"));
        let list = format!("{one}List");
        let mut schema = published(declared.clone());
        schema["x-kubernetes-group-version-kind"] = json!([gvk]);
        self.schemas.insert(one.clone(), schema);
        let text_of = |name: &str| self.docs[format!("{META}.ListMeta")][name].clone();
        let of_list =
            json!({"group": gvk["group"], "kind": format!("{}List", text("kind")), "version": gvk["version"]});
        let list_schema = json!({"description": format!("{} is a list of {}", text("kind"), text("kind")), "type": "object",
            "required": ["items"], "x-kubernetes-group-version-kind": [of_list], "properties": {
                "apiVersion": {"type": "string"}, "kind": {"type": "string"},
                "items": {"type": "array", "items": {"allOf": [{"$ref": format!("{REF}{one}")}], "default": {}}},
                "metadata": {"description": text_of(""), "allOf": [{"$ref": format!("{REF}{META}.ListMeta")}]}}});
        self.schemas.insert(list.clone(), list_schema);
        (one, list)
    }

    fn add_paths(&mut self, group_version: &str, served: &Served, gvk: &Value, one: &str, list: &str) {
        let root = if group_version.contains('/') {
            format!("/apis/{group_version}")
        } else {
            format!("/api/{group_version}")
        };
        let Served { plural, namespaced, .. } = served;
        let within =
            if *namespaced { format!("{root}/namespaces/{{namespace}}/{plural}") } else { format!("{root}/{plural}") };
        let list = if self.schemas.contains_key(list) { list } else { one };
        let operation = |verb: &str, action: &str, of: &str| operation(verb, action, of, gvk);
        let mut all = json!({"get": operation("get", "list", list), "parameters": names(&within)});
        if *namespaced {
            self.paths.insert(format!("{root}/{plural}"), all.clone());
        }
        all["post"] = operation("post", "post", one);
        all["delete"] = operation("delete", "deletecollection", &format!("{META}.Status"));
        self.paths.insert(within.clone(), all);
        let item = format!("{within}/{{name}}");
        let mut single = json!({"get": operation("get", "get", one), "put": operation("put", "put", one),
            "patch": operation("patch", "patch", one), "parameters": names(&item)});
        single["delete"] = operation("delete", "delete", &format!("{META}.Status"));
        self.paths.insert(item.clone(), single);
        for below in &served.subresources {
            let path = format!("{item}/{below}");
            let mut operations = json!({"get": operation("get", "get", one), "put": operation("put", "put", one),
                "patch": operation("patch", "patch", one), "parameters": names(&path)});
            if below == "scale" {
                self.include("io.k8s.api.autoscaling.v1.Scale");
                let gvk = json!({"group": "autoscaling", "kind": "Scale", "version": "v1"});
                let scale = |verb: &str| {
                    crate::embedded::schema::openapi::operation(verb, verb, "io.k8s.api.autoscaling.v1.Scale", &gvk)
                };
                operations = json!({"get": scale("get"), "put": scale("put"), "patch": scale("patch"), "parameters": names(&path)});
            }
            self.paths.insert(path, operations);
        }
    }
}

/// The parameters that stand in a path, and the one every request may have.
fn names(path: &str) -> Value {
    let mut out = Vec::new();
    for (name, what) in
        [("name", "name of the object"), ("namespace", "object name and auth scope, such as for teams and projects")]
    {
        if path.contains(&format!("{{{name}}}")) {
            out.push(json!({"name": name, "in": "path", "required": true, "description": what,
                "schema": {"type": "string", "uniqueItems": true}}));
        }
    }
    out.push(query("pretty", "string"));
    Value::Array(out)
}

fn query(name: &str, kind: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
}

fn operation(verb: &str, action: &str, of: &str, gvk: &Value) -> Value {
    let body = |name: &str| json!({"schema": {"$ref": format!("{REF}{name}")}});
    let texts = |list: &[&str]| list.iter().map(|name| query(name, "string")).collect::<Vec<_>>();
    let mut parameters = match action {
        "post" | "put" => texts(&["dryRun", "fieldManager", "fieldValidation"]),
        "patch" => texts(&["dryRun", "fieldManager", "fieldValidation"]),
        "delete" => texts(&["dryRun", "propagationPolicy"]),
        "list" | "deletecollection" => {
            texts(&["continue", "fieldSelector", "labelSelector", "resourceVersion", "resourceVersionMatch"])
        }
        _ => Vec::new(),
    };
    match action {
        "patch" => parameters.push(query("force", "boolean")),
        "delete" => parameters.push(query("gracePeriodSeconds", "integer")),
        "list" => {
            parameters.extend([query("limit", "integer"), query("timeoutSeconds", "integer")]);
            parameters.extend(["watch", "allowWatchBookmarks", "sendInitialEvents"].map(|name| query(name, "boolean")));
        }
        _ => {}
    }
    let code = if action == "post" { "201" } else { "200" };
    let mut out = json!({"description": format!("{action} {}", gvk["kind"].as_str().unwrap_or_default()),
        "parameters": parameters, "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk,
        "responses": {code: {"description": "OK", "content": {"application/json": body(of)}}}});
    let patch = || body(&format!("{META}.Patch"));
    out["requestBody"] = match verb {
        "post" | "put" => json!({"required": true, "content": {"application/json": body(of)}}),
        "delete" => json!({"content": {"application/json": body(&format!("{META}.DeleteOptions"))}}),
        "patch" => {
            let mut content = json!({"application/json-patch+json": patch(), "application/merge-patch+json": patch(),
                "application/apply-patch+yaml": patch()});
            // kubectl asks here whether a kind takes strategic merge patches.
            if of.starts_with("io.k8s.") {
                content["application/strategic-merge-patch+json"] = patch();
            }
            json!({"required": true, "content": content})
        }
        _ => return out,
    };
    out
}

/// A type of the table as OpenAPI v3 wants it, with prose.
fn spelled_out(slim: &Value, docs: &Value) -> Value {
    let mut out = with_references(slim);
    let Some(fields) = out.as_object_mut() else { return out };
    if let Some(text) = docs.get("").filter(|text| text.is_string()) {
        fields.insert("description".into(), text.clone());
    }
    for (name, field) in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        if let (Some(text), Some(field)) = (docs.get(name), field.as_object_mut()) {
            field.insert("description".into(), text.clone());
        }
    }
    out
}

/// References get their full path; beside other keywords they must stand in an `allOf`.
fn with_references(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut out = Map::new();
            for (key, value) in fields {
                match (key.as_str(), value.as_str()) {
                    ("$ref", Some(name)) if fields.len() == 1 => {
                        out.insert(key.clone(), format!("{REF}{name}").into());
                    }
                    ("$ref", Some(name)) => drop(out.insert("allOf".into(), json!([{"$ref": format!("{REF}{name}")}]))),
                    ("default" | "enum", _) => drop(out.insert(key.clone(), value.clone())),
                    _ => drop(out.insert(key.clone(), with_references(value))),
                }
            }
            Value::Object(out)
        }
        Value::Array(items) => Value::Array(items.iter().map(with_references).collect()),
        value => value.clone(),
    }
}

fn references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value.as_str()) {
                    ("$ref", Some(name)) => out.push(name.to_string()),
                    _ => references(value, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        _ => {}
    }
}

/// A custom resource's schema with the head every object has.
fn published(mut declared: Value) -> Value {
    if !declared["properties"].is_object() {
        declared["properties"] = json!({});
    }
    let docs = |name: &str| {
        let what = match name {
            "apiVersion" => "APIVersion defines the versioned schema of this representation of an object.",
            "kind" => "Kind is a string value representing the REST resource this object represents.",
            _ => "Standard object's metadata.",
        };
        format!("{what} More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md")
    };
    for name in ["apiVersion", "kind"] {
        declared["properties"][name] = json!({"type": "string", "description": docs(name)});
    }
    let reference = json!([{"$ref": format!("{REF}{META}.ObjectMeta")}]);
    declared["properties"]["metadata"] = json!({"description": docs("metadata"), "allOf": reference});
    declared
}

#[cfg(test)]
mod tests {
    use super::super::{builtin, custom};
    use super::*;

    fn served(kind: &str, plural: &str, schema: Schema) -> Served {
        let subresources = vec!["status".to_string(), "scale".to_string()];
        Served { kind: kind.into(), schema, plural: plural.into(), namespaced: true, subresources }
    }

    #[test]
    fn a_document_has_what_kubectl_looks_for() {
        let document = openapi_document(
            "apps/v1",
            &[served("Deployment", "deployments", builtin("apps", "v1", "Deployment").unwrap())],
        );
        let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        assert_eq!(
            patch["x-kubernetes-group-version-kind"],
            json!({"group": "apps", "kind": "Deployment", "version": "v1"})
        );
        assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation"));
        assert!(patch["requestBody"]["content"].get("application/strategic-merge-patch+json").is_some());
        let schemas = &document["components"]["schemas"];
        let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
        assert_eq!(deployment["x-kubernetes-group-version-kind"][0]["kind"], "Deployment");
        assert!(deployment["properties"]["spec"]["description"].as_str().unwrap().contains("desired behavior"));
        let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
        assert!(schemas.get("io.k8s.api.apps.v1.DeploymentList").is_some());
        assert_every_reference_resolves(&document);
    }

    #[test]
    fn a_custom_resource_is_published_with_its_head() {
        let declared = json!({"type": "object", "description": "A thing.", "properties": {"spec": {"type": "object",
            "description": "What.", "properties": {"size": {"type": "integer"}}}}});
        let schema = custom(Some(&declared), false).unwrap();
        let document = openapi_document("things.a.dev/v1", &[served("Thing", "things", schema)]);
        let thing = &document["components"]["schemas"]["dev.a.things.v1.Thing"];
        assert_eq!(
            thing["x-kubernetes-group-version-kind"],
            json!([{"group": "things.a.dev", "kind": "Thing", "version": "v1"}])
        );
        assert_eq!(thing["properties"]["spec"]["properties"]["size"]["type"], "integer");
        let patch = &document["paths"]["/apis/things.a.dev/v1/namespaces/{namespace}/things/{name}"]["patch"];
        assert!(patch["requestBody"]["content"].get("application/strategic-merge-patch+json").is_none());
        assert_every_reference_resolves(&document);
    }

    fn assert_every_reference_resolves(document: &Value) {
        let mut names = Vec::new();
        references(document, &mut names);
        assert!(!names.is_empty());
        for name in names {
            let name = name.strip_prefix(REF).unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        }
    }
}
