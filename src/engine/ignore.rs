//! What of a source belongs into its artifact: `.sourceignore` files, `spec.ignore` and the defaults of Flux.
//!
//! Patterns look like gitignore and mostly act like it, with the one difference that Flux has: the last pattern that
//! matches a path *or a directory above it* decides, so a file can come back from beneath an excluded directory.
//! Start with [`filter`]; [`Rules`] is for callers that also need directories.
//!
//! Source: fluxcd/pkg sourceignore, and go-git plumbing/format/gitignore for the meaning of a pattern.

use super::glob::is_like;
use crate::base::FileTree;

/// The file in any directory that adds patterns for what lies beneath it.
pub const SOURCE_IGNORE: &str = ".sourceignore";

const VERSION_CONTROL: &[&str] = &[".git/", ".gitignore", ".gitmodules", ".gitattributes"];
const EXTENSIONS: &[&str] = &["*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip"];
const BUILD_SERVERS: &[&str] = &[
    ".github/",
    ".circleci/",
    ".travis.yml",
    ".gitlab-ci.yml",
    "appveyor.yml",
    ".drone.yml",
    "cloudbuild.yaml",
    "codeship-services.yml",
    "codeship-steps.yml",
];
const EXTRA: &[&str] = &["**/.goreleaser.yml", "**/.sops.yaml", "**/.flux.yaml"];

/// Bytes of patterns that are read from one place; more is not written by people.
const TEXT_BYTES: usize = 1 << 20;

/// Leaves out of a tree what its own ignore files, the given text and the defaults exclude.
pub fn filter(tree: &FileTree, spec_ignore: Option<&str>) -> FileTree {
    Rules::of(tree, spec_ignore).filter(tree)
}

/// All patterns that apply to one tree, weakest first.
#[derive(Clone, Debug)]
pub struct Rules {
    patterns: Vec<Pattern>,
}

impl Rules {
    /// Collects the rules of a tree: version control, then its ignore files, then the given text.
    ///
    /// Without a single own pattern, the defaults (pictures, archives, build servers' files) stand in for them.
    pub fn of(tree: &FileTree, spec_ignore: Option<&str>) -> Self {
        let mut own = Vec::new();
        // Parents before children: the deeper file is read later and so wins.
        let mut files: Vec<_> = tree.iter().filter(|(path, _)| is_source_ignore(path)).collect();
        files.sort_by_key(|(path, _)| path.split('/').map(str::to_owned).collect::<Vec<_>>());
        for (path, file) in files {
            let directory = path.strip_suffix(SOURCE_IGNORE).unwrap_or_default().trim_end_matches('/');
            own.extend(read_patterns(&String::from_utf8_lossy(&file.bytes), directory));
        }
        own.extend(read_patterns(spec_ignore.unwrap_or_default(), ""));
        let named =
            |group: &[&'static str]| group.iter().filter_map(|line| Pattern::read(line, "")).collect::<Vec<_>>();
        let mut patterns = named(VERSION_CONTROL);
        if own.is_empty() {
            patterns.extend([EXTENSIONS, BUILD_SERVERS, EXTRA].into_iter().flat_map(named));
        }
        patterns.extend(own);
        Rules { patterns }
    }

    /// Whether a path is left out: the last pattern that speaks of it decides.
    pub fn excludes(&self, path: &str, is_directory: bool) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let speaks = self.patterns.iter().rev().find(|pattern| pattern.matches(&parts, is_directory));
        speaks.is_some_and(|pattern| !pattern.includes)
    }

    /// The files that stay.
    pub fn filter(&self, tree: &FileTree) -> FileTree {
        let mut kept = FileTree::default();
        for (path, file) in tree.iter().filter(|(path, _)| !self.excludes(path, false)) {
            // The path was accepted by a tree before, so it is accepted again.
            kept.insert_file(path, file.clone()).ok();
        }
        kept
    }

    /// The directories that stay, even where none of their files does: Flux's archives keep them.
    pub fn directories<'a>(&self, tree: &'a FileTree) -> Vec<&'a str> {
        let mut all = std::collections::BTreeSet::new();
        for (path, _) in tree.iter() {
            let mut above = path;
            while let Some((parent, _)) = above.rsplit_once('/') {
                if !all.insert(parent) {
                    break;
                }
                above = parent;
            }
        }
        all.into_iter().filter(|directory| !self.excludes(directory, true)).collect()
    }
}

