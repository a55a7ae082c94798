//! YAML that wants too much time or memory, or is hardly YAML. Sizes grow with `WEIR_ROUNDS`.

use std::time::{Duration, Instant};

use weir::base::yaml::{Dialect, Limits, read, read_as, read_nodes};

/// Makes a document of about so many bytes.
type Shape = Box<dyn Fn(usize) -> String>;

/// Twelve shapes whose reading could grow faster than they do.
fn shapes() -> Vec<(&'static str, Shape)> {
    let repeat = |piece: &'static str| move |bytes: usize| piece.repeat(bytes / piece.len());
    vec![
        ("a block list", Box::new(repeat("- a\n"))),
        ("a block mapping", Box::new(|bytes| (0..bytes / 10).map(|at| format!("k{at:06}: v\n")).collect())),
        ("a flow list", Box::new(move |bytes| format!("[{}a]", "a, ".repeat(bytes / 3)))),
        (
            "a flow mapping",
            Box::new(|bytes| format!("{{{}}}", (0..bytes / 12).map(|at| format!("k{at:06}: v, ")).collect::<String>())),
        ),
        ("comments", Box::new(repeat("# a comment\n"))),
        ("a plain text over lines", Box::new(move |bytes| format!("a: {}\n", "word\n  ".repeat(bytes / 7)))),
        ("a quoted text", Box::new(|bytes| format!("a: \"{}\"\n", "\\n\\\\".repeat(bytes / 4)))),
        ("a block text", Box::new(move |bytes| format!("a: |\n{}", "  line\n".repeat(bytes / 7)))),
        ("a folded text", Box::new(move |bytes| format!("a: >\n{}", "  line\n\n".repeat(bytes / 8)))),
        ("documents", Box::new(repeat("---\na: 1\n"))),
        ("anchors", Box::new(|bytes| (0..bytes / 16).map(|at| format!("- &a{at:06} {at}\n")).collect())),
        ("spaces and breaks", Box::new(repeat("   \n\n"))),
    ]
}

fn fastest(text: &str) -> Duration {
    let once = || {
        let start = Instant::now();
        read(text.as_bytes(), &Limits::default()).ok();
        read_nodes(text.as_bytes(), &Limits::default()).ok();
        start.elapsed()
    };
    (0..3).map(|_| once()).min().unwrap()
}

#[test]
fn time_grows_with_the_size() {
    // Beside other tests only what is far from linear can be told from their load.
    let (largest, growth) =
        if std::env::var_os("WEIR_ROUNDS").is_some() { (8 << 20, 2.3_f64) } else { (128 << 10, 3.2) };
    for (name, shape) in shapes() {
        let (small, large) = (fastest(&shape(largest / 8)), fastest(&shape(largest)));
        // Three doublings, and a little for what a small run cannot show.
        let allowed = small.mul_f64(growth.powi(3)) + Duration::from_millis(40);
        assert!(large < allowed, "{name}: {small:?} becomes {large:?}");
    }
}

#[test]
fn odd_bytes_are_read_or_refused_with_their_line() {
    let scalar = "x".repeat(1 << 20);
    let documents = "--- 1\n".repeat(20_000);
    for (text, fine) in [
        (&b"a: \0\n"[..], false),
        (b"\xef\xbb\xbfa: 1\n", true),
        (b"a: 1\n\xef\xbb\xbfb: 2\n", false),
        (b"a: \"\\ud800\"\n", false),
        (b"a: \xed\xa0\x80\n", false),
        (b"a: \xff\xfe\n", false),
        (b"a: 1\r\nb: 2\r\n", true),
        (b"a: 1\rb: 2\r", true),
        (b"1: a\ntrue: b\n2.5: c\n", true),
        (b"[1, 2]: a\n", false),
        (b"{a: b}: c\n", false),
        (b"a: !!python/object:os.system x\n", true),
        (b"a: !<tag:example.com,2000:x> y\n", true),
        (b"a: !!set {x}\n", true),
        (b"%YAML 9.9\n---\na: 1\n", false),
        (b"a: *nothing\n", false),
        (b"a: \x07\n", false),
        (scalar.as_bytes(), true),
        (documents.as_bytes(), true),
    ] {
        let shown = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
        for dialect in [Dialect::Manifest, Dialect::Lenient, Dialect::Kustomize] {
            let start = Instant::now();
            let read = read_as(text, &Limits::default(), dialect);
            assert!(start.elapsed() < Duration::from_secs(10), "{:?} for {shown:?}", start.elapsed());
            assert_eq!(read.is_ok(), fine, "{shown:?}: {:?}", read.err());
            if let Err(error) = read {
                assert!(error.line > 0 && !error.message.is_empty(), "{shown:?}: {error}");
            }
        }
    }
}

#[test]
fn a_bomb_costs_little() {
    // Unoptimized code needs more stack for the deepest documents than a test thread has.
    std::thread::Builder::new().stack_size(16 << 20).spawn(bombs).unwrap().join().unwrap();
}

fn bombs() {
    let tree = |open: &str, close: &str, inner: &str| format!("a: {}{inner}{}\n", open.repeat(500), close.repeat(500));
    let mut aliases = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..10 {
        aliases += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(","));
    }
    let wide = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(1_000), "*a,".repeat(500));
    let merged = format!(
        "a: &a {{{}}}\n{}",
        (0..200).map(|at| format!("k{at}: v, ")).collect::<String>(),
        (0..200).map(|at| format!("m{at}: {{<<: *a}}\n")).collect::<String>()
    );
    for text in [aliases, wide, merged, tree("[", "]", "x"), tree("{a: ", "}", "x")] {
        let start = Instant::now();
        read(text.as_bytes(), &Limits::default()).ok();
        read_nodes(text.as_bytes(), &Limits::default()).ok();
        assert!(start.elapsed() < Duration::from_secs(10), "{:?} for {:?}", start.elapsed(), &text[..60]);
    }
}

#[test]
fn aliases_copy_within_limits_over_the_whole_stream() {
    let long = "x".repeat(1 << 20);
    let texts = format!("a: &a {long}\nb: [{}]\n", "*a,".repeat(20));
    let keys = format!("a: &a {long}\nb:\n{}", "- {*a : 1}\n".repeat(20));
    // Each document alone is within the rule of Go's decoder.
    let document = format!("---\na: &a [{}]\nb: [{}]\n", "x,".repeat(1_000), "*a,".repeat(90));
    for text in [texts, keys, document.repeat(60)] {
        let (value, node) =
            (read(text.as_bytes(), &Limits::default()), read_nodes(text.as_bytes(), &Limits::default()));
        for message in [value.unwrap_err().message, node.unwrap_err().message] {
            assert!(message.starts_with("the aliases copy more than"), "{message}");
        }
    }
    let few = document.repeat(3) + &format!("---\na: &a {long}\nb: [*a, *a]\n");
    assert!(read(few.as_bytes(), &Limits::default()).is_ok());
}
