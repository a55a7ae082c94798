//! The ignore rules against git's own, where both mean the same.

use std::process::Stdio;

use weir::base::FileTree;
use weir::engine::ignore::Rules;

use super::servers::{World, git_command};

/// Paths that the patterns below speak of.
const PATHS: &[&str] = &[
    "a",
    "a.md",
    "b.txt",
    "dir/a",
    "dir/a.md",
    "dir/sub/a.md",
    "dir/sub/deep/b.txt",
    "deploy/app.yaml",
    "deploy/x.md",
    "deploy/doc/x.md",
    "docs/index.md",
    "foo",
    "foo.d/bar",
    "x/foo",
    "x/foo.d/bar",
    "x/y/z/foo",
    "build/out",
    "x/build/out",
    "space name",
    "tail ",
    "#hash",
    "!bang",
    "[x]",
    "UPPER.TXT",
    "a*b",
    "a\\b",
];

#[test]
fn single_patterns_mean_what_git_means() {
    let world = World::new();
    let repository = world.repository("r");
    let patterns = [
        "*.md",
        "/a",
        "a",
        "dir",
        "dir/",
        "/dir",
        "dir/*",
        "dir/**",
        "**/foo",
        "foo",
        "/foo",
        "x/**/foo",
        "x/**",
        "**/build",
        "build/",
        "**/build/",
        "/build",
        "deploy/**/*.md",
        "/deploy/*.md",
        "*.txt",
        "[a-c].txt",
        "[!b].txt",
        "[^b].txt",
        "?.txt",
        "\\#hash",
        "\\!bang",
        "#hash",
        "\\[x\\]",
        "[[]x]",
        "foo*",
        "foo*/",
        "*/foo",
        "*/*/foo",
        "x/y/z/foo",
        "/x/y",
        "space name",
        "tail\\ ",
        "*.TXT",
        "**",
        "**/*.md",
        "dir/sub",
        "sub/",
        "a\\*b",
        "*",
    ];
    for pattern in patterns {
        let text = format!("{pattern}\n");
        std::fs::write(repository.path.join(".gitignore"), &text).unwrap();
        let tree: FileTree = PATHS.iter().map(|path| (*path, "")).collect();
        let ours: Vec<&str> = {
            let rules = Rules::of(&tree, Some(&text));
            PATHS.iter().copied().filter(|path| !path.contains('\\') && rules.excludes(path, false)).collect()
        };
        assert_eq!(ours, check_ignore(&repository.path), "pattern {pattern:?}");
    }
}

#[test]
fn the_last_pattern_wins_where_no_directory_was_excluded() {
    let world = World::new();
    let repository = world.repository("r");
    for text in [
        "*.md\n!a.md\n",
        "!a.md\n*.md\n",
        "/*\n!/deploy\n/deploy/**/*.md\n",
        "dir/*\n!dir/a.md\n",
        "*.txt\n!dir/sub/deep/*.txt\n",
        "# comment\n\n*.md\r\n",
    ] {
        std::fs::write(repository.path.join(".gitignore"), text).unwrap();
        let tree: FileTree = PATHS.iter().map(|path| (*path, "")).collect();
        let rules = Rules::of(&tree, Some(text));
        let ours: Vec<&str> =
            PATHS.iter().copied().filter(|path| !path.contains('\\') && rules.excludes(path, false)).collect();
        assert_eq!(ours, check_ignore(&repository.path), "{text:?}");
    }
}

fn check_ignore(directory: &std::path::Path) -> Vec<&'static str> {
    use std::io::Write;
    let mut child = git_command(directory, &["check-ignore", "--no-index", "-z", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git is installed");
    let input: Vec<&str> = PATHS.iter().copied().filter(|path| !path.contains('\\')).collect();
    child.stdin.take().unwrap().write_all(format!("{}\0", input.join("\0")).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let listed: Vec<&str> = listed.split_terminator('\0').collect();
    PATHS.iter().copied().filter(|path| listed.contains(path)).collect()
}
