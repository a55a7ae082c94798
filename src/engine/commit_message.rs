//! The message of an automation's commit, from a template over what was changed.
//!
//! The data model is Flux's: `.AutomationObject`, `.Changed` with `FileChanges`, `Objects` and `Changes`, and `.Values`;
//! fields that Flux removed give its error. Pure and repeatable, so that a preview shows the message that will be pushed.
//! Start with [`render`].
//!
//! Source: image-automation-controller internal/source/source.go (templateMsg, checkRemovedTemplateField).

use std::collections::BTreeMap;
use std::rc::Rc;

use super::setters::{Change, Changed, ObjectChanges, ObjectId};
use super::template::{Entries, ExecuteError, Fields, Limits, List, Map, Object, Templates, Value, World};

/// The message when there is no template.
pub const DEFAULT: &str = "Update from image update automation";

const MORE: &str = "See: https://fluxcd.io/flux/components/image/imageupdateautomations/#message-template";

/// What a template may use.
#[derive(Clone, Copy, Debug)]
pub struct Data<'d> {
    /// Namespace and name.
    pub automation: (&'d str, &'d str),
    pub changed: &'d Changed,
    pub values: &'d BTreeMap<String, String>,
}

/// Why there is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Only a change of the template helps.
    #[error("template uses removed '{field}' field. Please use {instead} instead. {MORE}")]
    Removed { field: &'static str, instead: &'static str },
    #[error("unable to create commit message template from spec: {0}")]
    Parse(String),
    #[error("failed to run template from spec: {0}")]
    Run(String),
}

/// Renders the message; an empty template is the default one.
///
/// Errors with Flux's words.
pub fn render(template: &str, data: &Data<'_>) -> Result<String, MessageError> {
    let template = if template.is_empty() { DEFAULT } else { template };
    let limits = Limits { depth: 100, steps: 2_000_000, bytes: 64 << 20, output: 1 << 20, crypto_calls: 0 };
    let world = World { limits, ..World::default() };
    let outcome = Templates::hermetic().execute("commit message", template, root(data), &world);
    outcome.map_err(|error| match error {
        ExecuteError::Parse(text) => MessageError::Parse(text),
        ExecuteError::Run(text) => removed(&text).unwrap_or(MessageError::Run(text)),
    })
}

fn removed(text: &str) -> Option<MessageError> {
    let gone = |field, instead| Some(MessageError::Removed { field, instead });
    match () {
        () if text.contains("can't evaluate field Updated in type source.TemplateData") => {
            gone(".Updated", "'.Changed'")
        }
        () if text.contains("can't evaluate field ImageResult in type update.Result") => {
            gone(".Changed.ImageResult", "'.Changed.FileChanges' or '.Changed.Objects'")
        }
        () => None,
    }
}

fn object(type_name: &'static str, fields: Vec<(&'static str, Value)>, text: Option<String>) -> Value {
    Value::Object(Rc::new(Object { type_name, pointer: false, fields, text: text.map(Rc::from) }))
}

fn root(data: &Data<'_>) -> Value {
    let (namespace, name) = data.automation;
    let automation = object(
        "types.NamespacedName",
        vec![("Namespace", Value::str(namespace)), ("Name", Value::str(name))],
        Some(format!("{namespace}/{name}")),
    );
    let files = data.changed.files.iter().map(|(file, objects)| (file.as_str().into(), of_objects(objects)));
    let changes = data.changed.changes().into_iter().map(of_change).collect();
    let changed = object(
        "update.Result",
        vec![
            ("FileChanges", Value::Map(Map::of(Fields::Any, files.collect()))),
            ("Changes", Value::List(List::new(changes))),
            ("Objects", of_objects(&data.changed.objects())),
        ],
        None,
    );
    let values: Entries = data.values.iter().map(|(key, value)| (key.as_str().into(), Value::str(value))).collect();
    let values = Value::Map(Map::of(Fields::Any, values));
    object(
        "source.TemplateData",
        vec![("AutomationObject", automation), ("Changed", changed), ("Values", values)],
        None,
    )
}

/// A map by object; the text of a key only puts it in its place.
fn of_objects(objects: &ObjectChanges) -> Value {
    let entry = |(number, (id, changes)): (usize, (&ObjectId, &Vec<Change>))| {
        let changes = Value::List(List::new(changes.iter().map(of_change).collect()));
        (Rc::from(format!("{number:09}")), Value::list(vec![of_id(id), changes]))
    };
    Value::Map(Map::of(Fields::Keyed, objects.iter().enumerate().map(entry).collect()))
}

