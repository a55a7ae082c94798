//! One random repository: bases, overlays and components, with everything that a kustomization may hold.

use serde_json::{Map, Value, json};
use weir::base::yaml;

use super::Repository;
use super::text::{Dice, RAW, look};

const NAMES: &[&str] = &["web", "api", "db", "cache"];
const TEXTS: &[&str] = &[
    "$(NAME)",
    "a-$(KEY)-b",
    "plain text",
    "x\ny\n",
    "# no comment",
    "$$(NAME)",
    "a: b",
    "http://$(NAME):80/",
    "x\n  y\nz\n",
];

/// The repository of a seed; its directory `top` is what is built.
pub fn repository(seed: u64) -> Repository {
    let templates = yaml::read(include_bytes!("objects.yaml"), &yaml::Limits::default()).unwrap();
    let templates = templates.into_iter().map(|document| document.value).collect();
    let mut dice = Dice(seed.wrapping_mul(0x5851_F42D_4C95_7F2D));
    let density = *dice.pick(&[20, 35, 50, 70, 120]);
    let mut maker = Maker { dice, density, made: Repository::default(), templates };
    maker.made.seed = seed;
    let mut lower: Vec<Layer> =
        (0..=maker.dice.below(2)).map(|at| maker.layer(&format!("base{at}"), &[], false)).collect();
    for at in 0..maker.dice.below(3) {
        let keep = maker.dice.below(lower.len() + 1);
        let below: Vec<Layer> = lower.drain(keep..).collect();
        lower.push(maker.layer(&format!("mid{at}"), &below, false));
    }
    maker.layer("top", &lower, true);
    maker.made
}

/// A directory that others may include, with the objects that come out of it as they were written.
struct Layer {
    directory: String,
    objects: Vec<Value>,
}

struct Maker {
    dice: Dice,
    /// Percentage of the usual number of features.
    density: usize,
    made: Repository,
    templates: Vec<Value>,
}

type Fields = Map<String, Value>;

impl Maker {
    fn layer(&mut self, directory: &str, below: &[Layer], is_top: bool) -> Layer {
        let mut fields = Fields::new();
        let mut resources: Vec<Value> = below.iter().map(|layer| json!(format!("../{}", layer.directory))).collect();
        let mut objects: Vec<Value> = below.iter().flat_map(|layer| layer.objects.clone()).collect();
        let own = if below.is_empty() { 1 + self.dice.below(6) } else { self.dice.below(3) };
        let mut files: Vec<Vec<Value>> = Vec::new();
        for _ in 0..own {
            let object = self.object();
            if objects.iter().any(|other| same_id(other, &object)) && self.dice.chance(95) {
                continue;
            }
            objects.push(object.clone());
            match files.last_mut() {
                Some(file) if self.dice.chance(50) => file.push(object),
                _ => files.push(vec![object]),
            }
        }
        for (at, mut documents) in files.into_iter().enumerate() {
            if self.dice.chance(5) {
                documents = vec![json!({"apiVersion": "v1", "kind": "List", "items": documents})];
            }
            resources.push(json!(format!("r{at}.yaml")));
            self.made.documents.insert(format!("{directory}/r{at}.yaml"), documents);
        }
        if !resources.is_empty() {
            fields.insert("resources".into(), resources.into());
        }
        if self.dice.chance(12)
            && directory != "component"
            && !self.made.documents.contains_key("component/kustomization.yaml")
        {
            self.component(&mut fields, &mut objects);
        }
        self.features(directory, &mut fields, &mut objects, is_top);
        if self.dice.chance(30) {
            fields.insert("apiVersion".into(), json!("kustomize.config.k8s.io/v1beta1"));
            fields.insert("kind".into(), json!("Kustomization"));
        }
        self.made.documents.insert(format!("{directory}/kustomization.yaml"), vec![Value::Object(fields)]);
        Layer { directory: directory.to_owned(), objects }
    }

