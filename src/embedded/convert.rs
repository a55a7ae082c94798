//! The two pairs of built-in versions that differ in shape: events, and autoscalers.
//!
//! Events are stored as core/v1, autoscalers as autoscaling/v2; the other version is made when it is asked for.
//! Start with [`Shape`].

use serde_json::{Map, Value, json};

/// How a version differs from what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// In nothing but its name.
    Same,
    /// events.k8s.io/v1 over core/v1.
    Event,
    /// autoscaling/v1 over autoscaling/v2.
    Autoscaler,
}

impl Shape {
    /// The shape of a built-in version.
    pub fn of(group: &str, version: &str) -> Shape {
        match (group, version) {
            ("events.k8s.io", _) => Shape::Event,
            ("autoscaling", "v1") => Shape::Autoscaler,
            _ => Shape::Same,
        }
    }

    /// Makes a stored object one of this version.
    pub fn show(self, object: &mut Value) {
        match self {
            Shape::Same => {}
            Shape::Event => rename_event_fields(object, true),
            Shape::Autoscaler => show_autoscaler(object),
        }
    }

    /// Makes an object of this version one that can be stored, and answers the version that has, if it is another one.
    pub fn store(self, object: &mut Value) -> Option<&'static str> {
        match self {
            Shape::Same => None,
            Shape::Event => {
                rename_event_fields(object, false);
                Some("v1")
            }
            Shape::Autoscaler => {
                store_autoscaler(object);
                Some("autoscaling/v2")
            }
        }
    }
}

/// Field names of core/v1 events and what events.k8s.io/v1 calls them.
const EVENT_NAMES: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

fn rename_event_fields(event: &mut Value, to_new: bool) {
    let Value::Object(fields) = event else { return };
    let old = std::mem::take(fields);
    let renamed = |key: String| {
        let pair = EVENT_NAMES.iter().find(|(core, new)| key == if to_new { *core } else { *new });
        pair.map_or(key, |(core, new)| if to_new { new.to_string() } else { core.to_string() })
    };
    *fields = old.into_iter().map(|(key, value)| (renamed(key), value)).collect::<Map<_, _>>();
}

/// What autoscaling/v1 has no field for travels in annotations, as in the real server.
const CARRIED: &[(&str, &str, &str)] = &[
    ("autoscaling.alpha.kubernetes.io/metrics", "spec", "metrics"),
    ("autoscaling.alpha.kubernetes.io/behavior", "spec", "behavior"),
    ("autoscaling.alpha.kubernetes.io/conditions", "status", "conditions"),
    ("autoscaling.alpha.kubernetes.io/current-metrics", "status", "currentMetrics"),
];

fn is_cpu_share(metric: &Value) -> bool {
    metric["type"] == "Resource"
        && metric["resource"]["name"] == "cpu"
        && metric["resource"]["target"]["averageUtilization"].is_number()
}

fn part_of<'a>(object: &'a mut Value, part: &str) -> Option<&'a mut Map<String, Value>> {
    object.get_mut(part).and_then(Value::as_object_mut)
}

fn show_autoscaler(object: &mut Value) {
    if let Some(metrics) = object.pointer_mut("/spec/metrics").and_then(Value::as_array_mut)
        && let Some(at) = metrics.iter().position(is_cpu_share)
    {
        let share = metrics.remove(at)["resource"]["target"]["averageUtilization"].clone();
        object["spec"]["targetCPUUtilizationPercentage"] = share;
    }
    for (annotation, part, field) in CARRIED {
        let Some(value) = part_of(object, part).and_then(|fields| fields.shift_remove(*field)) else { continue };
        if value.as_array().is_none_or(|list| !list.is_empty()) {
            object["metadata"]["annotations"][*annotation] = value.to_string().into();
        }
    }
}

fn store_autoscaler(object: &mut Value) {
    for (annotation, part, field) in CARRIED {
        let annotations = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
        let Some(text) = annotations.and_then(|all| all.shift_remove(*annotation)) else { continue };
        if let Some(value) = text.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()) {
            object[*part][*field] = value;
        }
    }
    if object["metadata"]["annotations"].as_object().is_some_and(Map::is_empty) {
        super::admit::remove(&mut object["metadata"], "annotations");
    }
    let share = part_of(object, "spec").and_then(|spec| spec.shift_remove("targetCPUUtilizationPercentage"));
    if let Some(share) = share.filter(Value::is_number) {
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": share}}});
        match object.pointer_mut("/spec/metrics").and_then(Value::as_array_mut) {
            Some(metrics) => metrics.insert(0, metric),
            None => object["spec"]["metrics"] = json!([metric]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_both_views() {
        let core = json!({"metadata": {}, "involvedObject": {"kind": "Pod"}, "message": "m", "source": {"component": "c"}, "type": "Normal"});
        let mut event = core.clone();
        Shape::Event.show(&mut event);
        assert_eq!((&event["regarding"]["kind"], &event["note"]), (&json!("Pod"), &json!("m")));
        Shape::Event.store(&mut event);
        assert_eq!(event, core);
    }

    #[test]
    fn an_autoscaler_survives_both_views() {
        let stored = json!({"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
            {"type": "Pods", "pods": {"metric": {"name": "x"}}}], "behavior": {"scaleDown": {"policies": []}}}});
        let mut old = stored.clone();
        Shape::Autoscaler.show(&mut old);
        assert_eq!(old["spec"], json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 80}));
        assert_eq!(Shape::Autoscaler.store(&mut old), Some("autoscaling/v2"));
        assert_eq!(old, stored);
    }
}