fn is_source_ignore(path: &str) -> bool {
    path.strip_suffix(SOURCE_IGNORE).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn read_patterns(text: &str, directory: &str) -> Vec<Pattern> {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES)];
    text.lines().filter_map(|line| Pattern::read(line, directory)).collect()
}

#[derive(Clone, Debug)]
struct Pattern {
    /// The directory whose ignore file said it, as parts.
    domain: Vec<String>,
    /// Parts between slashes; one part without a slash matches at any depth.
    parts: Vec<String>,
    anchored: bool,
    includes: bool,
    only_directories: bool,
}

impl Pattern {
    fn read(line: &str, directory: &str) -> Option<Self> {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.starts_with('#') || line.trim().is_empty() {
            return None;
        }
        let (includes, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let line = if line.ends_with("\\ ") { line } else { line.trim_end_matches(' ') };
        let (only_directories, line) = match line.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let domain = directory.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let anchored = line.contains('/');
        let parts: Vec<String> = line.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        (!parts.is_empty()).then_some(Pattern { domain, parts, anchored, includes, only_directories })
    }

    /// Whether it speaks of a path, itself or as something beneath a directory it names.
    fn matches(&self, path: &[&str], is_directory: bool) -> bool {
        let beneath = path.len() > self.domain.len() && self.domain.iter().zip(path).all(|(own, part)| own == part);
        if !beneath {
            return false;
        }
        let path = &path[self.domain.len()..];
        // Every prefix of the path but the whole is a directory.
        let fits = |end: usize| !self.only_directories || is_directory || end < path.len();
        if self.anchored {
            return (1..=path.len()).any(|end| fits(end) && parts_match(&self.parts, &path[..end]));
        }
        (1..=path.len()).any(|end| fits(end) && glob(self.parts[0].as_bytes(), path[end - 1].as_bytes()))
    }
}

/// Matches parts against a whole path; `**` stands for any number of directories, at the end for at least one part.
fn parts_match(parts: &[String], path: &[&str]) -> bool {
    // One bit per path prefix that the parts so far can end at: linear, so `**/**/**` costs nothing.
    let mut reach = vec![false; path.len() + 1];
    reach[0] = true;
    for (at, part) in parts.iter().enumerate() {
        let mut next = vec![false; path.len() + 1];
        if part == "**" {
            let least = usize::from(at + 1 == parts.len());
            if let Some(first) = reach.iter().position(|reached| *reached) {
                next.iter_mut().skip(first + least).for_each(|reached| *reached = true);
            }
        } else {
            for end in (0..path.len()).filter(|end| reach[*end]) {
                next[end + 1] = glob(part.as_bytes(), path[end].as_bytes());
            }
        }
        reach = next;
    }
    reach[path.len()]
}

/// Matches one name: `*`, `?`, `[a-z]`, `[!a]`, `[^a]` and backslash. An unclosed bracket matches nothing.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    is_like(pattern, name, one)
}

/// Matches one character; gives what it used of the pattern and of the name, in bytes.
fn one(pattern: &[u8], name: &[u8]) -> Option<(usize, usize)> {
    let width = character_bytes(name[0]).min(name.len());
    match pattern.first()? {
        b'?' => Some((1, width)),
        b'[' => bracket(pattern, name, width),
        b'\\' => (pattern.get(1) == Some(&name[0])).then_some((2, 1)),
        literal => (*literal == name[0]).then_some((1, 1)),
    }
}

fn bracket(pattern: &[u8], name: &[u8], width: usize) -> Option<(usize, usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let mut at = 1 + usize::from(negated);
    let first = at;
    let mut found = false;
    loop {
        if pattern.get(at)? == &b']' && at > first {
            break;
        }
        let (low, after) = bracket_character(pattern, at)?;
        let ranged = pattern.get(after) == Some(&b'-') && pattern.get(after + 1).is_some_and(|end| *end != b']');
        let (high, after) = if ranged { bracket_character(pattern, after + 1)? } else { (low, after) };
        found |= low <= &name[..width] && &name[..width] <= high;
        at = after;
    }
    (found != negated).then_some((at + 1, width))
}

