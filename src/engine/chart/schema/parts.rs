//! Keywords of maps, lists, text and numbers.
//!
//! Start with the method of the kind of value. Source: github.com/santhosh-tekuri/jsonschema v6 (validator.go).

use serde_json::Value as Json;

use super::problem::{Kind, count, number, quote, quoted};
use super::validate::{Check, Done, Found, Object, list};

fn limit(schema: &Object, key: &str) -> Option<usize> {
    let number = schema.get(key)?.as_f64()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (number >= 0.0).then_some(number as usize)
}

fn missing<'s>(object: &Object, wanted: &'s [Json]) -> Vec<&'s str> {
    wanted.iter().filter_map(Json::as_str).filter(|name| !object.contains_key(*name)).collect()
}

/// Whether one number is a multiple of another, as their decimal digits say.
fn is_multiple(value: f64, of: f64) -> bool {
    let decimal = |number: f64| -> Option<(i128, u32)> {
        let text = format!("{number}");
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        Some((format!("{whole}{fraction}").parse().ok()?, u32::try_from(fraction.len()).ok()?))
    };
    let exact = || {
        let ((a, a_places), (b, b_places)) = (decimal(value)?, decimal(of)?);
        let places = a_places.max(b_places);
        let scale = |digits: i128, have: u32| digits.checked_mul(10_i128.checked_pow(places - have)?);
        scale(a, a_places)?.checked_rem(scale(b, b_places)?).map(|rest| rest == 0)
    };
    exact().unwrap_or_else(|| (value / of).fract() == 0.0)
}

