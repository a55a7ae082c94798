//! YAML against the recorded verdicts of Go, and against hostile input.

use serde_json::{Value, json};
use weir::base::yaml::*;

const VERDICTS: &str = include_str!("yaml-verdicts.tsv");
const WRITTEN: &str = include_str!("yaml-written.tsv");

/// Where weir differs from Go's verdict for manifests, and why.
fn differs_on_purpose(text: &str) -> Option<&'static str> {
    let because = |list: &[&str], why| list.contains(&text).then_some(why);
    let rounded = ["-9223372036854775809", "18446744073709551616", "123456789012345678901234567890"];
    if rounded.iter().any(|number| text.contains(number)) {
        return Some("Go rounds in silence");
    }
    because(&["1: a\n'1': b\n", "true: 1\n'true': 2\n"], "the same key twice in JSON")
        .or_else(|| {
            because(&["a: \"\\uD83D\\uDE00\"\n", "{\"a\":1,\"b\":\"\\/\"}\n"], "JSON's escapes are valid YAML 1.2")
        })
        .or_else(|| {
            because(&["a: \"\\x41\\u00e9\\U0001F600\\n\\t\\e\\_\\N\\L\\P\\/\"\n"], "JSON's escapes are valid YAML 1.2")
        })
        .or_else(|| because(&["a: \u{85}b\n", "a: x\u{2028}y\n"], "no line breaks in YAML 1.2"))
        .or_else(|| because(&["%YAML 1.2\n---\na: 1\n", "%FOO x\n---\na: 1\n"], "directives that change nothing"))
        .or_else(|| because(&["\tb: 1\n", "a: {\n\tb: 1\n}\n"], "tabs count as the parser has it"))
        .or_else(|| text.contains("<<: *x\n  q: 3").then_some("an explicit key beats a merged one"))
        .or_else(|| text.contains("<<: {q: 4, r: 5}\n").then_some("an explicit key beats a merged one"))
        .or_else(|| text.contains("<<: [{q: 4").then_some("the earlier of merged mappings wins"))
}

fn canonical(json: &str) -> Value {
    let value: Value = serde_json::from_str(json).unwrap();
    whole(value)
}

/// Go's JSON writes whole floats without a point, so that they come back as integers or as large floats.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(0.0) => json!(0),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(fields) => Value::Object(fields.into_iter().map(|(key, value)| (key, whole(value))).collect()),
        other => other,
    }
}

/// Equal, with numbers compared by size beyond `i64`.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || (a.as_i64().is_none() && close(a.as_f64(), b.as_f64())),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Within the last digit, which `serde_json` may get wrong when it reads the expectation.
fn close(a: Option<f64>, b: Option<f64>) -> bool {
    a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= f64::EPSILON * a.abs())
}

