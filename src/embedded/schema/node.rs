//! The nodes a schema is made of, and the reader that turns OpenAPI v3 into them.
//!
//! Built-in kinds and custom resources become the same nodes, so everything above asks one kind of question.
//! An arena instead of a tree, because built-in types refer to themselves (a JSON schema holds JSON schemas).

use std::collections::{BTreeMap, HashMap};

use regex::Regex;
use serde_json::{Map, Value};

use super::rules::Rule;

/// Where a node stands in its arena.
pub type NodeId = u32;

/// Any value: scalars and lists are leaves, maps are merged key by key.
pub const DEDUCED: NodeId = 0;
/// Any value as one leaf.
pub const ATOMIC: NodeId = 1;

/// What kind of value a node takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Any,
    /// Any value, owned and replaced as a whole.
    Raw,
    Object,
    Array,
    Text,
    Integer,
    Number,
    Boolean,
    IntOrString,
    Quantity,
}

/// What an object may hold besides its declared fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Additional {
    /// The schema does not say.
    Undeclared,
    Forbidden,
    Free,
    Of(NodeId),
}

/// How list items are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum List {
    Atomic,
    Set,
    Map(Vec<Box<str>>),
}

/// How a strategic merge patch treats a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strategy {
    pub merge: bool,
    pub replace: bool,
    pub retain_keys: bool,
    pub key: Option<Box<str>>,
}

/// One declared field of an object.
#[derive(Clone, Debug)]
pub struct Field {
    pub node: NodeId,
    pub default: Option<Value>,
    pub strategy: Strategy,
}

/// One place of a schema.
#[derive(Clone, Debug)]
pub struct Node {
    pub shape: Shape,
    pub format: Option<Box<str>>,
    pub fields: BTreeMap<Box<str>, Field>,
    pub additional: Additional,
    /// What merging finds behind a key that is no field; none when such a key is an error.
    pub element: Option<NodeId>,
    pub items: Option<NodeId>,
    pub list: List,
    /// An object that is owned and replaced as a whole.
    pub atomic: bool,
    pub required: Vec<Box<str>>,
    pub nullable: bool,
    pub preserve: bool,
    pub embedded: bool,
    /// What is not declared is dropped; built-in objects without declared fields hold anything.
    pub prunes: bool,
    pub default: Option<Value>,
    pub checks: Option<Box<Checks>>,
}

/// Value checks of custom resources.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub multiple_of: Option<f64>,
    pub max_length: Option<u64>,
    pub min_length: Option<u64>,
    pub pattern: Option<(Box<str>, Option<Regex>)>,
    pub max_items: Option<u64>,
    pub min_items: Option<u64>,
    pub unique_items: bool,
    pub max_properties: Option<u64>,
    pub min_properties: Option<u64>,
    pub one_of_values: Vec<Value>,
    pub all_of: Vec<NodeId>,
    pub any_of: Vec<NodeId>,
    pub one_of: Vec<NodeId>,
    pub not: Option<NodeId>,
    pub rules: Vec<Rule>,
}

/// Every node of a schema, or of all built-in ones.
#[derive(Debug)]
pub struct Arena {
    nodes: Vec<Node>,
}

impl Arena {
    /// The node at a place; every id comes from this arena's reader.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// The node behind a key of an object, declared or not.
    pub fn behind(&self, node: &Node, key: &str) -> Option<NodeId> {
        node.fields.get(key).map(|field| field.node).or(node.element)
    }
}

impl Node {
    fn of(shape: Shape) -> Node {
        Node {
            shape,
            format: None,
            fields: BTreeMap::new(),
            additional: Additional::Undeclared,
            element: None,
            items: None,
            list: List::Atomic,
            atomic: false,
            required: Vec::new(),
            nullable: false,
            preserve: false,
            embedded: false,
            prunes: false,
            default: None,
            checks: None,
        }
    }
}

/// Reads OpenAPI v3 schemas into an arena.
pub struct Reader<'a> {
    nodes: Vec<Node>,
    /// What `$ref` may name.
    types: &'a Map<String, Value>,
    named: HashMap<String, NodeId>,
    /// Custom resources: an object that declares nothing drops everything.
    custom: bool,
}

