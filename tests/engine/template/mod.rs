//! Templates against recorded answers of Helm: every construct of the language, every function, every error text.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use weir::base::yaml;
use weir::engine::template::{
    Entries, Fields, Items, Limits, List, Map, Object, TemplateError, Templates, Value, World,
};

const FILE: &str = "c/templates/t";

fn map(of: Fields, entries: Vec<(&str, Value)>) -> Value {
    Value::Map(Map::of(of, entries.into_iter().map(|(key, value)| (key.into(), value)).collect::<Entries>()))
}

fn text(text: &str) -> Value {
    Value::str(text)
}

/// What the chart of the recordings gives its one template.
fn data(values: &str) -> Value {
    let values = yaml::read_as(values.as_bytes(), &yaml::Limits::default(), yaml::Dialect::Lenient).unwrap();
    let values = match values.first().map(|document| Value::from_document(&document.value)) {
        Some(Value::Map(values)) => Value::Map(values.retyped(Fields::Values)),
        _ => map(Fields::Values, vec![]),
    };
    let maintainer = Value::map([("Name", text("m")), ("Email", text("m@x")), ("URL", text(""))]);
    let mut chart = vec![
        ("Annotations", Value::Map(Map::nil())),
        ("Dependencies", Value::list(vec![])),
        ("Deprecated", Value::Bool(false)),
        ("IsRoot", Value::Bool(true)),
        ("Keywords", Value::list(vec![text("a"), text("b")])),
        ("Maintainers", Value::list(vec![maintainer])),
        ("Sources", Value::list(vec![])),
    ];
    let texts =
        [("APIVersion", "v2"), ("AppVersion", "4.5"), ("Name", "c"), ("Type", "application"), ("Version", "1.2.3")];
    let blanks = ["Condition", "Description", "Home", "Icon", "KubeVersion", "Tags"].map(|name| (name, ""));
    chart.extend(texts.into_iter().chain(blanks).map(|(name, value)| (name, text(value))));
    let release = vec![
        ("IsInstall", Value::Bool(true)),
        ("IsUpgrade", Value::Bool(false)),
        ("Name", text("r")),
        ("Namespace", text("ns")),
        ("Revision", Value::Int(1)),
        ("Service", text("Helm")),
    ];
    let kubernetes = Object {
        type_name: "common.KubeVersion",
        pointer: false,
        fields: vec![("Version", text("v1.37.0")), ("Major", text("1")), ("Minor", text("37"))],
        text: Some("v1.37.0".into()),
    };
    let versions = Value::List(List::of(Items::Versions, vec![text("v1"), text("apps/v1")]));
    let capabilities = Object {
        type_name: "*common.Capabilities",
        pointer: true,
        fields: vec![("KubeVersion", Value::Object(Rc::new(kubernetes))), ("APIVersions", versions)],
        text: None,
    };
    let files = [
        ("config/a.txt", "alpha\n"),
        ("config/b.txt", "beta <b>\nsecond"),
        ("bin.dat", "x"),
        ("c.yaml", "k: v\n"),
        ("config/sub/d.txt", "deep"),
    ];
    let files = files.map(|(path, content)| (path.to_owned(), content.as_bytes().into()));
    let template = vec![("BasePath", text("c/templates")), ("Name", text(FILE))];
    let root = vec![
        ("Capabilities", Value::Object(Rc::new(capabilities))),
        ("Chart", map(Fields::Any, chart)),
        ("Files", weir::engine::template::files(files)),
        ("Release", map(Fields::Any, release)),
        ("Subcharts", map(Fields::Any, vec![])),
        ("Template", map(Fields::Values, template)),
        ("Values", values),
    ];
    map(Fields::Values, root)
}

fn render(template: &str, values: &str, limits: Limits) -> Result<String, TemplateError> {
    let state = std::cell::Cell::new(0x9e37_79b9_7f4a_7c15_u64);
    let random = |bytes: &mut [u8]| {
        for byte in bytes {
            let mut next = state.get();
            next ^= next << 13;
            next ^= next >> 7;
            next ^= next << 17;
            state.set(next);
            *byte = (next >> 32) as u8;
        }
    };
    let world = World { random: Some(&random), limits, ..World::default() };
    let mut templates = Templates::new();
    templates.add(FILE, template)?;
    Ok(templates.render([(FILE, data(values))], &world)?.remove(0))
}

#[derive(Default)]
struct Case {
    template: Vec<String>,
    values: String,
    output: Vec<String>,
    fails: bool,
}

