//! Sprig's functions on numbers: conversion, whole and decimal arithmetic, ranges.
//!
//! Start with [`FUNCTIONS`]. Source: Masterminds/sprig (numeric.go), spf13/cast, shopspring/decimal.

use super::call::{Function, Type, int, text};
use super::error::{Answer, Failure};
use super::format;
use super::run::Machine;
use super::text::{parse_float, parse_int, shortest};
use super::value::{Items, List, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("atoi", &[Type::Text], |_, args| Ok(Value::Int(parse_int(&text(args, 0), 10).unwrap_or(0)))),
    Function::new("int", &[Type::Any], |_, args| Ok(Value::Int(to_int(&args[0])))),
    Function::new("int64", &[Type::Any], |_, args| Ok(Value::Int64(to_int(&args[0])))),
    Function::new("float64", &[Type::Any], |_, args| Ok(Value::Float(to_float(&args[0])))),
    Function::new("toDecimal", &[Type::Any], |_, args| {
        Ok(Value::Int64(parse_int(&format::value_text(&args[0])?, 8).unwrap_or(0)))
    }),
    Function::many("seq", &[], Type::Int, seq),
    Function::new("until", &[Type::Int], |machine, args| {
        let count = int(args, 0);
        Ok(ints(steps(machine, 0, count, if count < 0 { -1 } else { 1 })?))
    }),
    Function::new("untilStep", &[Type::Int, Type::Int, Type::Int], |machine, args| {
        Ok(ints(steps(machine, int(args, 0), int(args, 1), int(args, 2))?))
    }),
    Function::new("add1", &[Type::Any], |_, args| Ok(Value::Int64(to_int(&args[0]).wrapping_add(1)))),
    Function::many("add", &[], Type::Any, |_, args| {
        Ok(Value::Int64(args.iter().map(to_int).fold(0, i64::wrapping_add)))
    }),
    Function::new("sub", &[Type::Any, Type::Any], |_, args| {
        Ok(Value::Int64(to_int(&args[0]).wrapping_sub(to_int(&args[1]))))
    }),
    Function::new("div", &[Type::Any, Type::Any], |_, args| divided(args, i64::wrapping_div)),
    Function::new("mod", &[Type::Any, Type::Any], |_, args| divided(args, i64::wrapping_rem)),
    Function::many("mul", &[Type::Any], Type::Any, |_, args| {
        Ok(Value::Int64(args.iter().map(to_int).fold(1, i64::wrapping_mul)))
    }),
    Function::new("randInt", &[Type::Int, Type::Int], random_int),
    Function::new("add1f", &[Type::Any], |_, args| decimal(&[args[0].clone(), Value::Int(1)], Decimal::plus)),
    Function::many("addf", &[], Type::Any, |_, args| decimal(&[&[Value::Float(0.0)], args].concat(), Decimal::plus)),
    Function::many("subf", &[Type::Any], Type::Any, |_, args| decimal(args, Decimal::minus)),
    Function::many("mulf", &[Type::Any], Type::Any, |_, args| decimal(args, Decimal::times)),
    Function::many("divf", &[Type::Any], Type::Any, divf),
    Function::many("max", &[Type::Any], Type::Any, |_, args| Ok(most(args, i64::max))),
    Function::many("biggest", &[Type::Any], Type::Any, |_, args| Ok(most(args, i64::max))),
    Function::many("min", &[Type::Any], Type::Any, |_, args| Ok(most(args, i64::min))),
    Function::many("maxf", &[Type::Any], Type::Any, |_, args| Ok(mostf(args, |a, b| if b > a { b } else { a }))),
    Function::many("minf", &[Type::Any], Type::Any, |_, args| Ok(mostf(args, |a, b| if b < a { b } else { a }))),
    Function::new("ceil", &[Type::Any], |_, args| Ok(Value::Float(to_float(&args[0]).ceil()))),
    Function::new("floor", &[Type::Any], |_, args| Ok(Value::Float(to_float(&args[0]).floor()))),
    Function::many("round", &[Type::Any, Type::Int], Type::Float, round),
];

/// Sprig's `int`: what cannot be read is 0, text may be octal or hexadecimal.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number,
        Value::Uint8(number) => i64::from(*number),
        Value::Uint64(number) => *number as i64,
        Value::Float(number) if number.is_nan() || number.abs() >= 9.3e18 => i64::MIN,
        Value::Float(number) => *number as i64,
        Value::Bool(bool) => i64::from(*bool),
        Value::Str(text) => parse_int(without_zero_decimals(text), 0).unwrap_or(0),
        _ => 0,
    }
}

/// `5.00` is 5, `5.10` stays.
fn without_zero_decimals(text: &str) -> &str {
    let whole = text.trim_end_matches('0');
    if whole.len() < text.len() && whole.ends_with('.') { &whole[..whole.len() - 1] } else { text }
}

/// Sprig's `float64`: what cannot be read is 0.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number as f64,
        Value::Uint8(number) => f64::from(*number),
        Value::Uint64(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(bool) => f64::from(*bool),
        Value::Str(text) => parse_float(text).unwrap_or(0.0),
        _ => 0.0,
    }
}

fn ints(numbers: Vec<i64>) -> Value {
    Value::List(List::of(Items::Ints, numbers.into_iter().map(Value::Int).collect()))
}

fn steps(machine: &mut Machine<'_>, start: i64, stop: i64, step: i64) -> Answer<Vec<i64>> {
    if (stop < start && step >= 0) || (stop >= start && step <= 0) {
        return Ok(Vec::new());
    }
    let count = (i128::from(stop) - i128::from(start)).unsigned_abs().div_ceil(i128::from(step).unsigned_abs());
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    machine.charge(count.saturating_mul(2 * size_of::<Value>()))?;
    let mut numbers = Vec::with_capacity(count);
    let mut number = start;
    while (step > 0 && number < stop) || (step < 0 && number > stop) {
        numbers.push(number);
        let Some(next) = number.checked_add(step) else { break };
        number = next;
    }
    Ok(numbers)
}