#[test]
fn values_are_what_the_go_decoder_gives_a_manifest() {
    let mut wrong = Vec::new();
    for row in VERDICTS.lines() {
        let columns: Vec<&str> = row.split('\t').collect();
        let text: String = serde_json::from_str(columns[0]).unwrap();
        if differs_on_purpose(&text).is_some() {
            continue;
        }
        let read = read(text.as_bytes(), &Limits::default());
        let agrees = match (&read, columns[1]) {
            (Err(_), "!") => true,
            (Ok(documents), expected) if expected != "!" => {
                let value = documents.first().map_or(Value::Null, |document| document.value.clone());
                same(&value, &canonical(expected))
            }
            _ => false,
        };
        if !agrees {
            wrong.push(format!("{text:?}: go says {}, weir {read:?}", columns[1]));
        }
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nodes_are_what_kustomize_makes_of_them() {
    let skipped = [
        "@@",
        "? a\n",
        ">-\n  x\n   y",
        "null: ",
        "~: ",
        "Null: ",
        "NULL: ",
        "[]\n",
        "null\n",
        "\\uD83D",
        "\\/",
        "\u{85}",
        "\u{2028}",
        "%YAML",
        "%FOO",
        "0x1: b",
        "*a : c",
        "---\n",
    ];
    let mut wrong = Vec::new();
    for row in VERDICTS.lines() {
        let columns: Vec<&str> = row.split('\t').collect();
        let text: String = serde_json::from_str(columns[0]).unwrap();
        let expected = if columns[2] == "=" { columns[1] } else { columns[2] };
        if skipped.iter().any(|part| text.contains(part)) || text.contains('\t') {
            continue;
        }
        let read = read_nodes(text.as_bytes(), &Limits::default());
        let value = match &read {
            Ok(documents) => documents.first().and_then(|document| document.node.to_value().ok()),
            Err(_) => None,
        };
        let agrees = match (&value, expected) {
            // Infinity is refused later; documents that are no mapping are refused later.
            (_, "!") => {
                let unusual = [".inf", ".nan"].iter().any(|word| text.to_lowercase().contains(word));
                unusual || !value.as_ref().is_some_and(Value::is_object)
            }
            (Some(value), expected) => same(&whole(value.clone()), &canonical(expected)),
            (None, _) => false,
        };
        if !agrees {
            wrong.push(format!("{text:?}: kustomize says {expected}, weir {value:?} {:?}", read.err()));
        }
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_writer_lays_out_as_go_does() {
    let safer = ["h: =", "i: <<", "😀", "\u{85}", "\u{2028}", "\u{feff}"];
    for row in WRITTEN.lines() {
        let (input, expected) = row.split_once('\t').unwrap();
        let expected: String = serde_json::from_str(expected).unwrap();
        let value: Value = serde_json::from_str(input).unwrap();
        let written = write(&value);
        if value.is_null() {
            continue;
        }
        assert_eq!(read_one(written.as_bytes(), &Limits::default()).unwrap(), value, "reads back: {written}");
        let lines = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.retain(|line| !safer.iter().any(|part| line.contains(part)));
            lines.retain(|line| {
                !["h: \"=\"", "i: \"<<\"", "r: ", "s: ", "o: ", "p: "].iter().any(|part| line.starts_with(part))
            });
            // Key order is the caller's business.
            if input.contains("a10") {
                lines.sort();
            }
            lines
        };
        assert_eq!(lines(&written), lines(&expected));
    }
}

#[test]
fn whatever_is_written_reads_back_in_every_dialect() {
    use proptest::prelude::*;
    let text = prop_oneof![
        "[ -~]{0,12}",
        "[-+0-9_.:xXobeEinfa]{0,10}",
        "(\\PC|\n|\t| |\r){0,12}",
        "[a-z #:,'\"\\[\\]{}&*!|>%@`?-]{0,100}",
        Just("yes".to_owned()),
    ];
    proptest!(ProptestConfig::with_cases(2_000), |(key in text.clone(), value in text)| {
        let document = json!({key.clone(): value.clone(), "list": [value.clone(), [value.clone()], {"k": value}]});
        let written = write(&document);
        prop_assert_eq!(&read_one(written.as_bytes(), &Limits::default()).unwrap(), &document, "{}", written);
        let nodes = read_nodes(written.as_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(nodes[0].node.to_value(), Ok(document));
    });
}

fn refusal(text: &str) -> String {
    read(text.as_bytes(), &Limits::default()).unwrap_err().to_string()
}

#[test]
fn refusals_name_the_place() {
    assert_eq!(
        refusal("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n"),
        "line 5, column 3: the key \"c\" is given twice, first on line 3"
    );
    assert_eq!(refusal("a: 1\nb: x\0y\n"), "line 2: control character 0x00 is not allowed; escape it in a quoted text");
    assert_eq!(
        read(b"a: 1\n\xff\n", &Limits::default()).unwrap_err().to_string(),
        "line 2: the text is not valid UTF-8"
    );
    assert!(refusal("a: 18446744073709551616\n").contains("does not fit 64 bits"));
    assert!(refusal("a: .inf\n").starts_with("line 1, column 4: infinity"));
    assert!(refusal("a: &x [*x]\n").contains("contains itself"));
}

#[test]
fn json_with_tabs_and_crlf_reads() {
    let value = read_one(
        b"\xef\xbb\xbf{\r\n\t\"a\": [\r\n\t\t1,\t2\r\n\t],\n\t\"b\": {\n\t\t\"c\": \"\\u00e9\\/\"\n\t}\n}\n",
        &Limits::default(),
    );
    assert_eq!(value.unwrap(), json!({"a": [1, 2], "b": {"c": "é/"}}));
    assert_eq!(
        read_one(b"a: |\r\n  x\r\n  y\r\nb: c\r\n", &Limits::default()).unwrap(),
        json!({"a": "x\ny\n", "b": "c"})
    );
}

#[test]
fn documents_know_their_place() {
    let documents = read(b"# first\n---\na: 1\n---\n---\n\nb: [1,\n 2]\n", &Limits::default()).unwrap();
    let places: Vec<(usize, usize)> = documents.iter().map(|document| (document.index, document.line)).collect();
    assert_eq!(places, [(0, 3), (2, 7)]);
    let text = b"spec:\n  list:\n  - name: a\n  - name: b\n    x: 1\n";
    assert_eq!(line_of(text, 0, &["spec", "list", "1", "x"]), Some(5));
    assert_eq!(line_of(text, 0, &["spec", "nothing", "x"]), Some(1));
}

fn spent(text: &str) -> (std::time::Duration, bool) {
    let start = std::time::Instant::now();
    let fine = read(text.as_bytes(), &Limits::default()).is_ok();
    (start.elapsed(), fine)
}

#[test]
fn bombs_are_refused_before_they_multiply() {
    let mut aliases = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    let mut merges = String::from("a0: &a0 {k0: 1}\n");
    for level in 1..12 {
        let before = level - 1;
        aliases += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(","));
        merges += &format!("a{level}: &a{level}\n  <<: [{}]\n", vec![format!("*a{before}"); 10].join(","));
    }
    let deep = |open: &str| open.repeat(100_000);
    for text in [aliases, merges, deep("["), deep("{a: "), deep("- "), deep("? "), deep("a: {b: ")] {
        let (time, fine) = spent(&text);
        assert!(!fine, "{}", &text[..40]);
        assert!(time.as_secs() < 2, "{time:?} for {}", &text[..40]);
    }
}

#[test]
fn depth_is_allowed_up_to_the_limit() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(read(nested(512).as_bytes(), &Limits::default()).is_ok());
    assert!(read(nested(513).as_bytes(), &Limits::default()).is_err());
    // An alias does not hide depth.
    let hidden = format!("a: &a {}\nb: {}*a{}\n", nested(400), "[".repeat(300), "]".repeat(300));
    assert!(refusal(&hidden).contains("nested deeper"));
}

#[test]
fn a_block_at_the_end_of_a_file_has_no_line_break_that_is_not_there() {
    for (text, value) in [
        ("a: |\n  x", "x"),
        ("a: |+\n  x", "x"),
        ("a: >\n  x", "x"),
        ("a: |\n  x\n  ", "x\n"),
        ("a: |\n  x\n# c", "x\n"),
        ("a: |\n  x\n---", "x\n"),
        ("a: |\n  x\n", "x\n"),
        ("a: |\n  x  ", "x  "),
    ] {
        assert_eq!(read_one(text.as_bytes(), &Limits::default()).unwrap(), json!({"a": value}), "{text:?}");
    }
}
