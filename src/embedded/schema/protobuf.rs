//! Request bodies in protobuf: kubectl sends them for imperative commands and takes no other answer than success.
//!
//! Decoded generically from a table of field numbers; nothing is ever encoded. Start with [`decode_protobuf`].

use std::sync::OnceLock;

use base64::Engine as _;
use serde_json::{Map, Value};

use super::builtin;

/// How deep messages may nest.
const DEPTH: usize = 128;

/// Decodes a body of content type `application/vnd.kubernetes.protobuf`.
///
/// Errors when it is no such body, is cut short, or holds a kind nobody here knows.
pub fn decode_protobuf(bytes: &[u8]) -> Result<Value, String> {
    let body = bytes.strip_prefix(b"k8s\0").ok_or("the body does not begin with the protobuf envelope")?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Wire(body) {
        match field? {
            (1, Part::Bytes(meta)) => {
                for field in Wire(meta) {
                    match field? {
                        (1, Part::Bytes(text)) => api_version = utf8(text)?,
                        (2, Part::Bytes(text)) => kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, Part::Bytes(bytes)) => raw = bytes,
            (3, Part::Bytes(encoding)) if !encoding.is_empty() => {
                return Err("encoded protobuf bodies are not understood, send them plain".into());
            }
            _ => {}
        }
    }
    let message = message_of(&api_version, &kind)?;
    let mut object = Map::new();
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    if let Value::Object(fields) = message_value(&message, raw, 0)? {
        object.extend(fields);
    }
    Ok(Value::Object(object))
}

fn table() -> &'static Value {
    static TABLE: OnceLock<Value> = OnceLock::new();
    TABLE.get_or_init(|| builtin::protobuf()["messages"].take())
}

fn message_of(api_version: &str, kind: &str) -> Result<String, String> {
    if kind == "DeleteOptions" {
        return Ok("k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions".into());
    }
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let found = builtin::table().find(group, version, kind);
    let (name, _) = found.ok_or_else(|| format!("no protobuf message for {api_version} {kind}, send JSON"))?;
    Ok(name.replacen("io.k8s.", "k8s.io.", 1).replace("apiextensions-", "apiextensions_").replace("kube-", "kube_"))
}

enum Part<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed64(u64),
    Fixed32(u32),
}

/// The fields of a message: number and content.
struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.0.split_first().ok_or("the protobuf body is cut short")?;
            self.0 = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("the protobuf body holds a number that is too long".into())
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let (taken, rest) = self.0.split_at_checked(count).ok_or("the protobuf body is cut short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Part<'a>), String> {
        let tag = self.varint()?;
        let part = match tag & 7 {
            0 => Part::Number(self.varint()?),
            1 => Part::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().unwrap_or_default())),
            2 => {
                let length = self.varint()?;
                Part::Bytes(self.take(length)?)
            }
            5 => Part::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().unwrap_or_default())),
            other => return Err(format!("the protobuf body holds wire type {other}")),
        };
        Ok((tag >> 3, part))
    }
}

impl<'a> Iterator for Wire<'a> {
    type Item = Result<(u64, Part<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "the protobuf body holds a text that is not UTF-8".into())
}

fn message_value(name: &str, bytes: &[u8], depth: usize) -> Result<Value, String> {
    if depth > DEPTH {
        return Err("the protobuf body nests too deep".into());
    }
    if let Some(value) = special(name, bytes, depth)? {
        return Ok(value);
    }
    let fields = table().get(name).ok_or_else(|| format!("no protobuf message {name}"))?;
    let mut out = Map::new();
    for part in Wire(bytes) {
        let (number, part) = part?;
        let field = &fields[number.to_string()];
        let (Some(key), Some(of)) = (field[0].as_str(), field[1].as_str()) else { continue };
        match field[2].as_str().unwrap_or_default() {
            "i" => {
                if let (Part::Bytes(bytes), true) = (&part, of.contains('.'))
                    && let Value::Object(inner) = message_value(of, bytes, depth + 1)?
                {
                    out.extend(inner);
                }
            }
            "m" => {
                let Part::Bytes(bytes) = part else { return Err(format!("{key} is no map")) };
                let (entry, value) = map_entry(of, bytes, depth)?;
                let map = out.entry(key).or_insert_with(|| Value::Object(Map::new()));
                map[entry] = value;
            }
            "r" => {
                let list = out.entry(key).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    repeated(of, part, depth, list)?;
                }
            }
            kind => {
                let value = single(of, &part, depth)?;
                let zero = value == "" || value == 0 || value == false || value == 0.0;
                if !(value.is_null() || kind == "z" && zero) {
                    out.insert(key.to_string(), value);
                }
            }
        }
    }
    Ok(Value::Object(out))
}