fn seq(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let direction = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let (start, end, step) = match args {
        [end] => (1, int(std::slice::from_ref(end), 0), None),
        [_, _] => (int(args, 0), int(args, 1), None),
        [_, _, _] => (int(args, 0), int(args, 2), Some(int(args, 1))),
        _ => return Ok("".into()),
    };
    let beyond = end.saturating_add(direction(start, end));
    if step.is_some_and(|step| end < start && step > 0) {
        return Ok("".into());
    }
    let numbers = steps(machine, start, beyond, step.unwrap_or(direction(start, end)))?;
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    Ok(texts.join(" ").into())
}

fn divided(args: &[Value], divide: fn(i64, i64) -> i64) -> Answer<Value> {
    match to_int(&args[1]) {
        0 => Err(Failure::plain("runtime error: integer divide by zero")),
        by => Ok(Value::Int64(divide(to_int(&args[0]), by))),
    }
}

fn random_int(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let (least, most) = (int(args, 0), int(args, 1));
    let Some(span) = most.checked_sub(least).filter(|span| *span > 0) else {
        return Err(Failure::plain("invalid argument to Intn"));
    };
    let mut bytes = [0; 16];
    machine.world.fill_random(&mut bytes)?;
    let offset = u128::from_le_bytes(bytes) % span.unsigned_abs() as u128;
    Ok(Value::Int(least + offset as i64))
}

fn most(args: &[Value], choose: fn(i64, i64) -> i64) -> Value {
    Value::Int64(args.iter().map(to_int).reduce(choose).unwrap_or_default())
}

fn mostf(args: &[Value], choose: fn(f64, f64) -> f64) -> Value {
    let numbers = args.iter().map(to_float);
    Value::Float(numbers.reduce(|a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { choose(a, b) }).unwrap_or(0.0))
}

fn round(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let from = match args.get(2) {
        Some(Value::Float(from)) => *from,
        _ => 0.5,
    };
    let power = 10f64.powf(int(args, 1) as f64);
    let shifted = power * to_float(&args[0]);
    let rounded = if shifted.fract() >= from { shifted.ceil() } else { shifted.floor() };
    Ok(Value::Float(rounded / power))
}

/// A decimal number: `coefficient * 10^exponent`.
#[derive(Clone, Copy)]
struct Decimal {
    coefficient: i128,
    exponent: i32,
}

/// A step of decimal arithmetic; `None` when the numbers are too long for it.
type Operation = fn(Decimal, Decimal) -> Option<Decimal>;

impl Decimal {
    fn from_float(number: f64) -> Option<Self> {
        if !number.is_finite() {
            return None;
        }
        let (digits, power) = shortest(number);
        let coefficient: i128 = digits.parse().ok()?;
        let exponent = power - i32::try_from(digits.len()).ok()? + 1;
        Some(Decimal { coefficient: if number < 0.0 { -coefficient } else { coefficient }, exponent })
    }

    fn to_float(self) -> f64 {
        format!("{}e{}", self.coefficient, self.exponent).parse().unwrap_or_default()
    }

    /// Both coefficients at the smaller exponent.
    fn aligned(self, other: Decimal) -> Option<(i128, i128, i32)> {
        let exponent = self.exponent.min(other.exponent);
        let at = |decimal: Decimal| {
            let shift = u32::try_from(decimal.exponent - exponent).ok()?;
            decimal.coefficient.checked_mul(10i128.checked_pow(shift)?)
        };
        Some((at(self)?, at(other)?, exponent))
    }

    fn plus(self, other: Decimal) -> Option<Decimal> {
        let (a, b, exponent) = self.aligned(other)?;
        Some(Decimal { coefficient: a.checked_add(b)?, exponent })
    }

    fn minus(self, other: Decimal) -> Option<Decimal> {
        self.plus(Decimal { coefficient: -other.coefficient, ..other })
    }

    fn times(self, other: Decimal) -> Option<Decimal> {
        let coefficient = self.coefficient.checked_mul(other.coefficient)?;
        Some(Decimal { coefficient, exponent: self.exponent + other.exponent })
    }

    /// Division to 16 places, rounded half away from zero.
    fn over(self, other: Decimal) -> Option<Decimal> {
        let (a, b, _) = self.aligned(other)?;
        let scaled = a.checked_mul(10i128.pow(16))?;
        let (quotient, rest) = (scaled.checked_div(b)?, scaled.checked_rem(b)?);
        let up = rest.checked_mul(2)?.unsigned_abs() >= b.unsigned_abs();
        let sign = if (scaled < 0) == (b < 0) { 1 } else { -1 };
        Some(Decimal { coefficient: quotient + if up { sign } else { 0 }, exponent: -16 })
    }
}

fn decimal(args: &[Value], operation: Operation) -> Answer<Value> {
    let mut numbers = args.iter().map(|value| Decimal::from_float(to_float(value)));
    let mut sum = numbers.next().flatten();
    for number in numbers {
        sum = sum.zip(number).and_then(|(a, b)| operation(a, b));
    }
    match sum {
        Some(sum) => Ok(Value::Float(sum.to_float())),
        None => Err(Failure::plain("the numbers are too long for decimal arithmetic")),
    }
}

fn divf(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    if args[1..].iter().any(|value| to_float(value) == 0.0) {
        return Err(Failure::plain("decimal division by 0"));
    }
    decimal(args, Decimal::over)
}