impl<'s> Check<'_, 's> {
    pub(super) fn object(&mut self, schema: &'s Object, object: &Object, value: &Json, found: &mut Found) -> Done<()> {
        let size = object.len();
        if let Some(least) = limit(schema, "minProperties").filter(|least| size < *least) {
            found.problems.push(self.wrong(format!("minProperties: got {}, want {}", count(size), count(least))));
        }
        if let Some(most) = limit(schema, "maxProperties").filter(|most| size > *most) {
            found.problems.push(self.wrong(format!("maxProperties: got {}, want {}", count(size), count(most))));
        }
        let required = missing(object, list(schema, "required"));
        match required.as_slice() {
            [] => {}
            [one] => found.problems.push(self.wrong(format!("missing property {}", quote(one)))),
            some => {
                found.problems.push(self.wrong(format!("missing properties {}", quoted(some.iter().copied()))));
            }
        }
        for keyword in ["dependencies", "dependentSchemas", "dependentRequired"] {
            let Some(Json::Object(dependencies)) = schema.get(keyword) else { continue };
            for (name, dependency) in dependencies.iter().filter(|(name, _)| object.contains_key(*name)) {
                if let Json::Array(wanted) = dependency {
                    let missing = missing(object, wanted);
                    if !missing.is_empty() {
                        let text = format!("properties {} required, if {} exists", quoted(missing), quote(name));
                        found.problems.push(self.wrong(text));
                    }
                } else {
                    let verdict = self.schema(dependency, value)?;
                    found.take(verdict);
                }
            }
        }
        self.properties(schema, object, found)?;
        match schema.get("propertyNames").filter(|_| self.document.draft >= 6) {
            Some(names) => self.names(names, object, found),
            None => Ok(()),
        }
    }

    fn properties(&mut self, schema: &'s Object, object: &Object, found: &mut Found) -> Done<()> {
        let known = schema.get("properties").and_then(Json::as_object);
        let patterns = schema.get("patternProperties").and_then(Json::as_object);
        let others = schema.get("additionalProperties");
        let mut names: Vec<&String> = object.keys().collect();
        names.sort();
        let mut additional = Vec::new();
        for name in names {
            let value = &object[name];
            let mut seen = false;
            if let Some(schema) = known.and_then(|known| known.get(name)) {
                seen = true;
                found.problems.extend(self.within(schema, value, name)?);
            }
            for (pattern, schema) in patterns.into_iter().flatten() {
                if self.pattern(pattern, name)? {
                    seen = true;
                    found.problems.extend(self.within(schema, value, name)?);
                }
            }
            match others {
                Some(Json::Bool(allowed)) if !seen => {
                    seen = true;
                    if !allowed {
                        additional.push(name.as_str());
                    }
                }
                Some(schema) if !seen => {
                    seen = true;
                    found.problems.extend(self.within(schema, value, name)?);
                }
                _ => {}
            }
            if seen && self.document.tracks {
                found.seen.properties.insert(name.clone());
            }
        }
        if !additional.is_empty() {
            found.problems.push(self.wrong(format!("additional properties {} not allowed", quoted(additional))));
        }
        Ok(())
    }

    fn names(&mut self, schema: &'s Json, object: &Object, found: &mut Found) -> Done<()> {
        for name in object.keys() {
            let at = std::mem::take(&mut self.at);
            let around = std::mem::take(&mut self.around);
            let verdict = self.schema(schema, &Json::String(name.clone()));
            self.at = at;
            self.around = around;
            if let Some(problem) = verdict?.problem {
                let causes = if problem.kind == Kind::Group { problem.causes } else { vec![problem] };
                found.problems.push(self.caused(format!("invalid propertyName {}", quote(name)), causes));
            }
        }
        Ok(())
    }

    pub(super) fn array(&mut self, schema: &'s Object, items: &[Json], found: &mut Found) -> Done<()> {
        let size = items.len();
        if let Some(least) = limit(schema, "minItems").filter(|least| size < *least) {
            found.problems.push(self.wrong(format!("minItems: got {}, want {}", count(size), count(least))));
        }
        if let Some(most) = limit(schema, "maxItems").filter(|most| size > *most) {
            found.problems.push(self.wrong(format!("maxItems: got {}, want {}", count(size), count(most))));
        }
        if schema.get("uniqueItems") == Some(&Json::Bool(true))
            && let Some((first, second)) = self.twins(items)?
        {
            found.problems.push(self.wrong(format!("items at {} and {} are equal", count(first), count(second))));
        }
        let new = self.document.draft >= 2020;
        let (first, rest) = match (new, schema.get("items")) {
            (true, items) => (list(schema, "prefixItems"), items),
            (false, Some(Json::Array(first))) => (first.as_slice(), schema.get("additionalItems")),
            (false, items) => (&[][..], items),
        };
        for (index, item) in items.iter().enumerate() {
            let schema = match (first.get(index), rest) {
                (Some(schema), _) => schema,
                (None, Some(Json::Bool(false))) if !new && !first.is_empty() => {
                    let left = size - first.len();
                    found.problems.push(self.wrong(format!("last {} additionalItem(s) not allowed", count(left))));
                    break;
                }
                (None, Some(schema)) => schema,
                (None, None) => break,
            };
            found.seen.items.insert(index);
            found.problems.extend(self.within(schema, item, &index.to_string())?);
        }
        match schema.get("contains").filter(|_| self.document.draft >= 6) {
            Some(wanted) => self.contains(schema, wanted, items, found),
            None => Ok(()),
        }
    }

    fn twins(&mut self, items: &[Json]) -> Done<Option<(usize, usize)>> {
        for second in 1..items.len() {
            for first in 0..second {
                if self.equal(&items[first], &items[second])? {
                    return Ok(Some((first, second)));
                }
            }
        }
        Ok(None)
    }

    fn contains(&mut self, schema: &Object, wanted: &'s Json, items: &[Json], found: &mut Found) -> Done<()> {
        let (mut problems, mut matched) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            match self.within(wanted, item, &index.to_string())? {
                Some(problem) => problems.push(problem),
                None => matched.push(index),
            }
        }
        let places = matched.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
        let counted = |least_or_most: &str, limit: usize| {
            let got = match matched.len() {
                0 => "none matched".into(),
                some => format!("matched {} items at {places}", count(some)),
            };
            format!("{least_or_most} {} items required to match contains schema, but {got}", count(limit))
        };
        match limit(schema, "minContains") {
            Some(least) if matched.len() < least => found.problems.push(self.caused(counted("min", least), problems)),
            None if matched.is_empty() => {
                found.problems.push(self.caused("no items match contains schema", problems));
            }
            _ => {}
        }
        if let Some(most) = limit(schema, "maxContains").filter(|most| matched.len() > *most) {
            found.problems.push(self.wrong(counted("max", most)));
        }
        if self.document.draft >= 2020 {
            found.seen.items.extend(matched);
        }
        Ok(())
    }

    pub(super) fn text(&mut self, schema: &'s Object, text: &str, found: &mut Found) -> Done<()> {
        let size = text.chars().count();
        if let Some(least) = limit(schema, "minLength").filter(|least| size < *least) {
            found.problems.push(self.wrong(format!("minLength: got {}, want {}", count(size), count(least))));
        }
        if let Some(most) = limit(schema, "maxLength").filter(|most| size > *most) {
            found.problems.push(self.wrong(format!("maxLength: got {}, want {}", count(size), count(most))));
        }
        if let Some(pattern) = schema.get("pattern").and_then(Json::as_str)
            && !self.pattern(pattern, text)?
        {
            let message = format!("{} does not match pattern {}", quote(text), quote(pattern));
            found.problems.push(self.wrong(message));
        }
        Ok(())
    }

    pub(super) fn number(&self, schema: &Object, value: f64, found: &mut Found) {
        let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
        let is_strict = |key: &str| schema.get(key) == Some(&Json::Bool(true));
        let mut bounds = Vec::new();
        for (plain, strict) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
            // Draft 4 has a flag beside the bound.
            let name = if is_strict(strict) { strict } else { plain };
            bounds.extend(bound(plain).map(|bound| (name, bound)));
            bounds.extend(bound(strict).map(|bound| (strict, bound)));
        }
        bounds.extend(bound("multipleOf").map(|bound| ("multipleOf", bound)));
        for (name, bound) in bounds {
            let good = match name {
                "minimum" => value >= bound,
                "maximum" => value <= bound,
                "exclusiveMinimum" => value > bound,
                "exclusiveMaximum" => value < bound,
                _ => is_multiple(value, bound),
            };
            if !good {
                found.problems.push(self.wrong(format!("{name}: got {}, want {}", number(value), number(bound))));
            }
        }
    }
}
