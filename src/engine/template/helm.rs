//! Helm's own functions: include, tpl, required, fail, lookup, and the documents.
//!
//! Start with [`FUNCTIONS`]. Source: helm pkg/engine (engine.go, funcs.go).

use std::rc::Rc;

use super::call::{Function, Type, text};
use super::document;
use super::error::{Answer, Failure, FailureKind, MESSAGE_END, MESSAGE_START};
use super::held::Held;
use super::parse::parse;
use super::run::{Machine, Scope};
use super::text::quote;
use super::tree::Tree;
use super::value::{Map, Value};
use super::{Lookup, toml};

/// How often one name may be included within itself.
const NESTED: u32 = 1000;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("include", &[Type::Text, Type::Any], include),
    Function::new("tpl", &[Type::Text, Type::Any], tpl),
    Function::new("required", &[Type::Text, Type::Any], |_, args| match &args[1] {
        Value::Nil => Err(message(&text(args, 0))),
        Value::Str(text_) if text_.is_empty() => Err(message(&text(args, 0))),
        other => Ok(other.clone()),
    }),
    Function::new("fail", &[Type::Text], |_, args| Err(message(&text(args, 0)))),
    Function::new("lookup", &[Type::Text, Type::Text, Type::Text, Type::Text], lookup),
    Function::new("toYaml", &[Type::Any], |machine, args| {
        let yaml = document::to_yaml(&args[0]).unwrap_or_default();
        written(machine, yaml)
    }),
    Function::new("mustToYaml", &[Type::Any], |machine, args| {
        let yaml = document::to_yaml(&args[0])?;
        written(machine, yaml)
    }),
    Function::new("toYamlPretty", &[Type::Any], |machine, args| {
        let yaml = document::to_pretty_yaml(&args[0]).unwrap_or_default();
        written(machine, yaml)
    }),
    Function::new("fromYaml", &[Type::Text], |machine, args| from_map(machine, args, true)),
    Function::new("fromYamlArray", &[Type::Text], |machine, args| from_list(machine, args, true)),
    Function::new("fromJson", &[Type::Text], |machine, args| from_map(machine, args, false)),
    Function::new("fromJsonArray", &[Type::Text], |machine, args| from_list(machine, args, false)),
    Function::new("mustFromJson", &[Type::Text], |machine, args| {
        machine.charge(args[0].size().unwrap_or(0))?;
        document::from_json(&text(args, 0)).map_err(|problem| Failure::plain(problem.message))
    }),
    Function::new("toJson", &[Type::Any], |_, args| {
        Ok(document::to_json(&args[0], true, false).unwrap_or_default().into())
    }),
    Function::new("mustToJson", &[Type::Any], |_, args| Ok(document::to_json(&args[0], true, false)?.into())),
    Function::new("toPrettyJson", &[Type::Any], |_, args| {
        Ok(document::to_json(&args[0], true, true).unwrap_or_default().into())
    }),
    Function::new("mustToPrettyJson", &[Type::Any], |_, args| Ok(document::to_json(&args[0], true, true)?.into())),
    Function::new("toRawJson", &[Type::Any], |_, args| Ok(document::to_json(&args[0], false, false)?.into())),
    Function::new("mustToRawJson", &[Type::Any], |_, args| Ok(document::to_json(&args[0], false, false)?.into())),
    Function::new("toToml", &[Type::Any], |_, args| {
        Ok(toml::write(&args[0]).unwrap_or_else(|failure| failure.full()).into())
    }),
    Function::new("mustToToml", &[Type::Any], |_, args| Ok(toml::write(&args[0])?.into())),
    Function::new("fromToml", &[Type::Text], |machine, args| {
        machine.charge(args[0].size().unwrap_or(0))?;
        Ok(toml::read(&text(args, 0)).unwrap_or_else(|message| Value::map([("Error", message.into())])))
    }),
];

fn message(text: &str) -> Box<Failure> {
    Failure::plain(format!("{MESSAGE_START}{text}{MESSAGE_END}"))
}

fn written(machine: &mut Machine<'_>, mut yaml: String) -> Answer<Value> {
    machine.charge(yaml.len())?;
    if yaml.ends_with('\n') {
        yaml.pop();
    }
    Ok(yaml.into())
}

fn read(text: &str, yaml: bool) -> Result<Value, document::Problem> {
    if yaml { document::from_yaml(text) } else { document::from_json(text) }
}

