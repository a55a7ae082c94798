//! Certificate signing requests: what they must look like, and who may change which part of them.
//!
//! Nothing signs them here; a request stays as it was approved or denied. Start with [`check_new`] and [`check_part`].
//! Source: Kubernetes pkg/apis/certificates/validation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::schema::Cause;
use super::status::{cause, forbidden_value, invalid_value, required_value};

/// What a certificate may be for.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// Conditions that stay once they are there.
const LASTING: [&str; 3] = ["Approved", "Denied", "Failed"];

/// Everything wrong with a new request. That its inside is a well-formed request is its signer's business.
pub fn check_new(request: &Value) -> Vec<Cause> {
    let (spec, mut causes) = (&request["spec"], Vec::new());
    if !has_block(&spec["request"], "CERTIFICATE REQUEST") {
        causes.push(invalid_value("spec.request", &spec["request"], "PEM block type must be CERTIFICATE REQUEST"));
    }
    let usages = spec["usages"].as_array().map(Vec::as_slice).unwrap_or_default();
    if usages.is_empty() {
        causes.push(required_value("spec.usages", ""));
    }
    for (at, usage) in usages.iter().enumerate().filter(|(_, u)| !USAGES.iter().any(|known| **u == **known)) {
        let known = USAGES.map(|usage| format!("\"{usage}\"")).join(", ");
        let why = format!("Unsupported value: {usage}: supported values: {known}");
        causes.push(cause("FieldValueNotSupported", format!("spec.usages[{at}]"), why));
    }
    match spec["signerName"].as_str().unwrap_or_default() {
        "" => causes.push(required_value("spec.signerName", "")),
        "kubernetes.io/legacy-unknown" => {
            let why = "the legacy signerName is not allowed via this API version";
            causes.push(invalid_value("spec.signerName", &spec["signerName"], why));
        }
        name if !is_signer(name) => {
            let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
            causes.push(invalid_value("spec.signerName", &spec["signerName"], why));
        }
        _ => {}
    }
    if spec["expirationSeconds"].as_i64().is_some_and(|seconds| seconds < 600) {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        causes.push(invalid_value("spec.expirationSeconds", &spec["expirationSeconds"], why));
    }
    causes
}

fn is_signer(name: &str) -> bool {
    let Some((domain, path)) = name.split_once('/') else { return false };
    domain.contains('.') && !domain.split('.').any(str::is_empty) && !path.is_empty()
}

/// Whether base64 text has a PEM block of a type.
fn has_block(data: &Value, of: &str) -> bool {
    let bytes = data.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().any(|line| line.trim() == format!("-----BEGIN {of}-----"))
}

/// Everything wrong with what an approval or a signer makes of a request.
pub fn check_part(subresource: &str, new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let certificate = &new["status"]["certificate"];
    let is_given = subresource == "status" && certificate.as_str().is_some_and(|text| !text.is_empty());
    if is_given && !has_block(certificate, "CERTIFICATE") {
        let shown = Value::from("<certificate data>");
        causes.push(invalid_value("status.certificate", &shown, "must contain at least one CERTIFICATE PEM block"));
    }
    let has = |object: &Value, kind: &str| {
        object["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(|c| c["type"] == kind))
    };
    if has(new, "Approved") && has(new, "Denied") {
        let why = "Approved and Denied conditions are mutually exclusive";
        causes.push(invalid_value("status.conditions", &"Denied".into(), why));
    }
    for kind in LASTING {
        let verdict = match (has(old, kind), has(new, kind)) {
            (true, false) => "remove",
            (false, true) if subresource == "status" && kind != "Failed" => "add",
            _ => continue,
        };
        let why = format!("updates may not {verdict} a condition of type \"{kind}\"");
        causes.push(forbidden_value("status.conditions", &why));
    }
    causes
}

/// Says of new and changed conditions when they came.
pub fn stamp(old: &Value, new: &mut Value, now: &str) {
    let before = old["status"]["conditions"].as_array().cloned().unwrap_or_default();
    for condition in new["status"]["conditions"].as_array_mut().into_iter().flatten() {
        let Value::Object(fields) = condition else { continue };
        let known = before.iter().find(|old| Some(&old["type"]) == fields.get("type"));
        let same = known.filter(|old| Some(&old["status"]) == fields.get("status"));
        if fields.get("lastUpdateTime").is_none_or(Value::is_null) {
            fields.insert("lastUpdateTime".into(), now.into());
        }
        if fields.get("lastTransitionTime").is_none_or(Value::is_null) {
            let since = same.map_or_else(|| now.into(), |old| old["lastTransitionTime"].clone());
            fields.insert("lastTransitionTime".into(), since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(causes: &[Cause]) -> Vec<&str> {
        causes.iter().map(|cause| cause.field.as_str()).collect()
    }

    #[test]
    fn a_request_names_its_signer_its_usages_and_has_a_pem_block() {
        let pem = STANDARD.encode("-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n");
        let spec =
            |signer: &str, usage: &str| json!({"spec": {"request": pem, "signerName": signer, "usages": [usage]}});
        assert!(check_new(&spec("a.b/c", "client auth")).is_empty());
        assert_eq!(fields(&check_new(&spec("a/c", "client auth"))), ["spec.signerName"]);
        assert_eq!(fields(&check_new(&spec("a.b/c", "fun"))), ["spec.usages[0]"]);
        assert_eq!(fields(&check_new(&json!({}))), ["spec.request", "spec.usages", "spec.signerName"]);
    }

    #[test]
    fn verdicts_exclude_each_other_and_stay() {
        let with = |kinds: &[&str]| json!({"status": {"conditions": kinds.iter().map(|k| json!({"type": k, "status": "True"})).collect::<Vec<_>>()}});
        assert!(check_part("approval", &with(&["Approved"]), &with(&[])).is_empty());
        assert_eq!(check_part("approval", &with(&["Approved", "Denied"]), &with(&[])).len(), 1);
        assert_eq!(check_part("approval", &with(&[]), &with(&["Denied"])).len(), 1);
        assert_eq!(check_part("status", &with(&["Approved"]), &with(&[])).len(), 1);
        let mut new = with(&["Approved"]);
        stamp(&with(&[]), &mut new, "now");
        assert_eq!(new["status"]["conditions"][0]["lastTransitionTime"], "now");
    }
}