fn cases(path: &Path) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut values: Vec<String> = Vec::new();
    let mut in_values = false;
    for line in fs::read_to_string(path).unwrap().lines() {
        let Some(mark) = line.chars().next() else { continue };
        let rest = line.get(2..).unwrap_or_default().to_owned();
        if mark == '@' && !std::mem::replace(&mut in_values, mark == '@') {
            values.clear();
        }
        in_values = mark == '@';
        match mark {
            '@' => values.push(rest),
            '>' => cases.push(Case { template: vec![rest], values: values.join("\n"), ..Case::default() }),
            '-' => cases.last_mut().unwrap().template.push(rest),
            '|' | '!' => {
                let case = cases.last_mut().unwrap();
                case.fails = mark == '!';
                case.output.push(rest);
            }
            _ => assert_eq!(mark, '#', "{line}"),
        }
    }
    cases
}

#[test]
fn templates_render_and_fail_as_in_helm() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine/template/cases");
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in ["language.txt", "sprig.txt", "helm.txt"] {
        for case in cases(&directory.join(file)) {
            count += 1;
            let template = case.template.join("\n");
            let (wanted, got) = (case.output.join("\n"), render(&template, &case.values, Limits::default()));
            let (fails, got) = match got {
                Ok(output) => (false, output),
                Err(error) => (true, error.to_string()),
            };
            if fails != case.fails || got != wanted {
                wrong.push(format!("{file}: {template}\n  wanted {wanted:?}\n  got    {got:?}"));
            }
        }
    }
    assert!(count > 500, "only {count} cases were found");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Renders on a stack of its own size, as a worker of the program would.
fn bounded(template: &'static str) -> String {
    let limits = Limits { steps: 1_000_000, bytes: 64 << 20, output: 4 << 20, crypto_calls: 3, ..Limits::default() };
    within(template, limits)
}

fn within(template: &'static str, limits: Limits) -> String {
    let run = move || match render(template, "a: 1", limits) {
        Ok(output) => output.chars().take(40).collect(),
        Err(error) => error.to_string().chars().take(400).collect(),
    };
    std::thread::Builder::new().stack_size(8 << 20).spawn(run).unwrap().join().unwrap()
}

#[test]
fn hostile_templates_end_in_an_error() {
    let nested = "templates are nested more than";
    let table = [
        ("{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}", nested),
        ("{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}", nested),
        ("{{ define \"a\" }}{{ tpl \"{{ include \\\"a\\\" . }}\" . }}{{ end }}{{ include \"a\" . }}", nested),
        (
            "{{ define \"a\" }}{{ tpl .s . }}{{ end }}{{ tpl \"{{ tpl .s . }}\" (dict \"s\" \"{{ tpl .s . }}\") }}",
            nested,
        ),
        ("{{ range until 1000000000 }}{{ end }}", "bytes of text"),
        ("{{ range 1000000000 }}{{ end }}", "steps"),
        ("{{ range int64 9000000000000000000 }}{{ end }}", "steps"),
        ("{{ seq 1 1000000000 }}", "bytes of text"),
        ("{{ repeat 1000000000 \"x\" }}", "bytes of text"),
        ("{{ repeat 9000000000000000000 \"xx\" }}", "bytes of text"),
        ("{{ nindent 1000000000 \"x\" }}", "bytes of text"),
        ("{{ printf \"%1000000000d\" 1 }}", "NOVERB"),
        ("{{ range until 1000 }}{{ range until 1000 }}{{ range until 1000 }}x{{ end }}{{ end }}{{ end }}", "steps"),
        ("{{ $s := \"xxxxxxxx\" }}{{ range until 60 }}{{ $s = print $s $s }}{{ end }}", "bytes of text"),
        ("{{ $s := \"ab\" }}{{ range until 60 }}{{ $s = replace \"a\" \"aaaa\" $s }}{{ end }}", "bytes of text"),
        ("{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ toYaml $d }}|", "|"),
        ("{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ $d }}", "a value is nested more than"),
        ("{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ deepCopy $d }}", "a value is nested more than"),
        ("{{ $l := list }}{{ range until 50000 }}{{ $l = list $l }}{{ end }}ok", "ok"),
        (
            "{{ $m := dict }}{{ range until 50000 }}{{ $n := dict }}{{ $_ := set $m \"a\" $n }}{{ $m = $n }}{{ end }}ok",
            "ok",
        ),
        ("{{ regexMatch \"(a{1,900}){1,900}\" \"aaaa\" }}", "false"),
        ("{{ randBytes 1000000000 }}", "bytes of text"),
        ("{{ range until 100 }}{{ $_ := genPrivateKey \"ecdsa\" }}{{ end }}", "keys, certificates or hashes"),
        ("{{ range until 100 }}{{ $_ := bcrypt \"x\" }}{{ end }}", "keys, certificates or hashes"),
        ("{{ genPrivateKey \"rsa16384\" }}", "Unknown type rsa16384"),
        ("{{ getHostByName \"example.com\" }}|", "|"),
    ];
    for (template, wanted) in table {
        let got = bounded(template);
        assert!(got.contains(wanted), "{template}\n  wanted {wanted}\n  got    {got}");
    }
}