impl<'a> Reader<'a> {
    /// A reader that resolves references among `types`.
    pub fn new(types: &'a Map<String, Value>) -> Self {
        let mut deduced = Node::of(Shape::Any);
        deduced.element = Some(DEDUCED);
        deduced.items = Some(ATOMIC);
        let mut atomic = Node::of(Shape::Raw);
        atomic.element = Some(ATOMIC);
        atomic.items = Some(ATOMIC);
        atomic.atomic = true;
        Reader { nodes: vec![deduced, atomic], types, named: HashMap::new(), custom: false }
    }

    /// Reads a custom resource's schema as a root: with the head of every object.
    pub fn custom(&mut self, schema: &Value, preserve: bool) -> NodeId {
        self.custom = true;
        let mut root = self.read(schema, preserve);
        root.embedded = true;
        root.preserve |= preserve;
        self.embed(&mut root, preserve);
        self.push(root)
    }

    /// The arena of everything read.
    pub fn finish(self) -> Arena {
        Arena { nodes: self.nodes }
    }

    /// Reads a named type once.
    pub fn named(&mut self, name: &str) -> NodeId {
        if let Some(id) = self.named.get(name) {
            return *id;
        }
        let id = self.nodes.len() as NodeId;
        self.nodes.push(Node::of(Shape::Any));
        self.named.insert(name.to_string(), id);
        let custom = std::mem::replace(&mut self.custom, false);
        let mut node = match (name.rsplit('.').next(), self.types.get(name)) {
            (Some("Quantity"), _) => Node::of(Shape::Quantity),
            (Some("IntOrString"), _) => self.free(Shape::IntOrString),
            (Some("RawExtension"), _) => self.nodes[ATOMIC as usize].clone(),
            (_, Some(schema)) => self.read(schema, false),
            (_, None) => self.nodes[DEDUCED as usize].clone(),
        };
        if name.ends_with(".v1.JSON") || name.ends_with(".FieldsV1") {
            node.additional = Additional::Free;
        }
        self.custom = custom;
        self.nodes[id as usize] = node;
        id
    }

    /// Reads a schema in place; `preserve` is inherited from above.
    pub fn add(&mut self, schema: &Value, preserve: bool) -> NodeId {
        if let Some(name) = schema["$ref"].as_str() {
            let id = self.named(name);
            let Some(kind) = schema["x-kubernetes-map-type"].as_str() else { return id };
            let mut node = self.nodes[id as usize].clone();
            node.atomic = kind == "atomic";
            return self.push(node);
        }
        let node = self.read(schema, preserve);
        self.push(node)
    }

    /// Reads a part of a custom resource's schema.
    pub fn own(&mut self, schema: &Value) -> NodeId {
        self.custom = true;
        self.add(schema, false)
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        (self.nodes.len() - 1) as NodeId
    }

    fn free(&self, shape: Shape) -> Node {
        let mut node = Node::of(shape);
        node.element = Some(DEDUCED);
        node.items = Some(ATOMIC);
        node
    }

    fn read(&mut self, schema: &Value, inherited: bool) -> Node {
        let is = |key: &str| schema[key].as_bool().unwrap_or_default();
        let int_or_string = is("x-kubernetes-int-or-string") || schema["format"] == "int-or-string";
        let mut node = Node::of(match schema["type"].as_str() {
            _ if int_or_string => Shape::IntOrString,
            Some("object") => Shape::Object,
            Some("array") => Shape::Array,
            Some("string") => Shape::Text,
            Some("integer") => Shape::Integer,
            Some("number") => Shape::Number,
            Some("boolean") => Shape::Boolean,
            _ => Shape::Any,
        });
        node.format = schema["format"].as_str().map(Into::into);
        node.nullable = is("nullable");
        node.preserve = is("x-kubernetes-preserve-unknown-fields");
        node.embedded = is("x-kubernetes-embedded-resource");
        node.atomic = schema["x-kubernetes-map-type"] == "atomic";
        node.default = schema.get("default").cloned();
        node.required = texts(&schema["required"]);
        node.list = list_kind(schema);
        let preserve = inherited || node.preserve;
        self.read_fields(&mut node, schema, preserve);
        node.items = match schema.get("items") {
            Some(items) => Some(self.add(items, preserve)),
            None if matches!(node.shape, Shape::Any | Shape::Array | Shape::IntOrString) => Some(ATOMIC),
            None => None,
        };
        node.checks = self.read_checks(schema).map(Box::new);
        node
    }

