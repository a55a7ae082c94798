//! How the cells of built-in kinds are put together.
//!
//! Total functions: whatever an object lacks, a cell says so. Start where `columns.rs` uses them.

use jiff::Timestamp;
use serde_json::Value;

use super::table::{age, duration};

/// A text, or another one when it is absent or empty.
pub fn or(value: &Value, other: &str) -> Value {
    match value.as_str() {
        Some(text) if !text.is_empty() => text.into(),
        _ => other.into(),
    }
}

/// A text, or `<none>`.
pub fn or_none(value: &Value) -> Value {
    or(value, "<none>")
}

/// Anything as text, or another text when it is absent.
pub fn plain(value: &Value, other: &str) -> Value {
    match value {
        Value::Null => other.into(),
        Value::String(text) => text.as_str().into(),
        value => value.to_string().into(),
    }
}

/// A number, 0 when absent.
pub fn count(value: &Value) -> Value {
    value.as_i64().unwrap_or(0).into()
}

/// How many items a list has.
pub fn length(value: &Value) -> Value {
    value.as_array().map_or(0, Vec::len).into()
}

/// How many fields an object has.
pub fn entries(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

/// The first of some pointers that finds something.
pub fn first(object: &Value, pointers: &[&str]) -> Value {
    pointers.iter().find_map(|p| object.pointer(p)).filter(|v| !v.is_null()).cloned().unwrap_or(Value::Null)
}

/// Two fields with a sign between; empty when both are absent.
pub fn joined(object: &Value, left: &str, sign: &str, right: &str) -> Value {
    match (object[left].as_str(), object[right].as_str()) {
        (None, None) => "".into(),
        (left, right) => format!("{}{sign}{}", left.unwrap_or_default(), right.unwrap_or_default()).into(),
    }
}

/// One field of every item of a list.
pub fn list_of(list: &Value, field: &str) -> Value {
    comma(list.as_array().into_iter().flatten().map(|item| match &item[field] {
        Value::String(text) => text.clone(),
        Value::Null => "<unset>".into(),
        other => other.to_string(),
    }))
}

fn comma(parts: impl Iterator<Item = String>) -> Value {
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "<none>".into() } else { parts.join(",").into() }
}

/// The names or images of a pod's containers.
pub fn containers(pod: &Value, field: &str) -> Value {
    let list = pod["containers"].as_array().into_iter().flatten();
    list.filter_map(|c| c[field].as_str()).collect::<Vec<_>>().join(",").into()
}

/// Labels as a selector.
pub fn labels(labels: &Value) -> Value {
    let mut pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    comma(pairs.into_iter())
}

/// A label selector object, or a plain map as old kinds have it.
pub fn selector(selector: &Value) -> Value {
    let is_object = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    if !is_object {
        return labels(selector);
    }
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten().map(|e| {
        let (key, values) = (e["key"].as_str().unwrap_or_default(), list_texts(&e["values"]));
        match e["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_string(),
        }
    });
    let equal = labels(&selector["matchLabels"]);
    let equal = equal.as_str().filter(|text| *text != "<none>").map(String::from);
    comma(equal.into_iter().chain(expressions))
}

fn list_texts(list: &Value) -> String {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
}

/// Wanted replicas: 1 when nothing is said.
pub fn replicas(object: &Value) -> Value {
    object["spec"]["replicas"].as_i64().unwrap_or(1).into()
}

/// `ready/wanted` replicas.
pub fn ready_of(object: &Value) -> Value {
    format!("{}/{}", count(&object["status"]["readyReplicas"]), replicas(object)).into()
}

/// `ready/all` containers of a pod.
pub fn pod_ready(pod: &Value) -> Value {
    let statuses = pod["status"]["containerStatuses"].as_array();
    let ready = statuses.into_iter().flatten().filter(|c| c["ready"] == true).count();
    format!("{ready}/{}", length(&pod["spec"]["containers"])).into()
}

/// What a pod is doing, as one word.
pub fn pod_status(pod: &Value) -> Value {
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating".into();
    }
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let state = |c: &Value, of: &str| c["state"][of]["reason"].as_str().map(String::from);
    let reason = statuses.rev().find_map(|c| state(c, "waiting").or_else(|| state(c, "terminated")));
    let said = pod["status"]["reason"].as_str().filter(|text| !text.is_empty()).map(String::from);
    match reason.or(said) {
        Some(reason) => reason.into(),
        None => or(&pod["status"]["phase"], "Unknown"),
    }
}

/// How often a pod's containers were started again.
pub fn pod_restarts(pod: &Value) -> Value {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let sum: i64 = statuses.map(|c| c["restartCount"].as_i64().unwrap_or(0)).sum();
    sum.to_string().into()
}