fn from_map(machine: &mut Machine<'_>, args: &[Value], yaml: bool) -> Answer<Value> {
    machine.charge(args[0].size().unwrap_or(0).saturating_mul(2))?;
    let error = |message: String| Value::map([("Error", message.into())]);
    Ok(match read(&text(args, 0), yaml) {
        Ok(Value::Nil) => Value::Map(Map::nil()),
        Ok(map @ Value::Map(_)) => map,
        Ok(other) => error(document::mismatch(&other, "map[string]interface {}", yaml)),
        Err(problem) => error(problem.message),
    })
}

fn from_list(machine: &mut Machine<'_>, args: &[Value], yaml: bool) -> Answer<Value> {
    machine.charge(args[0].size().unwrap_or(0).saturating_mul(2))?;
    let error = |message: String| Value::list(vec![message.into()]);
    Ok(match read(&text(args, 0), yaml) {
        Ok(Value::Nil) => Value::List(super::value::List::nil(super::value::Items::Any)),
        Ok(list @ Value::List(_)) => list,
        Ok(other) => error(document::mismatch(&other, "[]interface {}", yaml)),
        Err(problem) => error(problem.message),
    })
}

fn include(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let name: Rc<str> = match &args[0] {
        Value::Str(name) => Rc::clone(name),
        other => super::strings::string_text(other)?.into(),
    };
    let nested = machine.included.entry(Rc::clone(&name)).or_insert(0);
    if *nested > NESTED {
        let text = format!("rendering template has a nested reference name: {name}: unable to execute template");
        return Err(Failure::plain(text));
    }
    *nested += 1;
    let result = match machine.scope.find(&name) {
        Some(tree) => {
            let data = Held::plain(args[1].clone());
            machine.capture(|machine| machine.execute(&tree, data))
        }
        None => {
            let text = format!("template: no template {} associated with template {}", quote(&name), quote("gotpl"));
            Err(Failure::plain(text))
        }
    };
    if let Some(nested) = machine.included.get_mut(&name) {
        *nested -= 1;
    }
    Ok(result?.into())
}

fn tpl(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let source = text(args, 0);
    if !source.contains("{{") {
        machine.charge(source.len())?;
        return Ok(if source.contains("<no value>") {
            source.replace("<no value>", "").into()
        } else {
            args[0].clone()
        });
    }
    let trees = parsed(machine, &source)?;
    let scope = Rc::new(Scope::above(&machine.scope));
    for tree in trees.iter() {
        scope.add(Rc::clone(tree));
    }
    let data = Held::plain(args[1].clone());
    let main = &trees[0];
    let outer = std::mem::replace(&mut machine.scope, scope);
    let result = if main.is_empty() && main.root.is_empty() {
        Ok(String::new())
    } else {
        machine.capture(|machine| machine.execute(main, data))
    };
    machine.scope = outer;
    let output = result.map_err(|failure| {
        let text = format!("error during tpl function execution for {}: ", quote(&source));
        Failure::caused(FailureKind::Plain, text, failure)
    })?;
    Ok(if output.contains("<no value>") { output.replace("<no value>", "") } else { output }.into())
}

fn parsed(machine: &mut Machine<'_>, source: &str) -> Answer<Rc<Vec<Rc<Tree>>>> {
    if let Some(trees) = machine.parsed.get(source) {
        return Ok(Rc::clone(trees));
    }
    machine.charge(source.len().saturating_mul(4))?;
    let functions = Rc::clone(&machine.functions);
    let name: Rc<str> = "gotpl".into();
    let trees = parse(&name, source, &|name| functions.get(name).copied())
        .map_err(|message| Failure::plain(format!("cannot parse template {}: {message}", quote(source))))?;
    let trees = Rc::new(trees.into_iter().map(Rc::new).collect::<Vec<_>>());
    machine.parsed.insert(source.into(), Rc::clone(&trees));
    Ok(trees)
}

fn lookup(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let Some(answers) = machine.world.lookups else { return Ok(Value::Map(Map::new(super::value::Entries::new()))) };
    let part = |index: usize| text(args, index).into_owned();
    let wanted = Lookup { api_version: part(0), kind: part(1), namespace: part(2), name: part(3) };
    match answers.get(&wanted) {
        Some(found) => Ok(match Value::from_values(found) {
            Value::Nil => Value::Map(Map::new(super::value::Entries::new())),
            found => found,
        }),
        None => {
            let text = format!("{} {} has to be looked up first", wanted.kind, wanted.name);
            let mut failure = Failure::plain(text);
            failure.need = Some(wanted);
            Err(failure)
        }
    }
}