    fn read_fields(&mut self, node: &mut Node, schema: &Value, preserve: bool) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let default = field.get("default").cloned();
            let id = self.add(field, preserve);
            node.fields.insert(name.as_str().into(), Field { node: id, default, strategy: strategy(field) });
        }
        if node.embedded {
            self.embed(node, preserve);
        }
        node.additional = match &schema["additionalProperties"] {
            Value::Bool(true) => Additional::Free,
            Value::Bool(false) => Additional::Forbidden,
            Value::Object(_) => Additional::Of(self.add(&schema["additionalProperties"], preserve)),
            _ => Additional::Undeclared,
        };
        let is_empty = node.fields.is_empty() && node.additional == Additional::Undeclared;
        node.prunes = if self.custom { !node.preserve } else { node.shape == Shape::Object && !is_empty };
        node.element = match node.additional {
            Additional::Of(id) => Some(id),
            Additional::Free => Some(DEDUCED),
            Additional::Forbidden => None,
            Additional::Undeclared => (preserve || node.fields.is_empty()).then_some(DEDUCED),
        };
    }

    /// Declares the head every whole object has, with the metadata of built-in objects.
    fn embed(&mut self, node: &mut Node, preserve: bool) {
        let text = serde_json::json!({"type": "string"});
        for name in ["apiVersion", "kind"] {
            let id = self.add(&text, preserve);
            let field = Field { node: id, default: None, strategy: Strategy::default() };
            node.fields.entry(name.into()).or_insert(field);
        }
        let id = self.named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
        node.fields.insert("metadata".into(), Field { node: id, default: None, strategy: Strategy::default() });
    }

    fn read_checks(&mut self, schema: &Value) -> Option<Checks> {
        let keywords =
            ["maximum", "minimum", "multipleOf", "maxLength", "minLength", "pattern", "maxItems", "minItems"];
        let more = ["uniqueItems", "maxProperties", "minProperties", "enum", "allOf", "anyOf", "oneOf", "not"];
        let has = |key: &&str| schema.get(*key).is_some();
        if !keywords.iter().chain(&more).any(has) && schema.get("x-kubernetes-validations").is_none() {
            return None;
        }
        let float = |key: &str| schema[key].as_f64();
        let count = |key: &str| schema[key].as_u64();
        let is = |key: &str| schema[key].as_bool().unwrap_or_default();
        // Alternatives constrain values only, so what they leave out never forbids a field: they inherit `preserve`.
        let mut alternatives = |key: &str| -> Vec<NodeId> {
            schema[key].as_array().into_iter().flatten().map(|s| self.add(s, true)).collect()
        };
        Some(Checks {
            all_of: alternatives("allOf"),
            any_of: alternatives("anyOf"),
            one_of: alternatives("oneOf"),
            not: schema.get("not").map(|s| self.add(s, true)),
            maximum: float("maximum"),
            exclusive_maximum: is("exclusiveMaximum"),
            minimum: float("minimum"),
            exclusive_minimum: is("exclusiveMinimum"),
            multiple_of: float("multipleOf"),
            max_length: count("maxLength"),
            min_length: count("minLength"),
            pattern: schema["pattern"].as_str().filter(|p| !p.is_empty()).map(|p| (p.into(), Regex::new(p).ok())),
            max_items: count("maxItems"),
            min_items: count("minItems"),
            unique_items: is("uniqueItems"),
            max_properties: count("maxProperties"),
            min_properties: count("minProperties"),
            one_of_values: schema["enum"].as_array().cloned().unwrap_or_default(),
            rules: Rule::read_all(&schema["x-kubernetes-validations"]),
        })
    }
}

fn texts(value: &Value) -> Vec<Box<str>> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

/// Source: kube-openapi pkg/schemaconv: the list type first, then the older patch strategy.
fn list_kind(schema: &Value) -> List {
    match (schema["x-kubernetes-list-type"].as_str(), schema["x-kubernetes-patch-strategy"].as_str()) {
        (Some("set"), _) => List::Set,
        (Some("map"), _) => List::Map(texts(&schema["x-kubernetes-list-map-keys"])),
        (None, Some("merge" | "merge,retainKeys")) => match schema["x-kubernetes-patch-merge-key"].as_str() {
            Some(key) => List::Map(vec![key.into()]),
            None => List::Set,
        },
        _ => List::Atomic,
    }
}

fn strategy(field: &Value) -> Strategy {
    let words = field["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
    let has = |word: &str| words.split(',').any(|w| w == word);
    let key = field["x-kubernetes-patch-merge-key"].as_str().map(Into::into);
    Strategy { merge: has("merge"), replace: has("replace"), retain_keys: has("retainKeys"), key }
}