#[test]
fn expressions_that_cost_much_end_within_their_budget() {
    let expressions = [
        "indent 1000000000 \"x\"",
        "untilStep 0 1000000000 1",
        "untilStep 0 10 0",
        "seq 0 -1 -1000000000",
        "randAlphaNum 1000000000",
        "randAscii 100000000",
        "wrap 1 (repeat 1000000 \"x \")",
        "wrapWith 1 (repeat 100000 \"ab\") (repeat 1000 \"x \")",
        "printf \"%*d\" 1000000000 1",
        "printf \"%.1000000000f\" 1.0",
        "printf \"%1000000000s\" \"x\"",
        "printf \"%x\" (repeat 30000000 \"x\")",
        "printf (repeat 5000000 \"%v\")",
        "repeat 30000000 \"x\" | b64enc | b32enc | b64enc",
        "until 3000000 | toYaml",
        "until 3000000 | toJson",
        "until 3000000 | toPrettyJson",
        "chunk 1 (until 1000000)",
        "join (repeat 10000 \"x\") (until 100000)",
        "regexFindAll \".*?\" (repeat 1000000 \"a\") -1",
        "regexReplaceAll \"a\" (repeat 100000 \"a\") (repeat 100000 \"b\")",
        "regexSplit \"\" (repeat 1000000 \"a\") -1",
        "regexMatch \"(((a{1,100}){1,100}){1,100}){1,100}\" \"aaaa\"",
        "shuffle (repeat 10000000 \"ab\")",
        "tpl (repeat 100000 \"{{ 1 }}\") .",
        "tpl (printf \"%s%s\" (repeat 100000 \"{{ if true }}\") (repeat 100000 \"{{ end }}\")) .",
        "fromYaml \"a: &a [x, x]\\nb: &b [*a, *a]\\nc: &c [*b, *b]\\nd: &d [*c, *c]\"",
        "fromJson (repeat 1000000 \"[\")",
        "fromYaml (repeat 100000 \"{a: \")",
        "fromToml (repeat 100000 \"[[a]]\\n\")",
        "replace \"\" (repeat 10000 \"x\") (repeat 100000 \"a\")",
        "splitList \"\" (repeat 10000000 \"a\")",
        "splitn \"\" 1000000 (repeat 1000000 \"a\")",
        "round 1.5 1000000000",
        "date \"2006\" 9223372036854775807",
        "dateModify \"999999999h\" (toDate \"2006\" \"2006\")",
        "durationRound 9223372036854775807",
        "semver (repeat 1000000 \"1\")",
        "urlParse (repeat 1000000 \"a:\")",
        "semverCompare (repeat 100000 \">1.0 || \") \"1.0\"",
        "initials (repeat 10000000 \"x \")",
        "title (repeat 10000000 \"x \")",
        "uniq (until 100000)",
        "without (until 100000) 1 2 3",
        "sortAlpha (until 1000000)",
        "biggest 1 2 | max 9223372036854775807 | add1",
        "div 1 0",
        "mod 9 0",
        "index (until 10) 1000000000000",
        "slice (until 10) 5 1",
        "substr -5 1000000000 \"abc\"",
        "trunc -9223372036854775808 \"abc\"",
        "encryptAES \"k\" (repeat 10000000 \"x\")",
        "cat (until 1000000)",
    ];
    for expression in expressions {
        let template = format!("{{{{ {expression} }}}}").leak();
        let limits = Limits { steps: 100_000, bytes: 2 << 20, output: 1 << 20, ..Limits::default() };
        assert!(within(template, limits).len() <= 4000, "{expression}");
    }
}

#[test]
fn deep_nesting_of_source_is_refused() {
    let parens = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    let blocks = format!("{}{}", "{{ if true }}".repeat(100_000), "{{ end }}".repeat(100_000));
    for template in [parens, blocks] {
        let error = render(&template, "", Limits::default()).unwrap_err().to_string();
        assert!(error.contains("depth exceeded"), "{error}");
    }
}

#[test]
fn the_environment_stays_outside() {
    for function in ["env", "expandenv"] {
        let error = render(&format!("{{{{ {function} \"HOME\" }}}}"), "", Limits::default()).unwrap_err();
        assert!(error.to_string().contains("not defined"), "{error}");
    }
}

#[test]
fn a_lookup_that_nobody_answered_is_a_need() {
    let answers = std::collections::BTreeMap::new();
    let world = World { lookups: Some(&answers), ..World::default() };
    let mut templates = Templates::new();
    templates.add(FILE, "{{ (lookup \"v1\" \"Secret\" \"ns\" \"x\").data }}").unwrap();
    match templates.render([(FILE, data(""))], &world) {
        Err(TemplateError::Need(lookup)) => assert_eq!((lookup.kind.as_str(), lookup.name.as_str()), ("Secret", "x")),
        other => panic!("{other:?}"),
    }
}
