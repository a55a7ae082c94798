//! Evaluates pipelines, words and calls of a template, with the type rules and error texts of Go.
//!
//! Must not print; `run` does. Start with [`Machine::pipe`].
//! Source: text/template (exec.go: evalPipeline, evalCommand, evalField, evalCall, evalArg).

use std::rc::Rc;

use super::call::{Body, Function, Type};
use super::error::{Answer, Failure, FailureKind};
use super::held::Held;
use super::methods;
use super::run::Machine;
use super::tree::{Command, Pipe, Shown, Span, Word, WordKind};
use super::value::{Fields, Value};

impl Machine<'_> {
    /// The value of a pipeline; sets the variables it declares or assigns.
    pub(super) fn pipe(&mut self, dot: &Held, pipe: &Pipe) -> Answer<Value> {
        self.at = pipe.mark.id;
        let mut value = self.command(dot, &pipe.first, None)?.value;
        for command in &pipe.more {
            value = self.command(dot, command, Some(value))?.value;
        }
        for (name, slot) in &pipe.variables {
            self.set(*name, *slot, Held::plain(value.clone()))?;
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Held, command: &Command, last: Option<Value>) -> Answer<Held> {
        let (word, args) = (&command.word, &*command.args);
        match &word.kind {
            WordKind::Field(fields) => {
                self.at = word.mark.id;
                return self.chain(dot, dot.clone(), word, *fields, args, last);
            }
            WordKind::Chain { of, fields } => {
                let receiver = self.chain_start(dot, word, of)?;
                return self.chain(dot, receiver, word, *fields, args, last);
            }
            WordKind::Function(function) => {
                self.at = word.mark.id;
                return Ok(Held::plain(self.call(dot, function, None, command.mark.id, args, last)?));
            }
            WordKind::Pipe(pipe) => {
                self.refuse_arguments(word, args, last.as_ref())?;
                return Ok(Held::plain(self.pipe(dot, pipe)?));
            }
            WordKind::Variable { name, slot, fields } => {
                self.at = word.mark.id;
                let value = self.variable(*name, *slot)?;
                if fields.is_empty() {
                    self.refuse_arguments(word, args, last.as_ref())?;
                    return Ok(value);
                }
                return self.chain(dot, value, word, *fields, args, last);
            }
            _ => {}
        }
        self.at = word.mark.id;
        self.refuse_arguments(word, args, last.as_ref())?;
        match &word.kind {
            WordKind::Dot => Ok(dot.clone()),
            WordKind::Nil => Err(self.fail("nil is not a command")),
            _ => Ok(Held::plain(self.literal(word)?)),
        }
    }

    fn refuse_arguments(&self, word: &Word, args: &[Word], last: Option<&Value>) -> Answer<()> {
        if args.is_empty() && last.is_none() {
            return Ok(());
        }
        Err(self.fail(format!("can't give argument to non-function {}", self.shown(word))))
    }

    fn variable(&self, name: Span, slot: Option<u32>) -> Answer<Held> {
        match slot {
            Some(slot) => Ok(self.stack[self.base + slot as usize].clone()),
            None => Err(self.undefined(name)),
        }
    }

    /// A word of the tree that runs, as Go writes it.
    fn shown(&self, word: &Word) -> String {
        Shown(word, &self.tree.text).to_string()
    }

    /// A literal where no type is asked for.
    fn literal(&self, word: &Word) -> Answer<Value> {
        match &word.kind {
            WordKind::Bool(bool) => Ok(Value::Bool(*bool)),
            WordKind::Text { value, .. } => Ok(Value::Str(Rc::clone(value))),
            WordKind::Number(number) => {
                let hex = number.text.len() > 2 && number.text.to_ascii_lowercase().starts_with("0x");
                let whole = (hex && !number.text.contains(['p', 'P'])) || number.text.starts_with('\'');
                if let (Some(float), true) = (number.float, !whole && number.text.contains(['.', 'e', 'E', 'p', 'P'])) {
                    return Ok(Value::Float(float));
                }
                match number.int {
                    Some(int) => Ok(Value::Int(int)),
                    None => Err(self.fail(format!("{} overflows int", number.text))),
                }
            }
            _ => Err(self.fail(format!("can't evaluate command {}", super::text::quote(&self.shown(word))))),
        }
    }

    fn chain_start(&mut self, dot: &Held, word: &Word, of: &Word) -> Answer<Held> {
        self.at = word.mark.id;
        if matches!(of.kind, WordKind::Nil) {
            return Err(self.fail(format!("indirection through explicit nil in {}", self.shown(word))));
        }
        self.held(dot, of, Type::Any)
    }

    /// Follows `.a.b.c`; the last may be a method with arguments.
    fn chain(
        &mut self,
        dot: &Held,
        mut receiver: Held,
        word: &Word,
        fields: Span,
        args: &[Word],
        last: Option<Value>,
    ) -> Answer<Held> {
        let tree = Rc::clone(&self.tree);
        let (way, end) = fields.of(&tree.text).rsplit_once('.').unwrap_or_default();
        for field in way.split('.').skip(1) {
            receiver = self.field(dot, field, word, &[], None, &receiver)?;
        }
        self.field(dot, end, word, args, last, &receiver)
    }

    fn field(
        &mut self,
        dot: &Held,
        name: &str,
        word: &Word,
        args: &[Word],
        last: Option<Value>,
        receiver: &Held,
    ) -> Answer<Held> {
        if matches!(receiver.value, Value::Nil) {
            if receiver.boxed {
                return Err(self.fail(format!("nil pointer evaluating interface {{}}.{name}")));
            }
            return Ok(Held::default());
        }
        if let Some(method) = methods::find(&receiver.value, name) {
            let receiver = receiver.value.clone();
            return Ok(Held::plain(self.call(dot, method, Some(receiver), word.mark.id, args, last)?));
        }
        let has_arguments = !args.is_empty() || last.is_some();
        match &receiver.value {
            Value::Map(map) => {
                if has_arguments {
                    return Err(self.fail(format!("{name} is not a method but has arguments")));
                }
                let found = map.get(name);
                return Ok(match map.kind() {
                    Fields::Any | Fields::Values => Held::boxed(found.unwrap_or_default()),
                    // No text names a struct.
                    Fields::Keyed => Held::boxed(Value::Nil),
                    Fields::Strings => Held::plain(found.unwrap_or_else(|| Value::str(""))),
                    Fields::Files => Held::plain(found.unwrap_or_else(|| Value::Bytes(std::sync::Arc::from([])))),
                });
            }
            Value::Object(object) => {
                if let Some((_, value)) = object.fields.iter().find(|(field, _)| *field == name) {
                    if has_arguments {
                        return Err(self.fail(format!("{name} has arguments but cannot be invoked as function")));
                    }
                    return Ok(Held::plain(value.clone()));
                }
            }
            _ => {}
        }
        Err(self.fail(format!("can't evaluate field {name} in type {}", receiver.type_name())))
    }

    /// Evaluates the arguments and runs the function. Errors are told at the part `node`.
    pub(super) fn call(
        &mut self,
        dot: &Held,
        function: &'static Function,
        receiver: Option<Value>,
        node: u32,
        args: &[Word],
        last: Option<Value>,
    ) -> Answer<Value> {
        self.step()?;
        let params = &function.params[usize::from(receiver.is_some())..];
        let count = args.len() + usize::from(last.is_some());
        let name = function.name;
        if function.rest.is_some() && count < params.len() {
            let (least, got) = (params.len(), args.len());
            return Err(self.fail(format!("wrong number of args for {name}: want at least {least} got {got}")));
        }
        if function.rest.is_none() && count != params.len() {
            return Err(self.fail(format!("wrong number of args for {name}: want {} got {count}", params.len())));
        }
        let body = match function.body {
            Body::And => return self.short_circuit(dot, args, last, false),
            Body::Or => return self.short_circuit(dot, args, last, true),
            Body::Length => {
                let held = match (args.first(), last) {
                    (Some(word), _) => self.held(dot, word, Type::Reflect)?,
                    (None, last) => Held::plain(last.unwrap_or_default()),
                };
                let length = super::builtin::length(&held);
                return length.map_err(|failure| self.calling(name, node, failure));
            }
            Body::Call => {
                let (value, callee) = match args.first() {
                    Some(word) => (self.held(dot, word, Type::Reflect)?.value, self.shown(word)),
                    None => (last.unwrap_or_default(), String::new()),
                };
                return Err(self.calling(name, node, super::builtin::not_callable(&callee, &value)));
            }
            Body::Plain(call) => call,
        };
        let kind = |index: usize| params.get(index).copied().or(function.rest).unwrap_or(Type::Any);
        let mut values = Vec::with_capacity(count + 1);
        values.extend(receiver);
        for (index, word) in args.iter().enumerate() {
            values.push(self.held(dot, word, kind(index))?.value);
        }
        if let Some(last) = last {
            values.push(self.validate(Held::plain(last), kind(args.len()))?.value);
        }
        let value = body(self, &values).map_err(|failure| self.calling(name, node, failure))?;
        if let Some(size) = value.size() {
            self.charge(size)?;
        }
        Ok(value)
    }

    /// Says which call failed, and where.
    fn calling(&mut self, name: &str, node: u32, failure: Box<Failure>) -> Box<Failure> {
        self.at = node;
        Failure::caused(FailureKind::Exec, format!("{}error calling {name}: ", self.place()), failure)
    }

    fn short_circuit(&mut self, dot: &Held, args: &[Word], last: Option<Value>, stop_at: bool) -> Answer<Value> {
        let mut value = Value::Nil;
        for word in args {
            value = self.held(dot, word, Type::Reflect)?.value;
            if value.is_true() == stop_at {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// Holds a value against a type.
    fn validate(&self, held: Held, kind: Type) -> Answer<Held> {
        if matches!(held.value, Value::Nil) {
            return match (held.boxed, kind) {
                (_, Type::Any | Type::Reflect) => Ok(held),
                (true, kind) => {
                    Err(self.fail(format!("wrong type for value; expected {}; got interface {{}}", kind.name())))
                }
                (false, kind) if kind.takes_nil() => Ok(held),
                (false, kind) => Err(self.fail(format!("invalid value; expected {}", kind.name()))),
            };
        }
        if kind.takes(&held.value) {
            return Ok(held);
        }
        let got = held.value.type_name();
        Err(self.fail(format!("wrong type for value; expected {}; got {got}", kind.name())))
    }

    /// An argument of a type.
    fn held(&mut self, dot: &Held, word: &Word, kind: Type) -> Answer<Held> {
        self.at = word.mark.id;
        match &word.kind {
            WordKind::Dot => self.validate(dot.clone(), kind),
            WordKind::Nil if kind.takes_nil() => Ok(Held::default()),
            WordKind::Nil => Err(self.fail(format!("cannot assign nil to {}", kind.name()))),
            WordKind::Field(fields) => {
                let held = self.chain(dot, dot.clone(), word, *fields, &[], None)?;
                self.validate(held, kind)
            }
            WordKind::Variable { name, slot, fields } => {
                let mut held = self.variable(*name, *slot)?;
                if !fields.is_empty() {
                    held = self.chain(dot, held, word, *fields, &[], None)?;
                }
                self.validate(held, kind)
            }
            WordKind::Pipe(pipe) => {
                let value = self.pipe(dot, pipe)?;
                self.validate(Held::plain(value), kind)
            }
            WordKind::Function(function) => {
                let value = self.call(dot, function, None, word.mark.id, &[], None)?;
                self.validate(Held::plain(value), kind)
            }
            WordKind::Chain { of, fields } => {
                let receiver = self.chain_start(dot, word, of)?;
                let held = self.chain(dot, receiver, word, *fields, &[], None)?;
                self.validate(held, kind)
            }
            WordKind::Bool(_) | WordKind::Number(_) | WordKind::Text { .. } => {
                Ok(Held::plain(self.typed_literal(word, kind)?))
            }
        }
    }

    fn typed_literal(&self, word: &Word, kind: Type) -> Answer<Value> {
        let expected = match (kind, &word.kind) {
            (Type::Any | Type::Reflect, _) => return self.literal(word),
            (Type::Bool, WordKind::Bool(bool)) => return Ok(Value::Bool(*bool)),
            (Type::Text, WordKind::Text { value, .. }) => return Ok(Value::Str(Rc::clone(value))),
            (Type::Int, WordKind::Number(number)) if number.int.is_some() => {
                return Ok(Value::Int(number.int.unwrap_or_default()));
            }
            (Type::Float, WordKind::Number(number)) if number.float.is_some() => {
                return Ok(Value::Float(number.float.unwrap_or_default()));
            }
            (Type::Uint32, WordKind::Number(number)) if number.uint.is_some() => {
                return Ok(Value::Uint64(number.uint.unwrap_or_default()));
            }
            (Type::Bool, _) => "bool",
            (Type::Text, _) => "string",
            (Type::Int, _) => "integer",
            (Type::Float, _) => "float",
            (Type::Uint32, _) => "unsigned integer",
            (Type::Map | Type::List | Type::Time | Type::Certificate, _) => {
                return Err(self.fail(format!("can't handle {} for arg of type {}", self.shown(word), kind.name())));
            }
        };
        Err(self.fail(format!("expected {expected}; found {}", self.shown(word))))
    }
}
