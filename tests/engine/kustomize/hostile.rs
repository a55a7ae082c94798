//! Kustomizations that want too much: outside, in circles, without end. None may crash the process, hang it, or see
//! what lies outside its tree. Numbers of rounds grow with `WEIR_ROUNDS`.

use std::time::{Duration, Instant};

use weir::base::FileTree;
use weir::engine::kustomize::{Answer, Answers, BuildError, ErrorKind, Limits, Need, Options, Output, build};

use super::cases::all_trees;
use super::compare::options;
use super::mutate::damaged;
use super::random::text::Dice;

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n";

fn tree(files: &[(&str, &str)]) -> FileTree {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn run(tree: &FileTree, directory: &str, options: &Options) -> Result<Vec<String>, BuildError> {
    match build(tree, directory, options, &Answers::default())? {
        Output::Built { manifests, .. } => Ok(manifests.iter().map(|made| made.value.to_string()).collect()),
        Output::Need(Need::Remote(address)) => panic!("{address} was asked for although remote bases are not allowed"),
    }
}

fn refused(tree: &FileTree, directory: &str, options: &Options) -> BuildError {
    let start = Instant::now();
    let error = run(tree, directory, options).expect_err("this must be refused");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?} for {error}", start.elapsed());
    error
}

fn rounds(usual: usize) -> usize {
    std::env::var("WEIR_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn nothing_outside_is_read() {
    let fields = [
        "resources: [PATH]",
        "bases: [PATH]",
        "components: [PATH]",
        "crds: [PATH]",
        "configurations: [PATH]",
        "openapi: {path: PATH}",
        "transformers: [PATH]",
        "generators: [PATH]",
        "validators: [PATH]",
        "patchesStrategicMerge: [PATH]",
        "patches: [{path: PATH}]",
        "patchesJson6902: [{path: PATH, target: {version: v1, kind: ConfigMap, name: a}}]",
        "replacements: [{path: PATH}]",
        "configMapGenerator: [{name: x, files: [PATH]}]",
        "configMapGenerator: [{name: x, files: [key=PATH]}]",
        "secretGenerator: [{name: x, envs: [PATH]}]",
        "configMapGenerator: [{name: x, env: PATH}]",
    ];
    let paths = ["../canary.yaml", "../../canary.yaml", "/canary.yaml", "sub/../../canary.yaml", "./../canary.yaml"];
    let mut count = 0;
    for field in fields {
        for path in paths {
            let kustomization = format!("{}\n", field.replace("PATH", path));
            let tree = tree(&[
                ("canary.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: canary}\nstringData: {canary: x}\n"),
                ("app/kustomization.yaml", &kustomization),
                ("app/sub/a.yaml", MAP),
            ]);
            let error = refused(&tree, "app", &options());
            assert!(!error.to_string().contains("stringData"), "{error}");
            // Anywhere in the tree is fine for Flux, beyond it nothing is.
            let anywhere = Options { files_anywhere: true, ..options() };
            if path.starts_with("../../") || path.starts_with('/') {
                refused(&tree, "app", &anywhere);
            }
            count += 1;
        }
    }
    assert!(count >= 50);
}

#[test]
fn circles_are_named() {
    for files in [
        &[("a/kustomization.yaml", "resources: [.]\n")][..],
        &[("a/kustomization.yaml", "resources: [../a]\n")],
        &[("a/kustomization.yaml", "resources: [../b]\n"), ("b/kustomization.yaml", "resources: [../a]\n")],
        &[("a/kustomization.yaml", "resources: [b]\n"), ("a/b/kustomization.yaml", "resources: [..]\n")],
        &[
            ("a/kustomization.yaml", "components: [../c]\n"),
            ("c/kustomization.yaml", "kind: Component\ncomponents: [../c]\n"),
        ],
    ] {
        let error = refused(&tree(files), "a", &options());
        assert_eq!(error.kind, ErrorKind::Cycle, "{error}");
    }
}

#[test]
fn diamonds_and_chains_meet_a_limit() {
    let mut diamond = FileTree::default();
    for level in 0..40 {
        let below = level + 1;
        let text = format!("resources: [../x{below}, ../y{below}]\n");
        diamond.insert(&format!("x{level}/kustomization.yaml"), text.clone().into_bytes()).unwrap();
        diamond.insert(&format!("y{level}/kustomization.yaml"), text.into_bytes()).unwrap();
    }
    for name in ["x40", "y40"] {
        diamond.insert(&format!("{name}/kustomization.yaml"), b"namePrefix: a\n".to_vec()).unwrap();
    }
    let error = refused(&diamond, "x0", &options());
    assert!(matches!(error.kind, ErrorKind::Limit | ErrorKind::Field | ErrorKind::Malformed), "{error}");

    let chain = |length: usize| -> FileTree {
        let link = |at: usize| (format!("d{at}/kustomization.yaml"), format!("resources: [../d{}]\n", at + 1));
        let last = [
            (format!("d{length}/kustomization.yaml"), "resources: [m.yaml]\n".to_owned()),
            (format!("d{length}/m.yaml"), MAP.to_owned()),
        ];
        (0..length).map(link).chain(last).collect()
    };
    assert_eq!(run(&chain(60), "d0", &options()).unwrap().len(), 1);
    assert_eq!(refused(&chain(70), "d0", &options()).kind, ErrorKind::Limit);
}

#[test]
fn counts_are_bounded() {
    let limits = Limits { resources: 20, files: 20, ..Limits::default() };
    let few = Options { limits, ..options() };
    let many: String = (0..21).map(|at| format!("---\n{}", MAP.replace("name: a", &format!("name: a{at}")))).collect();
    let objects = tree(&[("kustomization.yaml", "resources: [m.yaml]\n"), ("m.yaml", &many)]);
    assert_eq!(refused(&objects, "", &few).kind, ErrorKind::Limit);
    let names: Vec<String> = (0..21).map(|at| format!("m{at}.yaml")).collect();
    let mut files = tree(&[("kustomization.yaml", &format!("resources: [{}]\n", names.join(", ")))]);
    for name in &names {
        files.insert(name, b"# nothing\n".to_vec()).unwrap();
    }
    assert_eq!(refused(&files, "", &few).kind, ErrorKind::Limit);
}

#[test]
fn changes_that_multiply_meet_a_limit() {
    let limits = Limits { work: 8 << 20, ..Limits::default() };
    let options = Options { limits, ..options() };
    let doubling: String = (0..60).map(|at| format!("- {{op: copy, from: /data, path: /data/x{at}}}\n")).collect();
    let replaced: String = (0..80)
        .map(|_| {
            "- source: {kind: ConfigMap, fieldPath: data.k}\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.k], options: {delimiter: '|', index: 9999}}]\n"
        })
        .collect();
    let prefixes: String = "x".repeat(60_000);
    let deep = format!("- op: add\n  path: /data\n  value: {}1{}\n", "{a: ".repeat(300), "}".repeat(300));
    let path = format!("data{}", ".a".repeat(2_000));
    for (name, kustomization) in [
        ("copies", format!("resources: [m.yaml]\npatches:\n- target: {{kind: ConfigMap}}\n  patch: |\n    {}", doubling.replace('\n', "\n    "))),
        ("replacements", format!("resources: [m.yaml]\nreplacements:\n{replaced}")),
        (
            "annotations",
            format!("resources: [m.yaml]\ntransformers:\n{}", (0..200).map(|at| format!("- |\n  apiVersion: builtin\n  kind: PrefixTransformer\n  metadata: {{name: t{at}}}\n  prefix: {prefixes}\n  fieldSpecs: [{{path: metadata/name}}]\n")).collect::<String>()),
        ),
        (
            "depth",
            format!("resources: [m.yaml]\npatches:\n- target: {{kind: ConfigMap}}\n  patch: |\n    {0}    {0}", deep.replace('\n', "\n    ").replace("path: /data", &format!("path: /data{}", "/a".repeat(300)))),
        ),
        (
            "paths",
            format!("resources: [m.yaml]\nreplacements: [{{source: {{kind: ConfigMap}}, targets: [{{select: {{kind: ConfigMap}}, fieldPaths: [{path}], options: {{create: true}}}}]}}]\n"),
        ),
        ("specs", format!("resources: [m.yaml]\nlabels: [{{pairs: {{a: b}}, fields: [{{path: {}, create: true}}]}}]\n", path.replace('.', "/"))),
    ] {
        let error = refused(&tree(&[("kustomization.yaml", &kustomization), ("m.yaml", MAP)]), "", &options);
        assert!(error.to_string().len() < 200_000, "{name}: the message is too long");
    }
}

#[test]
fn nothing_is_run() {
    let plugin =
        |kind: &str, more: &str| format!("apiVersion: example.com/v1\nkind: {kind}\nmetadata:\n  name: x\n  {more}\n");
    let exec = "annotations: {config.kubernetes.io/function: 'exec: {path: ./run.sh}'}";
    let container = "annotations: {config.kubernetes.io/function: 'container: {image: example.com/run}'}";
    let starlark = "annotations: {config.kubernetes.io/function: 'starlark: {path: x.star, name: x}'}";
    for (kustomization, plugin) in [
        ("generators: [p.yaml]\n", plugin("Any", exec)),
        ("transformers: [p.yaml]\n", plugin("Any", exec)),
        ("validators: [p.yaml]\n", plugin("Any", exec)),
        ("generators: [p.yaml]\n", plugin("Any", container)),
        ("transformers: [p.yaml]\n", plugin("Any", container)),
        ("transformers: [p.yaml]\n", plugin("Any", starlark)),
        ("transformers: [p.yaml]\n", plugin("SedTransformer", "")),
        ("helmCharts: [{name: x, repo: 'https://example.com'}]\n", plugin("Any", "")),
        ("helmChartInflationGenerator: [{chartName: x}]\n", plugin("Any", "")),
        ("generators: [p.yaml]\n", plugin("HelmChartInflationGenerator", "").replace("example.com/v1", "builtin")),
    ] {
        let text = format!("resources: [m.yaml]\n{kustomization}");
        let tree = tree(&[
            ("kustomization.yaml", &text),
            ("m.yaml", MAP),
            ("p.yaml", &plugin),
            ("run.sh", "#!/bin/sh\ntouch /tmp/x\n"),
        ]);
        let error = refused(&tree, "", &options());
        assert!(!error.hint.is_empty(), "it says what to do instead: {error}");
    }
}

#[test]
fn remote_bases_stay_within_their_tree() {
    let allowed = Options { allow_remote: true, ..options() };
    let top =
        tree(&[("kustomization.yaml", "resources: ['https://host.example/org/repo//app']\n"), ("canary.yaml", MAP)]);
    let address = "https://host.example/org/repo//app";
    let answer = |text: &str| {
        let mut answers = Answers::default();
        let tree = tree(&[("app/kustomization.yaml", text), ("app/m.yaml", MAP)]);
        answers.insert(address, Answer::Directory { tree, directory: "app".into() });
        answers
    };
    let Ok(Output::Need(Need::Remote(asked))) = build(&top, "", &allowed, &Answers::default()) else {
        panic!("not asked")
    };
    assert_eq!(asked, address);
    let Ok(Output::Built { manifests, .. }) = build(&top, "", &allowed, &answer("resources: [m.yaml]\n")) else {
        panic!("not built")
    };
    assert_eq!(manifests[0].origin.as_ref().unwrap().path, "https://host.example/org/repo//app//app/m.yaml");
    for text in [
        "resources: [../../canary.yaml]\n",
        "resources: [../..]\n",
        "resources: ['https://host.example/org/repo//app']\n",
    ] {
        let anywhere = Options { files_anywhere: true, ..allowed.clone() };
        build(&top, "", &anywhere, &answer(text)).expect_err(text);
    }
    let mut answers = Answers::default();
    answers.insert(address, Answer::Directory { tree: FileTree::default(), directory: "../../etc".into() });
    build(&top, "", &allowed, &answers).expect_err("a directory outside");
    let secret =
        tree(&[("kustomization.yaml", "resources: ['https://me:hunter2@host.example/org/repo?token=hunter2']\n")]);
    let error = build(&secret, "", &options(), &Answers::default()).expect_err("remote").to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn builds_do_not_know_of_each_other() {
    let trees = all_trees();
    let alone: Vec<_> = trees.iter().map(|(tree, directory)| run_any(tree, directory)).collect();
    let mut dice = Dice(5);
    let pairs: Vec<(usize, usize)> =
        (0..rounds(30)).map(|_| (dice.below(trees.len()), dice.below(trees.len()))).collect();
    for (a, b) in pairs {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| run_any(&trees[b].0, &trees[b].1));
            assert_eq!(run_any(&trees[a].0, &trees[a].1), alone[a]);
            assert_eq!(other.join().unwrap(), alone[b]);
        });
    }
}

fn run_any(tree: &FileTree, directory: &str) -> Result<Vec<String>, String> {
    run(tree, directory, &options()).map_err(|error| error.to_string())
}

#[test]
fn damaged_repositories_end_in_an_answer() {
    let limits = Limits { work: 4 << 20, ..Limits::default() };
    let options = [
        Options { limits, ..options() },
        Options { limits, files_anywhere: true, schema_adds: true, ..Options::default() },
    ];
    let trees = all_trees();
    let mut dice = Dice(number("WEIR_FUZZ_SEED", 11));
    for _ in 0..rounds(200) {
        let (tree, directory) = dice.pick(&trees);
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        let path = *dice.pick(&paths);
        let bytes = damaged(&tree.get(path).unwrap().bytes, &mut |end| dice.below(end));
        let mut broken = tree.clone();
        broken.insert(path, bytes.clone()).unwrap();
        let start = Instant::now();
        build(&broken, directory, &options[dice.below(2)], &Answers::default()).ok();
        let spent = start.elapsed();
        assert!(
            spent < Duration::from_secs(5),
            "{spent:?} for {path} in {directory}:\n{}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