    fn component(&mut self, fields: &mut Fields, objects: &mut Vec<Value>) {
        let mut own = Fields::new();
        own.insert("apiVersion".into(), json!("kustomize.config.k8s.io/v1alpha1"));
        own.insert("kind".into(), json!("Component"));
        self.features("component", &mut own, objects, false);
        self.made.documents.insert("component/kustomization.yaml".into(), vec![Value::Object(own)]);
        fields.insert("components".into(), json!(["../component"]));
    }

    /// An object of a random kind and name.
    fn object(&mut self) -> Value {
        let mut object = self.dice.pick(&self.templates).clone();
        let name = *self.dice.pick(NAMES);
        self.fill(&mut object, name);
        if self.dice.chance(12) {
            let namespace = *self.dice.pick(&["dev", "prod", "default"]);
            object["metadata"]["namespace"] = json!(namespace);
        }
        if self.dice.chance(3) {
            object["metadata"]["annotations"]["config.kubernetes.io/local-config"] = json!("true");
        }
        object
    }

    fn fill(&mut self, value: &mut Value, name: &str) {
        match value {
            Value::String(text) => match text.as_str() {
                "@R" => *value = if self.dice.chance(60) { json!("text") } else { look(&mut self.dice) },
                "@V" => *value = json!(*self.dice.pick(TEXTS)),
                "@N" => *value = json!(name),
                "@O" => *value = json!(*self.dice.pick(NAMES)),
                _ => {}
            },
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill(item, name)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.fill(field, name)),
            _ => {}
        }
    }

    fn features(&mut self, directory: &str, fields: &mut Fields, objects: &mut Vec<Value>, is_top: bool) {
        for (name, values) in
            [("namePrefix", ["p-", "dev-"]), ("nameSuffix", ["-s", "-v2"]), ("namespace", ["dev", "prod"])]
        {
            if self.often(22) {
                fields.insert(name.into(), json!(*self.dice.pick(&values)));
            }
        }
        if self.often(12) {
            fields.insert("commonLabels".into(), json!({"common": self.label(), "app": "all"}));
        }
        if self.often(12) {
            fields.insert("commonAnnotations".into(), json!({"owner": self.label(), "example.com/x": "y"}));
        }
        if self.often(18) {
            fields.insert("labels".into(), self.labels());
        }
        if self.often(20) {
            fields.insert("images".into(), self.images());
        }
        let scales = |object: &&Value| ["Deployment", "StatefulSet"].iter().any(|kind| object["kind"] == *kind);
        let scaled: Vec<Value> =
            objects.iter().filter(scales).map(|object| object["metadata"]["name"].clone()).collect();
        if !scaled.is_empty() && self.often(25) {
            let name = self.dice.pick(&scaled).clone();
            let count = self.dice.below(9);
            fields.insert("replicas".into(), json!([{"name": name, "count": count}]));
        }
        self.generators(directory, fields, objects);
        if self.often(45) && !objects.is_empty() {
            let patches: Vec<Value> = (0..=self.dice.below(2)).map(|_| self.patch(directory, objects)).collect();
            fields.insert("patches".into(), patches.into());
        }
        if self.often(6) && !objects.is_empty() {
            let patch = self.merge_patch(objects);
            fields.insert("patchesStrategicMerge".into(), json!([inline(&patch)]));
        }
        if self.often(6) && !objects.is_empty() {
            let object = self.dice.pick(objects).clone();
            let patch = self.json_patch(&object);
            fields.insert("patchesJson6902".into(), json!([{"target": exact(&object), "patch": patch.to_string()}]));
        }
        if self.often(20) && objects.len() > 1 {
            let list: Vec<Value> = (0..=self.dice.below(2)).map(|_| self.replacement(objects)).collect();
            fields.insert("replacements".into(), list.into());
        }
        if self.often(12) && !objects.is_empty() {
            fields.insert("vars".into(), self.vars(objects));
        }
        if self.often(6) {
            self.made.documents.insert(format!("{directory}/config.yaml"), vec![configuration()]);
            fields.insert("configurations".into(), json!(["config.yaml"]));
        }
        if self.often(5) {
            self.made.texts.insert(format!("{directory}/crd.json"), crd().to_string());
            fields.insert("crds".into(), json!(["crd.json"]));
        }
        if self.often(3) {
            self.made.texts.insert(format!("{directory}/schema.json"), schema().to_string());
            fields.insert("openapi".into(), json!({"path": "schema.json"}));
        }
        if self.often(12) {
            let list = vec![self.transformer(directory, objects)];
            self.made.documents.insert(format!("{directory}/transformer.yaml"), list);
            fields.insert("transformers".into(), json!(["transformer.yaml"]));
        }
        if is_top {
            self.top_only(fields);
        }
    }

    /// As [`Dice::chance`], in a repository that has few or many features.
    fn often(&mut self, percent: usize) -> bool {
        self.dice.chance(percent * self.density / 100)
    }

    fn top_only(&mut self, fields: &mut Fields) {
        if self.dice.chance(25) {
            let sort = match self.dice.below(3) {
                0 => json!({"order": "fifo"}),
                1 => json!({"order": "legacy"}),
                _ => {
                    json!({"order": "legacy", "legacySortOptions": {"orderFirst": ["Deployment", "Namespace"], "orderLast": ["ConfigMap", "Service"]}})
                }
            };
            fields.insert("sortOptions".into(), sort);
        }
        if self.dice.chance(15) {
            let all = ["managedByLabel", "originAnnotations", "transformerAnnotations"];
            let some: Vec<&str> = all.into_iter().filter(|_| self.dice.chance(60)).collect();
            fields.insert("buildMetadata".into(), json!(some));
        }
    }

    /// A text for a label; sometimes one that looks like another type.
    fn label(&mut self) -> Value {
        json!(*self.dice.pick(&["a", "b", "true", "1", "x.y", "1.0", ""]))
    }

    fn labels(&mut self) -> Value {
        let mut label = json!({"pairs": {"set": self.label(), "tier": "t"}});
        if self.dice.chance(35) {
            label["includeSelectors"] = json!(true);
        }
        if self.dice.chance(35) {
            label["includeTemplates"] = json!(true);
        }
        if self.dice.chance(15) {
            label["fields"] = json!([{"path": "spec/labels", "create": self.dice.chance(50), "kind": "Widget"}]);
        }
        match self.dice.chance(30) {
            true => json!([label, {"pairs": {"second": "x"}}]),
            false => json!([label]),
        }
    }

    fn images(&mut self) -> Value {
        let names = ["nginx", "busybox", "registry.example.com:5000/team/web", "postgres", "app", "ngin.", "missing"];
        let mut list = Vec::new();
        for _ in 0..=self.dice.below(2) {
            let mut image = json!({"name": *self.dice.pick(&names)});
            if self.dice.chance(50) {
                image["newName"] = json!(*self.dice.pick(&["other/app", "localhost:5000/x", "nginx"]));
            }
            match self.dice.below(5) {
                0 => image["digest"] = json!("sha256:1111111111111111111111111111111111111111111111111111111111111111"),
                1 | 2 => image["newTag"] = json!(*self.dice.pick(&["2.0", "latest", "v1"])),
                3 => image["tagSuffix"] = json!("-alpine"),
                _ => {}
            }
            list.push(image);
        }
        list.into()
    }

    fn generators(&mut self, directory: &str, fields: &mut Fields, objects: &mut Vec<Value>) {
        for (field, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
            if !self.often(18) {
                continue;
            }
            let name = *self.dice.pick(NAMES);
            let mut entry = json!({"name": name});
            let same = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
            let found = objects.iter().find(same);
            let exists = found.is_some();
            if let Some(namespace) = found.and_then(|object| object["metadata"].get("namespace")) {
                entry["namespace"] = namespace.clone();
            }
            if exists || self.dice.chance(2) {
                let behavior = if self.dice.chance(3) { "create" } else { *self.dice.pick(&["merge", "replace"]) };
                entry["behavior"] = json!(behavior);
            }
            if self.dice.chance(70) {
                entry["literals"] =
                    json!(["a=1", format!("key={}", self.dice.pick(TEXTS)), "q='quoted'", "d=\"x\"", "e="]);
            }
            if self.dice.chance(30) {
                self.made.texts.insert(
                    format!("{directory}/file.txt"),
                    (*self.dice.pick(&["one\ntwo\n", "x", "", " \n", "é\n"])).into(),
                );
                entry["files"] = json!([*self.dice.pick(&["file.txt", "renamed=file.txt"])]);
            }
            if self.dice.chance(20) {
                self.made.texts.insert(format!("{directory}/env.env"), "# c\nA=1\n\nB=x=y\nC=\n D= v \n".into());
                entry["envs"] = json!(["env.env"]);
            }
            if self.dice.chance(25) {
                entry["options"] = json!({"labels": {"gen": "x"}, "annotations": {"note": self.label()}, "disableNameSuffixHash": self.dice.chance(50), "immutable": self.dice.chance(30)});
            }
            if !exists && self.dice.chance(10) {
                entry["namespace"] = json!("dev");
            }
            if kind == "Secret" && self.dice.chance(20) {
                entry["type"] = json!("kubernetes.io/opaque");
            }
            if !exists {
                objects.push(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": {"a": "1", "key": "x"}}));
                if let Some(namespace) = entry.get("namespace") {
                    objects.last_mut().unwrap()["metadata"]["namespace"] = namespace.clone();
                }
            }
            fields.insert(field.into(), json!([entry]));
        }
        if self.dice.chance(8) {
            fields.insert("generatorOptions".into(), json!({"disableNameSuffixHash": self.dice.chance(50), "labels": {"all": "x"}, "annotations": {"g": "y"}}));
        }
    }

    fn patch(&mut self, directory: &str, objects: &[Value]) -> Value {
        let object = self.dice.pick(objects).clone();
        let mut entry = json!({});
        let is_json = self.dice.chance(35);
        let patch = if is_json { self.json_patch(&object) } else { self.merge_patch(std::slice::from_ref(&object)) };
        if is_json || self.dice.chance(40) {
            entry["target"] = match self.dice.below(6) {
                0 => json!({"kind": object["kind"]}),
                1 => json!({"labelSelector": "app in (web, api)"}),
                2 => json!({"name": "w.*|api", "kind": object["kind"]}),
                3 => json!({"annotationSelector": "note"}),
                _ => exact(&object),
            };
        }
        if self.dice.chance(8) {
            entry["options"] = json!({"allowNameChange": true, "allowKindChange": self.dice.chance(50)});
        }
        if self.dice.chance(30) {
            let name = format!("patch{}.yaml", self.dice.below(3));
            self.made.documents.insert(format!("{directory}/{name}"), vec![patch]);
            entry["path"] = json!(name);
        } else {
            entry["patch"] = if is_json { json!(patch.to_string()) } else { inline(&patch) };
        }
        entry
    }

    /// The ids of an object and some of its fields, changed.
    fn merge_patch(&mut self, objects: &[Value]) -> Value {
        let object = self.dice.pick(objects).clone();
        let mut metadata = json!({"name": object["metadata"]["name"]});
        if let Some(namespace) = object["metadata"].get("namespace") {
            metadata["namespace"] = namespace.clone();
        }
        let mut patch = json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": metadata});
        if self.dice.chance(5) {
            patch["$patch"] = json!("delete");
            return patch;
        }
        for _ in 0..=self.dice.below(2) {
            let keys: Vec<&String> = object
                .as_object()
                .unwrap()
                .keys()
                .filter(|key| !["apiVersion", "kind", "metadata"].contains(&key.as_str()))
                .collect();
            match keys.is_empty() || self.dice.chance(20) {
                true => patch["metadata"]["labels"] = json!({"patched": look(&mut self.dice), "app": Value::Null}),
                false => {
                    let key = (*self.dice.pick(&keys)).clone();
                    patch[&key] = self.changed(&object[&key]);
                }
            }
        }
        patch
    }

    /// A part of a value that a patch may bring, with something changed.
    fn changed(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let mut made = Fields::new();
                let keys: Vec<&String> = fields.keys().collect();
                for _ in 0..=self.dice.below(2) {
                    let key = (*self.dice.pick(&keys)).clone();
                    let new = if self.dice.chance(7) { Value::Null } else { self.changed(&fields[&key]) };
                    made.insert(key, new);
                }
                for key in ["name", "containerPort", "port", "mountPath", "ip", "key"] {
                    if let Some(value) = fields.get(key).filter(|_| self.dice.chance(93)) {
                        made.insert(key.into(), value.clone());
                    }
                }
                match self.dice.below(40) {
                    0 => drop(made.insert("$patch".into(), json!("delete"))),
                    1 => drop(made.insert("$patch".into(), json!("replace"))),
                    2 => drop(made.insert("$patch".into(), json!("merge"))),
                    3..=7 => drop(made.insert("added".into(), look(&mut self.dice))),
                    8 => drop(made.insert("added".into(), json!({"x": null, "y": []}))),
                    _ => {}
                }
                made.into()
            }
            Value::Array(items) if !items.is_empty() => {
                let mut made: Vec<Value> = (0..=self.dice.below(2))
                    .map(|_| {
                        let item = self.dice.pick(items).clone();
                        self.changed(&item)
                    })
                    .collect();
                match self.dice.below(20) {
                    0 => made.push(json!({"$patch": "replace"})),
                    1 => made.push(json!({"name": "added", "image": "nginx", "value": "x"})),
                    2 => made.clear(),
                    _ => {}
                }
                made.into()
            }
            Value::String(_) if self.dice.chance(50) => json!(*self.dice.pick(NAMES)),
            _ if self.dice.chance(10) => json!(self.dice.below(100)),
            _ => look(&mut self.dice),
        }
    }

    fn json_patch(&mut self, object: &Value) -> Value {
        let mut operations = Vec::new();
        for _ in 0..=self.dice.below(2) {
            let path = self.pointer(object);
            let value = match self.dice.below(4) {
                0 => json!({"x": 1.5, "y": ["z"]}),
                1 => json!(self.dice.below(2000)),
                2 => json!("017"),
                _ => json!("new"),
            };
            operations.push(match self.dice.below(9) {
                0 | 1 => json!({"op": "replace", "path": path, "value": value}),
                2 => json!({"op": "remove", "path": path}),
                3 if object.pointer(&path).is_some_and(Value::is_array) || self.dice.chance(2) => {
                    json!({"op": "add", "path": format!("{path}/-"), "value": value})
                }
                4 => json!({"op": "copy", "from": path, "path": "/metadata/copied"}),
                5 => json!({"op": "move", "from": path, "path": "/metadata/moved"}),
                6 => json!({"op": "add", "path": "/metadata/annotations", "value": {"only": "this"}}),
                7 if !object.pointer(&path).is_some_and(|value| value.to_string().contains("\\u0001")) => {
                    json!({"op": "test", "path": path, "value": object.pointer(&path)})
                }
                _ => json!({"op": "add", "path": path, "value": value}),
            });
        }
        operations.into()
    }

    /// The way to a random part.
    fn pointer(&mut self, object: &Value) -> String {
        let mut path = String::new();
        let mut at = object;
        loop {
            let (key, next) = match at {
                Value::Object(fields) if !fields.is_empty() => {
                    let keys: Vec<&String> = fields.keys().collect();
                    let key = match path.as_str() {
                        "" if fields.contains_key("spec") && self.dice.chance(90) => "spec".to_owned(),
                        // What hash a generated object of another kind gets depends on how the reference is built.
                        "" => (*self.dice.pick(&keys.iter().filter(|key| **key != "kind").collect::<Vec<_>>()))
                            .to_string(),
                        _ => (*self.dice.pick(&keys)).clone(),
                    };
                    (key.replace('~', "~0").replace('/', "~1"), &fields[&key])
                }
                Value::Array(items) if !items.is_empty() => {
                    let index = self.dice.below(items.len());
                    (index.to_string(), &items[index])
                }
                _ => return path,
            };
            path = format!("{path}/{key}");
            at = next;
            if self.dice.chance(18) && path.matches('/').count() > 1 {
                return path;
            }
        }
    }

    /// The way to a random part as replacements write it, and whether a mapping is there.
    fn field_path(&mut self, object: &Value, wild: bool) -> (String, bool) {
        let pointer = self.pointer(object);
        self.path_of(object, &pointer, wild)
    }

    fn path_of(&mut self, object: &Value, pointer: &str, wild: bool) -> (String, bool) {
        let mut at = object;
        let mut parts: Vec<String> = Vec::new();
        for key in pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~")) {
            let (part, next) = match at {
                Value::Array(items) => {
                    let item = &items[key.parse::<usize>().unwrap()];
                    let name = item.get("name").and_then(Value::as_str).filter(|_| self.dice.chance(60));
                    (
                        name.map_or(if wild && self.dice.chance(30) { "*".to_owned() } else { key.clone() }, |name| {
                            format!("[name={name}]")
                        }),
                        item,
                    )
                }
                _ => (if key.contains(['.', '/']) { format!("[{key}]") } else { key.clone() }, &at[&key]),
            };
            parts.push(part);
            at = next;
        }
        (parts.join("."), at.is_object())
    }

    fn replacement(&mut self, objects: &[Value]) -> Value {
        let source = self.dice.pick(objects).clone();
        let mut from = exact(&source);
        let mut is_nested = false;
        if self.dice.chance(75) {
            let plain = |pointer: &String| !source.pointer(pointer).is_some_and(|at| at.is_object() || at.is_array());
            let nested = self.dice.chance(12);
            let pointers: Vec<String> = (0..5).map(|_| self.pointer(&source)).collect();
            let pointer = pointers.iter().find(|pointer| nested || plain(pointer)).unwrap_or(&pointers[0]);
            is_nested = !plain(pointer);
            from["fieldPath"] = json!(self.path_of(&source, pointer, false).0);
        } else if self.dice.chance(60) {
            let index = usize::from(self.dice.chance(15));
            from["options"] = json!({"delimiter": *self.dice.pick(&[".", "-", "/", ":"]), "index": index});
        }
        // The reference copies a list or mapping of an object into itself while it changes, so that is left out.
        let others: Vec<&Value> =
            objects.iter().filter(|object| !is_nested || object["kind"] != source["kind"]).collect();
        if others.is_empty() {
            return json!({"source": exact(&source), "targets": [{"select": exact(&source)}]});
        }
        let target = (*self.dice.pick(&others)).clone();
        let mut select = exact(&target);
        if self.dice.chance(25) {
            select.as_object_mut().unwrap().shift_remove("name");
        }
        let (path, is_mapping) = self.field_path(&target, true);
        let path = if is_mapping { format!("{path}.made") } else { path };
        let mut to = json!({"select": select, "fieldPaths": [path]});
        match self.dice.below(5) {
            0..=4 if is_mapping => to["options"] = json!({"create": self.dice.chance(95)}),
            0 => to["options"] = json!({"create": true}),
            1 => {
                to["options"] =
                    json!({"delimiter": *self.dice.pick(&[".", "-", "/", ":"]), "index": self.dice.below(3) as i64 - 1})
            }
            _ => {}
        }
        if self.dice.chance(10) {
            to["reject"] = json!([{"name": *self.dice.pick(NAMES)}]);
        }
        json!({"source": from, "targets": [to]})
    }

    fn vars(&mut self, objects: &[Value]) -> Value {
        let mut list = Vec::new();
        for name in ["NAME", "KEY"] {
            let object = self.dice.pick(objects).clone();
            let mut var = json!({"name": name, "objref": {"apiVersion": object["apiVersion"], "kind": object["kind"], "name": object["metadata"]["name"]}});
            if self.dice.chance(50) {
                let (path, is_mapping) = self.field_path(&object, false);
                if !is_mapping && !path.contains(['*', '[']) {
                    var["fieldref"] = json!({"fieldPath": path});
                }
            }
            list.push(var);
            if self.dice.chance(50) {
                break;
            }
        }
        list.into()
    }

    fn transformer(&mut self, directory: &str, objects: &[Value]) -> Value {
        let base = |kind: &str, more: Value| {
            let mut made =
                json!({"apiVersion": "builtin", "kind": kind, "metadata": {"name": format!("{directory}-t")}});
            made.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            made
        };
        match self.dice.below(9) {
            0 => base("PrefixTransformer", json!({"prefix": "t-", "fieldSpecs": [{"path": "metadata/name"}]})),
            1 => base(
                "SuffixTransformer",
                json!({"suffix": "-t", "fieldSpecs": [{"path": "metadata/name", "kind": "Service"}]}),
            ),
            2 => base(
                "LabelTransformer",
                json!({"labels": {"t": "x"}, "fieldSpecs": [{"path": "metadata/labels", "create": true}, {"path": "spec/template/metadata/labels"}]}),
            ),
            3 => base(
                "AnnotationsTransformer",
                json!({"annotations": {"t": "true"}, "fieldSpecs": [{"path": "metadata/annotations", "create": self.dice.chance(50)}]}),
            ),
            4 => {
                let mut made = base(
                    "NamespaceTransformer",
                    json!({"unsetOnly": self.dice.chance(50), "setRoleBindingSubjects": *self.dice.pick(&["allServiceAccounts", "none", "defaultOnly"])}),
                );
                made["metadata"]["namespace"] = json!("prod");
                made
            }
            5 => base(
                "ImageTagTransformer",
                json!({"imageTag": {"name": "nginx", "newTag": "9"}, "fieldSpecs": [{"path": "spec/containers[]/image"}]}),
            ),
            6 => base(
                "ReplicaCountTransformer",
                json!({"replica": {"name": *self.dice.pick(NAMES), "count": 4}, "fieldSpecs": [{"path": "spec/replicas", "create": true, "kind": "Deployment"}]}),
            ),
            7 if !objects.is_empty() => {
                let patch = self.merge_patch(objects);
                base("PatchTransformer", json!({"patch": inline(&patch)}))
            }
            _ => base("HashTransformer", json!({})),
        }
    }
}