/// The controller of an object, as `kind.group/name`.
pub fn controller(object: &Value) -> Value {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let Some(owner) = owners.into_iter().find(|o| o["controller"] == true) else { return "<none>".into() };
    let group = owner["apiVersion"].as_str().and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    let kind = owner["kind"].as_str().unwrap_or_default().to_lowercase();
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{}", owner["name"].as_str().unwrap_or_default()).into()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind && c["status"] == "True")
}

/// How a job stands.
pub fn job_status(job: &Value) -> Value {
    if condition(job, "Complete").is_some() {
        "Complete".into()
    } else if condition(job, "Failed").is_some() {
        "Failed".into()
    } else if !job["metadata"]["deletionTimestamp"].is_null() {
        "Terminating".into()
    } else if condition(job, "Suspended").is_some() {
        "Suspended".into()
    } else if condition(job, "FailureTarget").is_some() {
        "FailureTarget".into()
    } else if condition(job, "SuccessCriteriaMet").is_some() {
        "SuccessCriteriaMet".into()
    } else {
        "Running".into()
    }
}

/// `done/wanted` completions of a job.
pub fn completions(job: &Value) -> Value {
    let done = count(&job["status"]["succeeded"]);
    match (job["spec"]["completions"].as_i64(), job["spec"]["parallelism"].as_i64().unwrap_or(1)) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{done}/1 of {parallel}"),
        (None, _) => format!("{done}/1"),
    }
    .into()
}

/// How long a job ran, or runs.
pub fn job_duration(job: &Value, now: Timestamp) -> Value {
    let time = |field: &str| job["status"][field].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    match (time("startTime"), time("completionTime")) {
        (None, _) => "".into(),
        (Some(start), end) => duration(end.unwrap_or(now).as_second() - start.as_second()).into(),
    }
}

/// How long ago, or `<none>` when never.
pub fn since_or_none(stamp: &Value, now: Timestamp) -> Value {
    if stamp.is_null() { "<none>".into() } else { age(stamp, now).into() }
}

/// Where a service can be reached from outside.
pub fn external_ip(service: &Value) -> Value {
    let given = list_texts(&service["spec"]["externalIPs"]);
    match service["spec"]["type"].as_str().unwrap_or("ClusterIP") {
        "LoadBalancer" => match balancer(service).as_str() {
            Some("") | None if given.is_empty() => "<pending>".into(),
            found => {
                let both = [found.unwrap_or_default(), &given];
                both.into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(",").into()
            }
        },
        "ExternalName" => or_none(&service["spec"]["externalName"]),
        _ if given.is_empty() => "<none>".into(),
        _ => given.into(),
    }
}

/// The addresses of a load balancer.
pub fn balancer(object: &Value) -> Value {
    let list = object["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
    list.filter_map(|i| i["ip"].as_str().or(i["hostname"].as_str())).collect::<Vec<_>>().join(",").into()
}

/// The ports of a service: `80:30080/TCP`.
pub fn service_ports(service: &Value) -> Value {
    comma(service["spec"]["ports"].as_array().into_iter().flatten().map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_i64() {
            Some(node) if node > 0 => format!("{}:{node}/{protocol}", port["port"]),
            _ => format!("{}/{protocol}", port["port"]),
        }
    }))
}

/// The hosts of an ingress; `*` for all.
pub fn hosts(ingress: &Value) -> Value {
    let rules = ingress["spec"]["rules"].as_array().into_iter().flatten();
    let hosts: Vec<&str> = rules.filter_map(|rule| rule["host"].as_str()).filter(|host| !host.is_empty()).collect();
    match hosts.len() {
        0 => "*".into(),
        1..=3 => hosts.join(",").into(),
        many => format!("{} + {} more...", hosts[..3].join(","), many - 3).into(),
    }
}

