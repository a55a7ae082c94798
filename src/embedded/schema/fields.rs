//! Which fields a schema declares: unknown ones found or dropped, absent ones filled in.
//!
//! Source: apiextensions-apiserver pkg/apiserver/schema/pruning and defaulting.

use serde_json::{Map, Value};

use super::Schema;
use super::node::{Additional, List, Node, NodeId, Shape};

impl Schema {
    /// Paths of fields the schema does not declare, e.g. `spec.template.spec.containers[0].imag`, sorted.
    pub fn unknown_fields(&self, value: &Value) -> Vec<String> {
        let mut copy = value.clone();
        let mut walk = Pruning { schema: self, path: String::new(), unknown: Vec::new() };
        walk.value(self.root, &mut copy);
        walk.unknown.sort();
        walk.unknown
    }

    /// Drops what the schema does not declare.
    pub fn prune(&self, value: &mut Value) {
        Pruning { schema: self, path: String::new(), unknown: Vec::new() }.value(self.root, value);
    }

    /// Fills in defaults. In custom resources null counts as absent unless the field is nullable; built-in kinds get
    /// the defaults of list keys only (a port's protocol), which decide what is the same item.
    pub fn default(&self, value: &mut Value) {
        if self.is_builtin() {
            self.default_keys(self.root, value);
        } else {
            self.drop_nulls(self.root, value);
            self.default_fields(self.root, value);
        }
    }

    fn behind(&self, node: &Node, key: &str) -> Option<NodeId> {
        match (node.fields.get(key), node.additional) {
            (Some(field), _) => Some(field.node),
            (None, Additional::Of(id)) => Some(id),
            _ => None,
        }
    }

    fn drop_nulls(&self, id: NodeId, value: &mut Value) {
        let node = self.arena.node(id);
        match value {
            Value::Object(fields) => fields.retain(|key, child| match self.behind(node, key) {
                Some(id) if child.is_null() => {
                    let node = self.arena.node(id);
                    node.nullable || node.default.is_some()
                }
                Some(id) => {
                    self.drop_nulls(id, child);
                    true
                }
                None => true,
            }),
            Value::Array(items) => {
                if let Some(id) = node.items {
                    items.iter_mut().for_each(|item| self.drop_nulls(id, item));
                }
            }
            _ => {}
        }
    }

    fn default_fields(&self, id: NodeId, value: &mut Value) {
        let node = self.arena.node(id);
        let missing = |value: &Value, id: NodeId| value.is_null() && !self.arena.node(id).nullable;
        match value {
            Value::Object(fields) => {
                for (name, field) in &node.fields {
                    let Some(default) = &field.default else { continue };
                    if fields.get(&**name).is_none_or(|value| missing(value, field.node)) {
                        fields.insert(name.to_string(), default.clone());
                    }
                }
                for (key, child) in fields.iter_mut() {
                    let Some(id) = self.behind(node, key) else { continue };
                    if missing(child, id) && !node.fields.contains_key(key.as_str()) {
                        *child = self.arena.node(id).default.clone().unwrap_or_default();
                    }
                    self.default_fields(id, child);
                }
            }
            Value::Array(items) => {
                let Some(id) = node.items else { return };
                for item in items {
                    if missing(item, id) {
                        *item = self.arena.node(id).default.clone().unwrap_or_default();
                    }
                    self.default_fields(id, item);
                }
            }
            _ => {}
        }
    }

    fn default_keys(&self, id: NodeId, value: &mut Value) {
        let node = self.arena.node(id);
        match value {
            Value::Object(fields) => {
                for (key, child) in fields.iter_mut() {
                    if let Some(id) = self.behind(node, key) {
                        self.default_keys(id, child);
                    }
                }
            }
            Value::Array(items) => {
                let Some(id) = node.items else { return };
                let fields = &self.arena.node(id).fields;
                for item in items {
                    if let (List::Map(keys), Value::Object(item)) = (&node.list, &mut *item) {
                        for key in keys {
                            let default = fields.get(key).and_then(|field| field.default.as_ref());
                            let says = |d: &&Value| d.as_str().is_some_and(|text| !text.is_empty());
                            if let (Some(default), false) = (default.filter(says), item.contains_key(&**key)) {
                                item.insert(key.to_string(), default.clone());
                            }
                        }
                    }
                    self.default_keys(id, item);
                }
            }
            _ => {}
        }
    }
}

struct Pruning<'a> {
    schema: &'a Schema,
    path: String,
    unknown: Vec<String>,
}