fn same_id(a: &Value, b: &Value) -> bool {
    a["kind"] == b["kind"] && a["metadata"]["name"] == b["metadata"]["name"]
}

/// Kind and name of an object, as targets and selectors write them.
fn exact(object: &Value) -> Value {
    json!({"kind": object["kind"], "name": object["metadata"]["name"]})
}

/// A document as text within another.
fn inline(document: &Value) -> Value {
    json!(super::text::write(std::slice::from_ref(document), &mut Dice(7)).replace(RAW, ""))
}

fn configuration() -> Value {
    json!({
        "nameReference": [{"kind": "ConfigMap", "version": "v1", "fieldSpecs": [{"kind": "Gadget", "path": "spec/configRef/name"}]}],
        "commonLabels": [{"kind": "Gadget", "path": "spec/template/metadata/labels", "create": true}],
        "images": [{"kind": "Widget", "path": "spec/text"}],
        "varReference": [{"kind": "Widget", "path": "spec/text"}],
        "namespace": [{"kind": "Widget", "path": "spec/ns", "create": true}],
        "replicas": [{"kind": "Widget", "path": "spec/size"}],
    })
}

fn crd() -> Value {
    let reference = json!({"type": "object", "x-kubernetes-object-ref-api-version": "v1", "x-kubernetes-object-ref-kind": "Secret", "x-kubernetes-object-ref-name-key": "name", "properties": {"name": {"type": "string"}}});
    json!({
        "github.com/x/Widget": {"Schema": {"properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}, "spec": {"$ref": "github.com/x/WidgetSpec"}}}},
        "github.com/x/WidgetSpec": {"Schema": {"properties": {"ref": reference}}},
    })
}

fn schema() -> Value {
    json!({"definitions": {"v1.Widget": {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"containers": {"type": "array", "items": {"type": "object"}, "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge"}}}},
        "x-kubernetes-group-version-kind": [{"group": "example.com", "kind": "Widget", "version": "v1"}],
    }}})
}