fn of_id(id: &ObjectId) -> Value {
    let fields = vec![
        ("APIVersion", Value::str(&id.api_version)),
        ("Kind", Value::str(&id.kind)),
        ("Name", Value::str(&id.name)),
        ("Namespace", Value::str(&id.namespace)),
    ];
    let text = format!("{{{{{{{} {}}} {{{} {}}}}}}}", id.api_version, id.kind, id.name, id.namespace);
    object("update.ObjectIdentifier", fields, Some(text))
}

fn of_change(change: &Change) -> Value {
    let fields = vec![
        ("OldValue", Value::str(&change.old_value)),
        ("NewValue", Value::str(&change.new_value)),
        ("Setter", Value::str(&change.setter)),
    ];
    object("update.Change", fields, None)
}

#[cfg(test)]
mod tests {
    use super::super::setters::{Choice, Setters, apply_file};
    use super::*;

    fn rendered(template: &str) -> Result<String, MessageError> {
        let choice = Choice {
            namespace: "ns".into(),
            policy: "app".into(),
            image: "new/app".into(),
            tag: "2.0.0".into(),
            digest: None,
        };
        let file = "apiVersion: v1\nkind: X\nmetadata: {name: n, namespace: q}\n\
                    a: a:1 # {\"$imagepolicy\": \"ns:app\"}\nb: a:1 # {\"$imagepolicy\": \"ns:app\"}\n\
                    ---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n\
                    tag: 1 # {\"$imagepolicy\": \"ns:app:tag\"}\n";
        let applied = apply_file("deploy/x.yaml", file.as_bytes(), &Setters::of(&[choice]).unwrap());
        let values = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
        render(template, &Data { automation: ("flux-system", "auto"), changed: &applied.changed, values: &values })
    }

    #[test]
    fn the_data_model_is_flux_s() {
        for (template, wanted) in [
            ("", DEFAULT),
            ("{{ .AutomationObject }} {{ .AutomationObject.Name }}", "flux-system/auto auto"),
            ("{{ .Values.env | upper }} {{ index .Values \"env\" }}", "PROD prod"),
            ("{{ .Values.none }}", "<no value>"),
            (
                "{{ range $file, $objects := .Changed.FileChanges }}{{ $file }}:{{ range $o, $c := $objects }} \
                 {{ $o.Kind }}/{{ $o.Name }}={{ len $c }}{{ end }}{{ end }}",
                "deploy/x.yaml: Deployment/web=1 X/n=2",
            ),
            (
                "{{ range $o, $cs := .Changed.Objects }}{{ $o.APIVersion }} {{ $o.Namespace }}:{{ range $cs }} \
                 {{ .OldValue }}->{{ .NewValue }}{{ end }};{{ end }}",
                "apps/v1 : 1->2.0.0;v1 q: a:1->new/app:2.0.0 a:1->new/app:2.0.0;",
            ),
            (
                "{{ range .Changed.Changes }}{{ print .OldValue }} -> {{ println .NewValue }}{{ end }}",
                "1 -> 2.0.0\na:1 -> new/app:2.0.0\n",
            ),
            ("{{ range .Changed.Changes }}{{ . }}{{ end }}", "{1 2.0.0 ns:app:tag}{a:1 new/app:2.0.0 ns:app}"),
            (
                "{{ .Changed.Objects }}",
                "map[{{{apps/v1 Deployment} {web }}}:[{1 2.0.0 ns:app:tag}] \
                 {{{v1 X} {n q}}}:[{a:1 new/app:2.0.0 ns:app} {a:1 new/app:2.0.0 ns:app}]]",
            ),
            ("{{ if .Changed.Changes }}yes{{ else }}no{{ end }}", "yes"),
        ] {
            assert_eq!(rendered(template).as_deref(), Ok(wanted), "{template}");
        }
    }

    #[test]
    fn removed_fields_and_what_is_not_allowed_give_flux_s_errors() {
        for (template, wanted) in [
            ("{{ range .Updated.images }}{{ println . }}{{ end }}", "template uses removed '.Updated' field."),
            ("{{ .Changed.ImageResult }}", "template uses removed '.Changed.ImageResult' field."),
            (
                "{{ .Nothing }}",
                "failed to run template from spec: template: commit message:1:3: executing \"commit \
                message\" at <.Nothing>: can't evaluate field Nothing in type source.TemplateData",
            ),
            (
                "{{ now }}",
                "unable to create commit message template from spec: template: commit message:1: function \
                \"now\" not defined",
            ),
            ("{{ env \"HOME\" }}", "unable to create commit message template"),
            ("{{ include \"x\" . }}", "unable to create commit message template"),
            ("{{ range", "unable to create commit message template from spec: template: commit message:1: "),
        ] {
            let error = rendered(template).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{template}: {error}");
        }
    }
}