/// `Ready`, `NotReady`, and whether pods may come.
pub fn node_status(node: &Value) -> Value {
    let ready = node["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == "Ready");
    let word = match ready.map(|c| c["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    };
    let closed = if node["spec"]["unschedulable"] == true { ",SchedulingDisabled" } else { "" };
    format!("{word}{closed}").into()
}

/// The roles that a node's labels give it.
pub fn node_roles(node: &Value) -> Value {
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    comma(labels.filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/").map(String::from)))
}

/// An address of a node.
pub fn node_address(node: &Value, kind: &str) -> Value {
    let list = node["status"]["addresses"].as_array().into_iter().flatten();
    or_none(list.into_iter().find(|a| a["type"] == kind).map_or(&Value::Null, |a| &a["address"]))
}

/// The phase of a volume or claim.
pub fn phase(object: &Value) -> Value {
    if object["metadata"]["deletionTimestamp"].is_null() {
        object["status"]["phase"].clone()
    } else {
        "Terminating".into()
    }
}

/// Access modes in short.
pub fn access_modes(modes: &Value) -> Value {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO",
        Some("ReadOnlyMany") => "ROX",
        Some("ReadWriteMany") => "RWX",
        Some("ReadWriteOncePod") => "RWOP",
        _ => "?",
    };
    modes.as_array().into_iter().flatten().map(short).collect::<Vec<_>>().join(",").into()
}

/// When an event was last seen.
pub fn last_seen(event: &Value, now: Timestamp) -> Value {
    let pointers = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/deprecatedLastTimestamp",
        "/firstTimestamp",
        "/deprecatedFirstTimestamp",
        "/eventTime",
    ];
    age(&first(event, &pointers), now).into()
}

/// What an event is about: `pod/name`.
pub fn involved(event: &Value) -> Value {
    let about = if event["involvedObject"].is_object() { &event["involvedObject"] } else { &event["regarding"] };
    let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
    format!("{kind}/{}", about["name"].as_str().unwrap_or_default()).into()
}

/// Who reported an event.
pub fn event_source(event: &Value) -> Value {
    let component = first(
        event,
        &["/source/component", "/deprecatedSource/component", "/reportingComponent", "/reportingController"],
    );
    let host = first(event, &["/source/host", "/deprecatedSource/host", "/reportingInstance"]);
    let parts = [component.as_str(), host.as_str()];
    parts.into_iter().flatten().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(", ").into()
}

/// The subjects of a binding, of one kind.
pub fn subjects(binding: &Value, kind: &str) -> Value {
    let list = binding["subjects"].as_array().into_iter().flatten().filter(|s| s["kind"] == kind);
    let names = list.map(|s| match s["namespace"].as_str().filter(|_| kind == "ServiceAccount") {
        Some(ns) => format!("{ns}/{}", s["name"].as_str().unwrap_or_default()),
        None => s["name"].as_str().unwrap_or_default().to_string(),
    });
    names.collect::<Vec<_>>().join(", ").into()
}

/// The addresses behind a service.
pub fn endpoints(endpoints: &Value) -> Value {
    comma(endpoints["subsets"].as_array().into_iter().flatten().flat_map(|subset| {
        let ports: Vec<String> =
            subset["ports"].as_array().into_iter().flatten().map(|p| p["port"].to_string()).collect();
        let addresses = subset["addresses"].as_array().cloned().unwrap_or_default();
        addresses.into_iter().flat_map(move |a| {
            let ip = a["ip"].as_str().unwrap_or_default().to_string();
            ports.clone().into_iter().map(move |port| format!("{ip}:{port}"))
        })
    }))
}

/// The addresses of an endpoint slice.
pub fn slice_addresses(slice: &Value) -> Value {
    let list = slice["endpoints"].as_array().into_iter().flatten();
    comma(
        list.flat_map(|e| e["addresses"].as_array().cloned().unwrap_or_default())
            .filter_map(|a| a.as_str().map(String::from)),
    )
}

/// What a quota allows and how much is used, of limits or of the rest.
pub fn quota(quota: &Value, limits: bool) -> Value {
    let hard = quota["status"]["hard"].as_object().or(quota["spec"]["hard"].as_object());
    let mut parts: Vec<String> = hard
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("limits.") == limits)
        .map(|(name, most)| {
            let used = quota["status"]["used"][name].as_str().unwrap_or("0");
            format!("{name}: {used}/{}", most.as_str().map_or_else(|| most.to_string(), String::from))
        })
        .collect();
    parts.sort();
    parts.join(", ").into()
}

/// What an autoscaler aims at.
pub fn targets(hpa: &Value) -> Value {
    if let Some(share) = hpa["spec"]["targetCPUUtilizationPercentage"].as_i64() {
        return format!("cpu: <unknown>/{share}%").into();
    }
    comma(hpa["spec"]["metrics"].as_array().into_iter().flatten().map(|metric| {
        let source = metric["type"].as_str().unwrap_or_default();
        let key = source[..source.len().min(1)].to_lowercase() + source.get(1..).unwrap_or_default();
        let (name, target) = (&metric[&key]["name"], &metric[&key]["target"]);
        let aim = match (&target["averageUtilization"], &target["averageValue"], &target["value"]) {
            (Value::Number(percent), ..) => format!("{percent}%"),
            (_, Value::String(value), _) | (_, _, Value::String(value)) => value.clone(),
            _ => "<auto>".into(),
        };
        format!("{}: <unknown>/{aim}", name.as_str().unwrap_or(&key))
    }))
}
