//! Runs a tree: walks its nodes, writes text, keeps variables and budgets.
//!
//! Words and calls are evaluated in `eval`. Every node costs a step and every made text its bytes, so a hostile chart
//! ends in an error and not in a hang. Start with [`Machine::execute`].
//! Source: text/template (exec.go).

use std::collections::HashMap;
use std::rc::{Rc, Weak};

use super::call::Functions;
use super::error::{Answer, Failure, FailureKind};
use super::held::Held;
use super::tree::{Branch, Call, Node, Span, Tree};
use super::value::{Fields, Items, Map, MapBody, Value};
use super::{Limits, World, format};

/// The templates that can be named, in layers: `tpl` opens one that sees those below.
#[derive(Default)]
pub(super) struct Scope {
    own: std::cell::RefCell<HashMap<Rc<str>, Rc<Tree>>>,
    below: Option<Rc<Scope>>,
}

impl Scope {
    pub fn above(below: &Rc<Scope>) -> Self {
        Scope { own: std::cell::RefCell::default(), below: Some(Rc::clone(below)) }
    }

    pub fn find(&self, name: &str) -> Option<Rc<Tree>> {
        let mut scope = Some(self);
        while let Some(layer) = scope {
            if let Some(tree) = layer.own.borrow().get(name) {
                return Some(Rc::clone(tree));
            }
            scope = layer.below.as_deref();
        }
        None
    }

    /// Adds a tree in any case.
    pub fn put(&self, tree: Rc<Tree>) {
        self.own.borrow_mut().insert(Rc::clone(&tree.name), tree);
    }

    /// Adds a tree, except that an empty one never replaces another.
    pub fn add(&self, tree: Rc<Tree>) {
        if tree.is_empty() && self.find(&tree.name).is_some() {
            return;
        }
        self.own.borrow_mut().insert(Rc::clone(&tree.name), tree);
    }
}

/// How a node ended.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

/// What runs templates. One machine renders one chart.
pub(super) struct Machine<'w> {
    pub out: String,
    pub world: &'w World<'w>,
    pub functions: Functions,
    pub scope: Rc<Scope>,
    pub(super) tree: Rc<Tree>,
    pub(super) stack: Vec<Held>,
    pub(super) base: usize,
    /// The number of the part being evaluated, for error texts.
    pub(super) at: u32,
    pub(super) depth: usize,
    limits: Limits,
    steps: u64,
    bytes: u64,
    pub(super) crypto_calls: u32,
    /// How often each name is being included right now.
    pub(super) included: HashMap<Rc<str>, u32>,
    /// Parsed texts of `tpl`.
    pub(super) parsed: HashMap<Rc<str>, Rc<Vec<Rc<Tree>>>>,
    pub(super) patterns: HashMap<Rc<str>, Result<Rc<regex::Regex>, String>>,
    changed: Vec<Weak<MapBody>>,
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        self.changed.iter().filter_map(Weak::upgrade).for_each(|body| body.cut());
    }
}

impl<'w> Machine<'w> {
    pub fn new(world: &'w World<'w>, functions: Functions, scope: Rc<Scope>) -> Self {
        let nothing = Tree { name: "".into(), file: "".into(), text: "".into(), root: Box::default(), slots: 1 };
        Machine {
            out: String::new(),
            world,
            functions,
            scope,
            tree: Rc::new(nothing),
            stack: Vec::new(),
            base: 0,
            at: 0,
            depth: 0,
            limits: world.limits,
            steps: 0,
            bytes: 0,
            crypto_calls: 0,
            included: HashMap::new(),
            parsed: HashMap::new(),
            patterns: HashMap::new(),
            changed: Vec::new(),
        }
    }

    /// Remembers that a template changed a map, so that a cycle through it does not live for ever.
    pub fn change(&mut self, map: &Map) {
        self.changed.extend(map.note());
    }

    /// Pays for one step of work.
    pub fn step(&mut self) -> Answer<()> {
        self.steps += 1;
        if self.steps > self.limits.steps {
            return Err(Failure::limit(format!("the chart needs more than {} steps", self.limits.steps)));
        }
        if self.steps.is_multiple_of(4096) { self.check_time() } else { Ok(()) }
    }