/// UTF-8 orders as its bytes do, so ranges compare slices.
fn bracket_character(pattern: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let at = if pattern.get(at)? == &b'\\' { at + 1 } else { at };
    let end = at + character_bytes(*pattern.get(at)?);
    Some((pattern.get(at..end)?, end))
}

fn character_bytes(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &str) -> FileTree {
        paths.split_whitespace().map(|path| (path, "")).collect()
    }

    fn kept(paths: &str, ignore: Option<&str>) -> String {
        filter(&tree(paths), ignore).iter().map(|(path, _)| path).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn defaults_apply_only_without_own_patterns() {
        let paths = ".git/config .github/w.yaml .gitignore .sops.yaml a.png app.yaml d/.flux.yaml d/x.zip";
        assert_eq!(kept(paths, None), "app.yaml");
        assert_eq!(kept(paths, Some("# only a comment\n\n")), "app.yaml");
        assert_eq!(kept(paths, Some("app.yaml")), ".github/w.yaml .sops.yaml a.png d/.flux.yaml d/x.zip");
        assert_eq!(kept(".gitignore a", Some("!.gitignore")), ".gitignore a", "own patterns win over all");
    }

    #[test]
    fn a_file_comes_back_from_beneath_an_excluded_directory() {
        let only = "/*\n!/deploy\n/deploy/**/*.md\n";
        assert_eq!(kept("a b/c deploy/app.yaml deploy/doc/x.md deploy/x.md", Some(only)), "deploy/app.yaml");
        assert_eq!(kept("a clusters/dev/x clusters/prod/x", Some("/*\n!/clusters/prod\n")), "clusters/prod/x");
    }

    #[test]
    fn an_included_directory_includes_all_beneath_it() {
        // Here git would still exclude the files by the first pattern; Flux lets the directory's pattern speak for them.
        assert_eq!(kept("a d/a", Some("*\n!*/\n")), "d/a");
    }

    #[test]
    fn ignore_files_hold_beneath_their_directory_and_the_spec_is_last() {
        let mut files = tree("a.txt sub/a.txt sub/deep/a.txt sub/deep/b.txt");
        files.insert("sub/.sourceignore", *b"a.txt\n").unwrap();
        files.insert("sub/deep/.sourceignore", *b"!a.txt\n/b.txt\n").unwrap();
        let kept = |ignore| filter(&files, ignore).iter().map(|(path, _)| path.to_owned()).collect::<Vec<_>>();
        assert_eq!(kept(None), ["a.txt", "sub/.sourceignore", "sub/deep/.sourceignore", "sub/deep/a.txt"]);
        assert_eq!(kept(Some("*.txt")), ["sub/.sourceignore", "sub/deep/.sourceignore"]);
    }

    #[test]
    fn names_match_as_shells_match_them() {
        for (pattern, yes, no) in [
            ("*.md", "a.md .md", "a.mdx amd"),
            ("a?c", "abc aéc", "ac abbc"),
            ("[a-c]x", "ax cx", "dx x"),
            ("[!a-c]x", "dx éx", "ax"),
            ("[^a]x", "bx", "ax"),
            ("[]a]x", "]x ax", "bx"),
            ("[a-]x", "-x ax", "bx"),
            ("[é-ü]x", "íx", "ax"),
            ("[a", "", "a [a"),
            ("\\*", "*", "a"),
            ("a*b*c", "abc aXbYc abcbc", "acb"),
            ("***a", "a ba", "b"),
        ] {
            for (names, wanted) in [(yes, true), (no, false)] {
                for name in names.split_whitespace() {
                    assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), wanted, "{pattern} on {name}");
                }
            }
        }
        assert!(!glob("*a".repeat(40).as_bytes(), "a".repeat(39).as_bytes()), "and quickly");
    }

    #[test]
    fn directories_stay_unless_named() {
        let files = tree("a/b/x.md c/y docs/z");
        let rules = Rules::of(&files, Some("*.md\ndocs/\n"));
        assert_eq!(rules.directories(&files), ["a", "a/b", "c"]);
    }
}
