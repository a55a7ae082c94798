//! Decides which charts within a chart take part, under which names, and which of their values they give upwards.
//!
//! Start with [`resolve`]. Source: helm pkg/chart/v2/util (dependencies.go).

use std::str::FromStr;

use serde_json::Value as Json;

use super::metadata::Dependency;
use super::values::{coalesce, table, tables, value};
use super::{Chart, ChartError, Values};
use crate::engine::semver_range::Range;
use crate::engine::template::parse_version;

/// Applies conditions, tags and aliases, then imports values.
///
/// Errors when values of a chart within are not a map.
pub(super) fn resolve(chart: &mut Chart, given: &Values) -> Result<(), ChartError> {
    enable(chart, given, "")?;
    import(chart)
}

/// Whether a version lies in a range; what cannot be read does not.
pub(super) fn is_compatible(range: &str, version: &str) -> bool {
    let (Ok(range), Some(version)) = (Range::from_str(range), parse_version(version)) else { return false };
    range.matches(&version)
}

fn fits(dependency: &Dependency, chart: &Chart) -> bool {
    dependency.name == chart.metadata.name && is_compatible(&dependency.version, &chart.metadata.version)
}

fn enable(chart: &mut Chart, given: &Values, path: &str) -> Result<(), ChartError> {
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let there = std::mem::take(&mut chart.dependencies);
    let mut kept: Vec<Chart> = there
        .iter()
        .filter(|sub| !chart.metadata.dependencies.iter().any(|dependency| fits(dependency, sub)))
        .cloned()
        .collect();
    for dependency in &mut chart.metadata.dependencies {
        if let Some(found) = there.iter().find(|sub| fits(dependency, sub)) {
            let mut found = found.clone();
            if !dependency.alias.is_empty() {
                found.metadata.name = dependency.alias.clone();
            }
            kept.push(found);
        }
        if !dependency.alias.is_empty() {
            dependency.name = dependency.alias.clone();
        }
        dependency.enabled = true;
    }
    chart.dependencies = kept;
    let values = coalesce(chart, given.clone(), false)?;
    for dependency in &mut chart.metadata.dependencies {
        decide(dependency, &values, path);
    }
    let off: Vec<String> =
        chart.metadata.dependencies.iter().filter(|one| !one.enabled).map(|one| one.name.clone()).collect();
    chart.dependencies.retain(|sub| !off.contains(&sub.metadata.name));
    chart.metadata.dependencies.retain(|dependency| !off.contains(&dependency.name));
    for sub in &mut chart.dependencies {
        let path = format!("{path}{}.", sub.metadata.name);
        enable(sub, &values, &path)?;
    }
    Ok(())
}

/// Tags first, then the first condition that has an answer.
fn decide(dependency: &mut Dependency, values: &Values, path: &str) {
    if let Some(tags) = values.get("tags").and_then(Json::as_object) {
        let answers: Vec<bool> =
            dependency.tags.iter().filter_map(|tag| tags.get(tag).and_then(Json::as_bool)).collect();
        dependency.enabled = answers.is_empty() || answers.contains(&true);
    }
    let conditions = dependency.condition.trim().split(',').filter(|condition| !condition.is_empty());
    let mut answers = conditions.filter_map(|condition| value(values, &format!("{path}{condition}"))?.as_bool());
    if let Some(answer) = answers.next() {
        dependency.enabled = answer;
    }
}

fn import(chart: &mut Chart) -> Result<(), ChartError> {
    for sub in &mut chart.dependencies {
        import(sub)?;
    }
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let mut values = coalesce(chart, Values::new(), true)?;
    let mut imported = Values::new();
    for dependency in &chart.metadata.dependencies {
        for wanted in &dependency.import_values {
            let (child, parent) = match wanted {
                Json::String(name) => (format!("exports.{name}"), ".".to_owned()),
                Json::Object(pair) => {
                    let text = |key: &str| pair.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
                    (text("child"), text("parent"))
                }
                _ => continue,
            };
            let Some(found) = table(&values, &format!("{}.{child}", dependency.name)) else { continue };
            let mut found = found.clone();
            if parent != "." {
                for key in parent.rsplit('.') {
                    found = Values::from_iter([(key.to_owned(), Json::Object(found))]);
                }
            }
            tables(&mut imported, found, true);
        }
    }
    tables(&mut values, imported, true);
    chart.values = values;
    Ok(())
}
