//! What flags of several kinds name: sources, dependencies, remote clusters.

use crate::cli::CliError;
use crate::kinds::check::nearest;
use crate::kinds::kustomization::{KubeConfigReference, SecretKeyReference};
use crate::kinds::meta::DependencyReference;

/// What `Kind/name[.namespace]` names.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
}

/// Reads `Kind/name[.namespace]`; the kind is read in any case, and may be absent when there is a `usual` one.
///
/// Errors name the flag, the text and the kind that was probably meant.
pub fn read(flag: &str, text: &str, kinds: &[&str], usual: Option<&str>) -> Result<Reference, CliError> {
    let form = if usual.is_some() { "[Kind/]name[.namespace]" } else { "Kind/name[.namespace]" };
    let hint = format!("write {form} with one of {}", kinds.join(", "));
    let Some((kind, rest)) = text.split_once('/').or_else(|| usual.map(|kind| (kind, text))) else {
        return Err(CliError::user(format!("{flag} {text:?} has no kind"), hint));
    };
    let Some(kind) = kinds.iter().find(|known| known.eq_ignore_ascii_case(kind)) else {
        let near =
            nearest(kind, kinds.iter().copied()).map_or(String::new(), |near| format!(", did you mean {near}/{rest}?"));
        return Err(CliError::user(format!("{flag} {text:?}: {kind} cannot be used here{near}"), hint));
    };
    let (name, namespace) = match rest.split_once('.') {
        Some((name, namespace)) => (name, Some(namespace.to_owned())),
        None => (rest, None),
    };
    if name.is_empty() || namespace.as_deref() == Some("") {
        return Err(CliError::user(format!("{flag} {text:?} names nothing"), hint));
    }
    Ok(Reference { kind: (*kind).into(), name: name.into(), namespace })
}

/// Reads what `--depends-on` was given: `name` or `namespace/name`, each with `@expression` where `may_test`.
pub fn dependencies(given: &[String], may_test: bool) -> Vec<DependencyReference> {
    let one = |text: &String| {
        let (place, expression) = match text.split_once('@').filter(|_| may_test) {
            Some((place, expression)) => (place, Some(expression.to_owned())),
            None => (text.as_str(), None),
        };
        let (namespace, name) = match place.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, place),
        };
        DependencyReference { name: name.into(), namespace, ready_expr: expression }
    };
    given.iter().filter(|text| !text.is_empty()).map(one).collect()
}

/// The cluster whose kubeconfig lies in a Secret.
pub fn remote(secret: String) -> KubeConfigReference {
    KubeConfigReference { secret_ref: Some(SecretKeyReference { name: secret, key: None }), config_map_ref: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_in_every_form_that_flux_takes() {
        let kinds = ["GitRepository", "OCIRepository", "Bucket"];
        let read = |text: &str| read("--source", text, &kinds, Some("GitRepository"));
        let is = |kind: &str, name: &str, namespace: Option<&str>| Reference {
            kind: kind.into(),
            name: name.into(),
            namespace: namespace.map(str::to_owned),
        };
        assert_eq!(read("podinfo").unwrap(), is("GitRepository", "podinfo", None));
        assert_eq!(read("GitRepository/nginx.default").unwrap(), is("GitRepository", "nginx", Some("default")));
        assert_eq!(read("ocirepository/a").unwrap(), is("OCIRepository", "a", None));
        assert_eq!(read("Bucket/a.b").unwrap(), is("Bucket", "a", Some("b")));
        let error = read("GitRepositry/a").unwrap_err();
        assert!(error.message.contains("did you mean GitRepository/a?"), "{error}");
        assert!(read("GitRepository/").is_err() && read("a.").is_err());
        assert!(super::read("--source", "podinfo", &kinds, None).unwrap_err().message.contains("has no kind"));
    }

    #[test]
    fn dependencies_are_read() {
        let read = dependencies(&["infra/db@dep.status.ready == true".into(), String::new()], true).remove(0);
        assert_eq!((read.name.as_str(), read.namespace.as_deref()), ("db", Some("infra")));
        assert_eq!(read.ready_expr.as_deref(), Some("dep.status.ready == true"));
        assert_eq!(dependencies(&["a@b".into()], false)[0].name, "a@b");
    }
}