impl Pruning<'_> {
    fn value(&mut self, id: NodeId, value: &mut Value) {
        let node = self.schema.arena.node(id);
        if matches!(node.shape, Shape::Raw | Shape::Quantity) {
            return;
        }
        match value {
            Value::Object(fields) => self.fields(node, fields),
            Value::Array(items) => {
                // Without declared items nothing below is declared either; a preserving list keeps it.
                let item_id = node.items.filter(|_| node.shape != Shape::Any || node.prunes || node.preserve);
                if let Some(id) = item_id {
                    self.items(id, items, node.preserve);
                }
            }
            _ => {}
        }
    }

    fn items(&mut self, id: NodeId, items: &mut [Value], preserve: bool) {
        let item_preserves = self.schema.arena.node(id).preserve;
        for (index, item) in items.iter_mut().enumerate() {
            let length = self.path.len();
            self.path.push_str(&format!("[{index}]"));
            // A list below a preserving node keeps unknown fields of its items, too.
            match item {
                Value::Object(fields) if preserve && !item_preserves => self.declared(id, fields),
                item => self.value(id, item),
            }
            self.path.truncate(length);
        }
    }

    /// Visits declared fields and leaves the others alone.
    fn declared(&mut self, id: NodeId, fields: &mut Map<String, Value>) {
        let node = self.schema.arena.node(id);
        for (key, child) in fields.iter_mut() {
            if let Some(id) = self.schema.behind(node, key) {
                self.child(id, key, child);
            }
        }
    }

    fn child(&mut self, id: NodeId, key: &str, child: &mut Value) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        self.value(id, child);
        self.path.truncate(length);
    }

    fn fields(&mut self, node: &Node, fields: &mut Map<String, Value>) {
        let mut doomed = Vec::new();
        for (key, child) in fields.iter_mut() {
            match (self.schema.behind(node, key), node.additional) {
                (Some(id), _) => self.child(id, key, child),
                (None, Additional::Free) if node.preserve || !node.prunes => {}
                (None, Additional::Free) => self.undeclared(key, child),
                (None, _) if node.prunes => doomed.push(key.clone()),
                _ => {}
            }
        }
        for key in doomed {
            let dot = if self.path.is_empty() { "" } else { "." };
            self.unknown.push(format!("{}{dot}{key}", self.path));
            fields.shift_remove(&key);
        }
    }

    /// A value that may be there but has no schema: its own fields are all unknown.
    fn undeclared(&mut self, key: &str, value: &mut Value) {
        let length = self.path.len();
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path.push_str(&format!("{dot}{key}"));
        match value {
            Value::Object(fields) => {
                for key in std::mem::take(fields).keys() {
                    self.unknown.push(format!("{}.{key}", self.path));
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.undeclared_item(index, item);
                }
            }
            _ => {}
        }
        self.path.truncate(length);
    }

    fn undeclared_item(&mut self, index: usize, value: &mut Value) {
        if let Value::Object(fields) = value {
            for key in std::mem::take(fields).keys() {
                self.unknown.push(format!("{}[{index}].{key}", self.path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{builtin, custom};
    use super::*;
    use serde_json::json;

    fn schema(spec: Value) -> Schema {
        custom(Some(&json!({"type": "object", "properties": {"spec": spec}})), false).unwrap()
    }

    #[test]
    fn unknown_fields_are_named_by_their_whole_path() {
        let deployment = builtin("apps", "v1", "Deployment").unwrap();
        let value = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"x/y": "z"}, "nam": 1},
            "spec": {"replica": 1, "template": {"spec": {"containers": [{"name": "a"}, {"name": "b", "imag": "x",
                "resources": {"limits": {"cpu": "1"}}}], "nodeSelector": {"any": "thing"}}}}, "extra": true});
        assert_eq!(
            deployment.unknown_fields(&value),
            ["extra", "metadata.nam", "spec.replica", "spec.template.spec.containers[1].imag"]
        );
        let mut pruned = value.clone();
        deployment.prune(&mut pruned);
        assert!(deployment.unknown_fields(&pruned).is_empty());
        assert_eq!(pruned["spec"]["template"]["spec"]["nodeSelector"], json!({"any": "thing"}));
        assert_eq!(
            value["spec"]["template"]["spec"]["containers"][1]["resources"],
            pruned["spec"]["template"]["spec"]["containers"][1]["resources"]
        );
    }

    #[test]
    fn raw_parts_of_built_ins_are_left_alone() {
        let crd = builtin("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap();
        let value = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {"default": {"any": 1}, "enum": [{"b": 1}],
            "properties": {"p": {"type": "string", "example": {"x": 1}, "items": {"type": "x"}, "additionalProperties": true}}}}}]}});
        assert_eq!(crd.unknown_fields(&value), Vec::<String>::new());
        let revision = builtin("apps", "v1", "ControllerRevision").unwrap();
        assert!(revision.unknown_fields(&json!({"data": {"spec": {"any": [1]}}})).is_empty());
        let managed = json!({"metadata": {"managedFields": [{"fieldsV1": {"f:spec": {"f:x": {}}}}]}});
        assert!(revision.unknown_fields(&managed).is_empty());
    }

    #[test]
    fn custom_resources_drop_what_is_not_declared_and_keep_what_is_preserved() {
        let preserving = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"strict": {"type": "object", "properties": {"a": {"type": "string"}}}}});
        let schema = schema(json!({"type": "object", "properties": {
            "name": {"type": "string"}, "free": preserving, "empty": {"type": "object"},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"k": {"type": "string"}}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
            "embedded": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
            "any": {"x-kubernetes-preserve-unknown-fields": true}}}));
        let mut value = json!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "n", "odd": 1}, "status": {"x": 1},
            "spec": {"name": "n", "unknown": 1, "free": {"x": {"y": 1}, "strict": {"a": "1", "b": 2}}, "empty": {"z": 1},
                "map": {"one": {"k": "1", "u": 2}}, "list": [{"k": "1", "u": 2}], "any": {"a": [{"b": 1}]},
                "embedded": {"apiVersion": "v1", "kind": "P", "metadata": {"name": "x"}, "other": 1, "spec": {"q": 1}}}});
        let unknown = schema.unknown_fields(&value);
        assert_eq!(
            unknown,
            [
                "metadata.odd",
                "spec.embedded.other",
                "spec.embedded.spec.q",
                "spec.empty.z",
                "spec.free.strict.b",
                "spec.list[0].u",
                "spec.map.one.u",
                "spec.unknown",
                "status"
            ]
        );
        schema.prune(&mut value);
        assert_eq!(
            value["spec"],
            json!({"name": "n", "free": {"x": {"y": 1}, "strict": {"a": "1"}}, "empty": {}, "map": {"one": {"k": "1"}},
                "list": [{"k": "1"}], "any": {"a": [{"b": 1}]},
                "embedded": {"apiVersion": "v1", "kind": "P", "metadata": {"name": "x"}, "spec": {}}})
        );
        let mut anything = json!({"kind": "K", "spec": {"a": 1}, "b": [{}]});
        let before = anything.clone();
        custom(None, true).unwrap().prune(&mut anything);
        assert_eq!(anything, before);
    }

    #[test]
    fn defaults_fill_what_is_absent_or_null_unless_null_is_a_value() {
        let schema = schema(json!({"type": "object", "default": {"made": true}, "properties": {
            "made": {"type": "boolean"}, "size": {"type": "integer", "default": 3},
            "maybe": {"type": "string", "nullable": true, "default": "x"}, "plain": {"type": "string"},
            "keep": {"type": "string", "nullable": true},
            "deep": {"type": "object", "default": {}, "properties": {"inner": {"type": "string", "default": "i"}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"d": {"type": "integer", "default": 1}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"d": {"type": "integer", "default": 1}}}}}}));
        let defaulted = |mut value: Value| {
            schema.default(&mut value);
            value
        };
        let made = defaulted(json!({"kind": "K"}));
        assert_eq!(made["spec"], json!({"made": true, "size": 3, "maybe": "x", "deep": {"inner": "i"}}));
        let value = defaulted(
            json!({"spec": {"size": null, "maybe": null, "plain": null, "keep": null, "deep": {"inner": null},
            "list": [{}, {"d": 2}], "map": {"a": {}}}}),
        );
        assert_eq!(
            value["spec"],
            json!({"size": 3, "maybe": null, "keep": null, "deep": {"inner": "i"}, "list": [{"d": 1}, {"d": 2}],
                "map": {"a": {"d": 1}}})
        );
    }

    #[test]
    fn a_port_without_protocol_is_tcp() {
        let service = builtin("", "v1", "Service").unwrap();
        let mut value = json!({"spec": {"ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}});
        service.default(&mut value);
        assert_eq!(value["spec"]["ports"], json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]));
        assert_eq!(value["spec"].as_object().unwrap().len(), 1);
    }
}
