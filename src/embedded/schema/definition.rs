//! Whether a CustomResourceDefinition can be served.
//!
//! Source: apiextensions-apiserver pkg/apis/apiextensions/validation. Paths are those of the real server, which moves
//! what all versions have in common to the top before it looks. A conversion webhook is let pass: many charts bring one,
//! and nothing here would call it.

use serde_json::Value;

use super::cause::Cause;
use super::structural;

/// Everything wrong with a CustomResourceDefinition.
pub fn check_crd(crd: &Value) -> Vec<Cause> {
    let mut out = Vec::new();
    let spec = &crd["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let (group, names) = (text(&spec["group"]), &spec["names"]);
    let wanted = format!("{}.{group}", text(&names["plural"]));
    if text(&crd["metadata"]["name"]) != wanted {
        let why = "must be spec.names.plural+\".\"+spec.group";
        out.push(Cause::invalid("metadata.name", &crd["metadata"]["name"], why));
    }
    match group.as_str() {
        "" => out.push(Cause::required("spec.group", "")),
        group if !is_subdomain(group) => out.push(Cause::invalid("spec.group", &group.into(), SUBDOMAIN)),
        group if !group.contains('.') => {
            out.push(Cause::invalid("spec.group", &group.into(), "should be a domain with at least one dot"));
        }
        _ => {}
    }
    match spec["scope"].as_str() {
        Some("Cluster" | "Namespaced") => {}
        None | Some("") => out.push(Cause::required("spec.scope", "")),
        Some(other) => {
            let known = ["Cluster", "Namespaced"].map(str::to_string);
            out.push(Cause::unsupported("spec.scope", &other.into(), &known));
        }
    }
    check_names(names, &mut out);
    check_versions(spec, &mut out);
    if spec["preserveUnknownFields"] == true {
        let why =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        out.push(Cause::invalid("spec.preserveUnknownFields", &true.into(), why));
    }
    out
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

fn is_subdomain(text: &str) -> bool {
    let clean = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let segment = |s: &str| !s.is_empty() && s.bytes().all(clean) && !s.starts_with('-') && !s.ends_with('-');
    text.len() <= 253 && text.split('.').all(segment)
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_subdomain(text) && !text.contains('.') && text.starts_with(|c: char| c.is_ascii_lowercase())
}

fn check_names(names: &Value, out: &mut Vec<Cause>) {
    for key in ["plural", "singular", "kind", "listKind"] {
        let path = format!("spec.names.{key}");
        let mixed = key.ends_with("ind");
        match names[key].as_str() {
            // These two are filled in from the kind when they are left out.
            None | Some("") if matches!(key, "singular" | "listKind") => {}
            None | Some("") => out.push(Cause::required(&path, "")),
            Some(name) if mixed && !is_label(&name.to_lowercase()) => {
                let why = format!("may have mixed case, but should otherwise match: {LABEL}");
                out.push(Cause::invalid(&path, &name.into(), &why));
            }
            Some(name) if !mixed && !is_label(name) => out.push(Cause::invalid(&path, &name.into(), LABEL)),
            Some(_) => {}
        }
    }
    if names["kind"].is_string() && names["kind"] == names["listKind"] {
        let why = "kind and listKind may not be the same";
        out.push(Cause::invalid("spec.names.listKind", &names["listKind"], why));
    }
    for key in ["shortNames", "categories"] {
        for (index, name) in names[key].as_array().into_iter().flatten().enumerate() {
            if !name.as_str().is_some_and(is_label) {
                out.push(Cause::invalid(&format!("spec.names.{key}[{index}]"), name, LABEL));
            }
        }
    }
}

fn check_versions(spec: &Value, out: &mut Vec<Cause>) {
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let stored = versions.iter().filter(|version| version["storage"] == true).count();
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        out.push(Cause::invalid("spec.versions", &spec["versions"], why));
    }
    let name = |version: &Value| version["name"].as_str().unwrap_or_default().to_string();
    if versions.iter().enumerate().any(|(at, version)| versions[..at].iter().any(|v| name(v) == name(version))) {
        out.push(Cause::invalid("spec.versions", &spec["versions"], "must contain unique version names"));
    }
    let alike = |key: &str| versions.iter().all(|version| version[key] == versions[0][key]);
    for (index, version) in versions.iter().enumerate() {
        let own = format!("spec.versions[{index}]");
        if !is_label(&name(version)) {
            out.push(Cause::invalid(&format!("{own}.name"), &version["name"], LABEL));
        }
        // What all versions share is looked at once, under the path of the top.
        let place = |key: &str, top: &str| match (alike(key), index) {
            (true, 0) => Some(format!("spec.{top}")),
            (true, _) => None,
            (false, _) => Some(format!("{own}.{key}")),
        };
        let schema = &version["schema"]["openAPIV3Schema"];
        if schema.is_null() {
            out.push(Cause::required(&format!("{own}.schema.openAPIV3Schema"), "schemas are required"));
        } else if let Some(path) = place("schema", "validation") {
            out.extend(structural::check(schema, &format!("{path}.openAPIV3Schema")));
        }
        if let Some(path) = place("subresources", "subresources") {
            check_scale(&version["subresources"]["scale"], &format!("{path}.scale"), out);
        }
        if let Some(path) = place("additionalPrinterColumns", "additionalPrinterColumns") {
            let columns = version["additionalPrinterColumns"].as_array();
            for (index, column) in columns.into_iter().flatten().enumerate() {
                check_column(column, &format!("{path}[{index}]"), out);
            }
        }
    }
}

fn check_scale(scale: &Value, path: &str, out: &mut Vec<Cause>) {
    if !scale.is_object() {
        return;
    }
    let wanted = [
        ("specReplicasPath", &[".spec."][..], true),
        ("statusReplicasPath", &[".status."], true),
        ("labelSelectorPath", &[".spec.", ".status."], false),
    ];
    for (key, roots, required) in wanted {
        let at = format!("{path}.{key}");
        match scale[key].as_str() {
            None | Some("") if required => out.push(Cause::required(&at, "")),
            None | Some("") => {}
            Some(given) if !given.starts_with('.') => {
                out.push(Cause::invalid(&at, &given.into(), "must be a simple json path starting with ."));
            }
            Some(given) if !roots.iter().any(|root| given.starts_with(root)) => {
                let root = roots.iter().map(|root| root.trim_end_matches('.')).collect::<Vec<_>>().join(" or ");
                let either = if roots.len() > 1 { "either " } else { "" };
                out.push(Cause::invalid(&at, &given.into(), &format!("should be a json path under {either}{root}")));
            }
            Some(_) => {}
        }
    }
}

fn check_column(column: &Value, path: &str, out: &mut Vec<Cause>) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 9] =
        ["byte", "date", "date-time", "double", "float", "int32", "int64", "password", "int-or-string"];
    let text = |key: &str| column[key].as_str().unwrap_or_default();
    if text("name").is_empty() {
        out.push(Cause::required(&format!("{path}.name"), ""));
    }
    let types = format!("must be one of {}", TYPES.join(","));
    match text("type") {
        "" => out.push(Cause::required(&format!("{path}.type"), &types)),
        kind if !TYPES.contains(&kind) => out.push(Cause::invalid(&format!("{path}.type"), &kind.into(), &types)),
        _ => {}
    }
    let format = text("format");
    if !format.is_empty() && !FORMATS.contains(&format) {
        let why = format!("must be one of {}", FORMATS[..8].join(","));
        out.push(Cause::invalid(&format!("{path}.format"), &format.into(), &why));
    }
    match text("jsonPath") {
        "" => out.push(Cause::required(&format!("{path}.JSONPath"), "")),
        given if !given.starts_with('.') => {
            let why = "must be a simple json path starting with .";
            out.push(Cause::invalid(&format!("{path}.JSONPath"), &given.into(), why));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn crd() -> Value {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.a.dev"},
            "spec": {"group": "a.dev", "scope": "Namespaced", "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList", "shortNames": ["th"]},
                "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}},
                    "additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.a"}]}]}})
    }

    #[test]
    fn a_sound_definition_passes() {
        assert_eq!(check_crd(&crd()), []);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("/metadata/name", json!("x"), "metadata.name"),
            ("/spec/group", json!("nodots"), "spec.group"),
            ("/spec/scope", json!("Galaxy"), "spec.scope"),
            ("/spec/names/plural", json!("Things"), "spec.names.plural"),
            ("/spec/names/listKind", json!("Thing"), "spec.names.listKind"),
            ("/spec/names/shortNames/0", json!("T"), "spec.names.shortNames[0]"),
            ("/spec/versions/0/storage", json!(false), "spec.versions"),
            ("/spec/versions/0/name", json!("1"), "spec.versions[0].name"),
            ("/spec/versions/0/schema", json!({}), "spec.versions[0].schema.openAPIV3Schema"),
            (
                "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
                json!({}),
                "spec.validation.openAPIV3Schema.properties[spec].type",
            ),
            (
                "/spec/versions/0/subresources",
                json!({"scale": {"specReplicasPath": ".x", "statusReplicasPath": ".status.r"}}),
                "spec.subresources.scale.specReplicasPath",
            ),
            (
                "/spec/versions/0/additionalPrinterColumns/0/type",
                json!("text"),
                "spec.additionalPrinterColumns[0].type",
            ),
            (
                "/spec/versions/0/additionalPrinterColumns/0/jsonPath",
                json!("spec"),
                "spec.additionalPrinterColumns[0].JSONPath",
            ),
        ];
        for (pointer, value, field) in cases {
            let mut crd = crd();
            *crd.pointer_mut(pointer).unwrap() = value;
            let fields: Vec<String> = check_crd(&crd).into_iter().map(|cause| cause.field).collect();
            assert!(fields.contains(&field.to_string()), "{pointer} {fields:?}");
        }
    }
}