    pub(super) fn check_time(&self) -> Answer<()> {
        match self.world.stop.is_some_and(|stop| stop()) {
            true => Err(Failure::limit("the time for rendering is over")),
            false => Ok(()),
        }
    }

    /// Pays for work or memory in proportion to a size.
    pub fn charge(&mut self, bytes: usize) -> Answer<()> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes > self.limits.bytes {
            return Err(Failure::limit(format!("the chart makes more than {} bytes of text", self.limits.bytes)));
        }
        Ok(())
    }

    /// Pays for an expensive cryptographic operation.
    pub fn charge_crypto(&mut self) -> Answer<()> {
        self.crypto_calls += 1;
        self.check_time()?;
        if self.crypto_calls > self.limits.crypto_calls {
            let most = self.limits.crypto_calls;
            return Err(Failure::limit(format!("the chart makes more than {most} keys, certificates or hashes")));
        }
        Ok(())
    }

    /// A failure at the part being evaluated.
    pub(super) fn fail(&self, message: impl std::fmt::Display) -> Box<Failure> {
        let text = format!("{}{message}", self.place());
        Box::new(Failure { kind: FailureKind::Exec, text, cause: None, need: None })
    }

    pub(super) fn place(&self) -> String {
        let (location, context) = self.tree.describe(self.at);
        format!("template: {location}: executing {} at <{context}>: ", super::text::quote(&self.tree.name))
    }

    /// Runs a tree with its own variables; `data` is its dot and its `$`.
    pub fn execute(&mut self, tree: &Rc<Tree>, data: Held) -> Answer<()> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            self.depth -= 1;
            let chain = self.tree.name.clone();
            return Err(Failure::limit(format!(
                "templates are nested more than {} deep: {} in {chain}",
                self.limits.depth, tree.name
            )));
        }
        let outer_tree = std::mem::replace(&mut self.tree, Rc::clone(tree));
        let (outer_base, outer_at) = (self.base, self.at);
        self.base = self.stack.len();
        self.stack.resize(self.base + tree.slots, Held::default());
        self.stack[self.base] = data.clone();
        let result = self.walk(&tree.root, &data);
        self.stack.truncate(self.base);
        self.base = outer_base;
        self.at = outer_at;
        self.tree = outer_tree;
        self.depth -= 1;
        result.map(|_| ())
    }

    fn walk(&mut self, nodes: &[Node], dot: &Held) -> Answer<Flow> {
        for node in nodes {
            self.step()?;
            let flow = match node {
                Node::Text(span) => {
                    self.out.push_str(span.of(&self.tree.text));
                    self.check_output()?;
                    Flow::Next
                }
                Node::Action(pipe) => {
                    let value = self.pipe(dot, pipe)?;
                    if pipe.variables.is_empty() {
                        self.print(&value)?;
                    }
                    Flow::Next
                }
                Node::If(branch) => self.branch(dot, branch, false)?,
                Node::With(branch) => self.branch(dot, branch, true)?,
                Node::Range(branch) => self.range(dot, branch)?,
                Node::Template(call) => {
                    self.at = call.mark.id;
                    self.template(dot, call)?;
                    Flow::Next
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn check_output(&self) -> Answer<()> {
        if self.out.len() > self.limits.output {
            return Err(Failure::limit(format!("a file or template writes more than {} bytes", self.limits.output)));
        }
        Ok(())
    }

    fn print(&mut self, value: &Value) -> Answer<()> {
        match value {
            Value::Nil => self.out.push_str("<no value>"),
            Value::Str(text) => self.out.push_str(text),
            other => {
                let mut out = std::mem::take(&mut self.out);
                let printed = format::print(&mut out, other);
                self.out = out;
                printed?;
            }
        }
        self.check_output()
    }

    fn branch(&mut self, dot: &Held, branch: &Branch, sets_dot: bool) -> Answer<Flow> {
        let value = self.pipe(dot, &branch.pipe)?;
        if value.is_true() {
            return if sets_dot { self.walk(&branch.list, &Held::plain(value)) } else { self.walk(&branch.list, dot) };
        }
        match &branch.otherwise {
            Some(list) => self.walk(list, dot),
            None => Ok(Flow::Next),
        }
    }

    fn template(&mut self, dot: &Held, Call { name, pipe, .. }: &Call) -> Answer<()> {
        let Some(tree) = self.scope.find(name) else {
            return Err(self.fail(format!("template {} not defined", super::text::quote(name))));
        };
        let data = match pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Value::Nil,
        };
        self.execute(&tree, Held::plain(data))
    }

    fn range(&mut self, dot: &Held, branch: &Branch) -> Answer<Flow> {
        let value = self.pipe(dot, &branch.pipe)?;
        let mut ran = false;
        match &value {
            Value::Nil => {}
            Value::Int(count) | Value::Int64(count) | Value::Duration(count) => {
                if branch.pipe.variables.len() > 1 {
                    let shown = format::value_text(&value)?;
                    return Err(self.fail(format!("can't use {shown} to iterate over more than one variable")));
                }
                for number in 0..*count {
                    ran = true;
                    let item = match value {
                        Value::Int(_) => Value::Int(number),
                        Value::Duration(_) => Value::Duration(number),
                        _ => Value::Int64(number),
                    };
                    if !self.turn(branch, None, Held::plain(item))? {
                        break;
                    }
                }
            }
            Value::List(list) => {
                let boxed = list.kind() == Items::Any;
                for (index, item) in list.items().iter().enumerate() {
                    ran = true;
                    let item = Held { value: item.clone(), boxed };
                    if !self.turn(branch, Some(Value::Int(index as i64)), item)? {
                        break;
                    }
                }
            }
            Value::Bytes(bytes) => {
                for (index, byte) in bytes.iter().enumerate() {
                    ran = true;
                    if !self.turn(branch, Some(Value::Int(index as i64)), Held::plain(Value::Uint8(*byte)))? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                let boxed = matches!(map.kind(), Fields::Any | Fields::Values);
                let entries: Vec<_> = map.entries().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                for (key, value) in entries {
                    ran = true;
                    let (key, value) = map.entry(key, value);
                    if !self.turn(branch, Some(key), Held { value, boxed })? {
                        break;
                    }
                }
            }
            other => {
                let shown = format::value_text(other)?;
                return Err(self.fail(format!("range can't iterate over {shown}")));
            }
        }
        match &branch.otherwise {
            Some(list) if !ran => self.walk(list, dot),
            _ => Ok(Flow::Next),
        }
    }

    /// One turn of a range; false when it was the last.
    fn turn(&mut self, branch: &Branch, index: Option<Value>, item: Held) -> Answer<bool> {
        self.step()?;
        match &*branch.pipe.variables {
            [] => {}
            [(name, slot)] => self.set(*name, *slot, item.clone())?,
            [(first, first_slot), (second, second_slot), ..] => {
                self.set(*first, *first_slot, Held::plain(index.unwrap_or_default()))?;
                self.set(*second, *second_slot, item.clone())?;
            }
        }
        Ok(self.walk(&branch.list, &item)? != Flow::Break)
    }

    /// Gives a variable its value.
    pub(super) fn set(&mut self, name: Span, slot: Option<u32>, value: Held) -> Answer<()> {
        match slot {
            Some(slot) => self.stack[self.base + slot as usize] = value,
            None => return Err(self.undefined(name)),
        }
        Ok(())
    }

    pub(super) fn undefined(&self, name: Span) -> Box<Failure> {
        self.fail(format!("undefined variable: {}", name.of(&self.tree.text)))
    }

    /// Runs what a function needs written elsewhere than to the output, and gives what was written.
    pub(super) fn capture(&mut self, run: impl FnOnce(&mut Self) -> Answer<()>) -> Answer<String> {
        let outer = std::mem::take(&mut self.out);
        let result = run(self);
        let inner = std::mem::replace(&mut self.out, outer);
        result.map(|()| inner)
    }
}