fn map_entry(of: &str, bytes: &[u8], depth: usize) -> Result<(String, Value), String> {
    let (mut key, mut value) = (String::new(), None);
    for part in Wire(bytes) {
        match part? {
            (1, Part::Bytes(text)) => key = utf8(text)?,
            (2, part) => value = Some(single(of, &part, depth)?),
            _ => {}
        }
    }
    let empty = || if matches!(of, "string" | "bytes") { Value::from("") } else { Value::Null };
    Ok((key, value.unwrap_or_else(empty)))
}

fn repeated(of: &str, part: Part, depth: usize, list: &mut Vec<Value>) -> Result<(), String> {
    // Numbers may come packed into one field.
    if let (Part::Bytes(packed), "int32" | "int64" | "uint32" | "uint64" | "bool") = (&part, of) {
        let mut packed = Wire(packed);
        while !packed.0.is_empty() {
            let number = Part::Number(packed.varint()?);
            list.push(single(of, &number, depth)?);
        }
        return Ok(());
    }
    list.push(single(of, &part, depth)?);
    Ok(())
}

fn single(of: &str, part: &Part, depth: usize) -> Result<Value, String> {
    Ok(match (of, part) {
        ("string", Part::Bytes(text)) => utf8(text)?.into(),
        ("bytes", Part::Bytes(bytes)) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        ("bool", Part::Number(number)) => (*number != 0).into(),
        ("int32" | "int64", Part::Number(number)) => (*number as i64).into(),
        ("uint32" | "uint64", Part::Number(number)) => (*number).into(),
        ("double", Part::Fixed64(bits)) => f64::from_bits(*bits).into(),
        ("float", Part::Fixed32(bits)) => f64::from(f32::from_bits(*bits)).into(),
        (message, Part::Bytes(bytes)) if message.contains('.') => message_value(message, bytes, depth + 1)?,
        _ => return Err(format!("the protobuf body holds something else where {of} belongs")),
    })
}

/// Messages whose JSON is not an object of their fields.
fn special(name: &str, bytes: &[u8], depth: usize) -> Result<Option<Value>, String> {
    let short = name.rsplit('.').next().unwrap_or_default();
    Ok(Some(match short {
        "Time" | "MicroTime" if name.contains("meta.v1") => time(bytes, short == "MicroTime")?,
        "Duration" if name.contains("meta.v1") => {
            let nanos = numbers(bytes)?.first().copied().unwrap_or_default() as i64;
            duration(nanos).into()
        }
        "Quantity" if name.contains("api.resource") => first_text(bytes)?.into(),
        "IntOrString" => int_or_string(bytes)?,
        "RawExtension" | "FieldsV1" | "JSON" => {
            let raw = Wire(bytes).find_map(|part| match part {
                Ok((1, Part::Bytes(raw))) => Some(raw),
                _ => None,
            });
            match raw {
                None | Some([]) => Value::Null,
                Some(raw) => serde_json::from_slice(raw).map_err(|e| format!("JSON inside the protobuf body: {e}"))?,
            }
        }
        "Verbs" | "ExtraValue" | "AttestationValue" => {
            let mut list = Vec::new();
            for part in Wire(bytes) {
                if let (1, part) = part? {
                    list.push(single("string", &part, depth)?);
                }
            }
            Value::Array(list)
        }
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            let props = name.rsplit_once("Or").map_or(name, |(props, _)| props);
            schema_or(props, bytes, depth)?
        }
        _ => return Ok(None),
    }))
}

/// A schema, or what may stand in its place.
fn schema_or(props: &str, bytes: &[u8], depth: usize) -> Result<Value, String> {
    let mut out = Value::Null;
    for part in Wire(bytes) {
        match part? {
            (_, Part::Number(allows)) if out.is_null() => out = (allows != 0).into(),
            (_, Part::Bytes(bytes)) => out = message_value(props.trim_end_matches("OrString"), bytes, depth + 1)?,
            _ => {}
        }
    }
    Ok(out)
}

fn numbers(bytes: &[u8]) -> Result<Vec<u64>, String> {
    let mut out = vec![0; 2];
    for part in Wire(bytes) {
        if let (number @ 1..=2, Part::Number(value)) = part? {
            out[number as usize - 1] = value;
        }
    }
    Ok(out)
}

fn first_text(bytes: &[u8]) -> Result<String, String> {
    for part in Wire(bytes) {
        if let (1, Part::Bytes(text)) = part? {
            return utf8(text);
        }
    }
    Ok(String::new())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_text, mut number, mut text) = (false, 0_i64, String::new());
    for part in Wire(bytes) {
        match part? {
            (1, Part::Number(kind)) => is_text = kind == 1,
            (2, Part::Number(value)) => number = value as i64,
            (3, Part::Bytes(value)) => text = utf8(value)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// A point in time; the zero time, which is an empty message, is null.
fn time(bytes: &[u8], micro: bool) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let parts = numbers(bytes)?;
    let (seconds, nanos) = (parts[0] as i64, parts[1] as i32);
    let at = jiff::Timestamp::new(seconds, nanos).map_err(|e| format!("a time in the protobuf body: {e}"))?;
    let format = if micro { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    Ok(at.strftime(format).to_string().into())
}

/// A duration as Go prints it.
fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let (hours, minutes) = (nanos / 3_600_000_000_000, nanos / 60_000_000_000 % 60);
    let seconds = (nanos % 60_000_000_000) as f64 / 1e9;
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, bytes.len() as u8];
        out.extend(bytes);
        out
    }

    fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &meta), field(2, raw), field(3, b""), field(4, b"")].concat()
    }

    #[test]
    fn a_config_map_as_kubectl_sends_it() {
        // Names, empty texts, a zero generation and a zero time are always written.
        let metadata =
            [field(1, b"settings"), field(2, b""), field(3, b"apps"), vec![7 << 3, 0], field(8, b"")].concat();
        let data = field(2, &[field(1, b"key"), field(2, b"value")].concat());
        let binary = field(3, &[field(1, b"bin"), field(2, &[1, 2])].concat());
        let raw = [field(1, &metadata), data, binary].concat();
        let expected = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "apps"},
            "data": {"key": "value"}, "binaryData": {"bin": "AQI="}});
        assert_eq!(decode_protobuf(&envelope("v1", "ConfigMap", &raw)).unwrap(), expected);
    }

    #[test]
    fn numbers_pointers_and_inlined_messages_keep_their_meaning() {
        // replicas is a pointer: zero is a value. minReadySeconds is not: zero is absence.
        let port = field(1, b"web");
        let raw = field(2, &[vec![1 << 3, 0], vec![5 << 3, 0], field(3, &field(1, &port))].concat());
        let decoded = decode_protobuf(&envelope("apps/v1", "Deployment", &raw)).unwrap();
        assert_eq!(decoded["spec"], json!({"replicas": 0, "template": {"metadata": {"name": "web"}}}));
        let secret = field(2, &field(1, b"certs"));
        let volume = [field(1, b"v"), field(2, &field(6, &secret[2..]))].concat();
        let pod = field(2, &field(1, &volume));
        let decoded = decode_protobuf(&envelope("v1", "Pod", &pod)).unwrap();
        assert_eq!(decoded["spec"]["volumes"][0], json!({"name": "v", "secret": {"secretName": "certs"}}));
    }

    #[test]
    fn special_messages_become_their_json() {
        let time = [vec![1 << 3], vec![0x80, 0x9b, 0xb2, 0xac, 0x06]].concat();
        assert_eq!(super::time(&time, false).unwrap(), json!("2023-12-27T20:48:00Z"));
        assert_eq!(super::time(&[], false).unwrap(), Value::Null);
        assert_eq!(int_or_string(&[8, 1, 26, 2, b'8', b'%']).unwrap(), json!("8%"));
        assert_eq!(int_or_string(&[8, 0, 16, 80]).unwrap(), json!(80));
        assert_eq!(duration(5_400_000_000_000), "1h30m0s");
        assert_eq!(duration(1_500_000_000), "1.5s");
    }

    #[test]
    fn broken_bodies_are_refused() {
        let good = envelope("v1", "ConfigMap", &field(1, &field(1, b"name")));
        for length in 0..good.len() - 4 {
            // Cut anywhere, it either still makes sense or is refused; it never panics.
            drop(decode_protobuf(&good[..length]));
        }
        assert!(decode_protobuf(b"{}").is_err());
        assert!(decode_protobuf(&envelope("v1", "Nothing", b"")).is_err());
        assert!(decode_protobuf(&envelope("v1", "ConfigMap", &[0x0a, 0xff])).is_err());
        assert!(decode_protobuf(&envelope("v1", "ConfigMap", &[0xff; 12])).is_err());
    }
}
