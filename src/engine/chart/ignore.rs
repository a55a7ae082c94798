//! `.helmignore`: which files of a directory do not belong to the chart.
//!
//! These are not Git's rules: `**` is unknown, and a pattern with `!` ignores whatever it does not match.
//! Start with [`Rules`]. Source: helm pkg/ignore (rules.go).

/// The patterns of a file, in order.
pub struct Rules {
    patterns: Vec<Pattern>,
}

struct Pattern {
    glob: Vec<char>,
    negates: bool,
    directories_only: bool,
    /// Whether the whole path counts, not only the last part.
    whole: bool,
}

impl Rules {
    /// Reads the file; Helm's own default rule is always there.
    pub fn read(text: &str) -> Self {
        let lines = text.lines().chain(["templates/.?*"]).map(str::trim);
        Rules { patterns: lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(Pattern::read).collect() }
    }

    /// Whether a file is left out, itself or with a directory above it.
    pub fn ignores(&self, path: &str) -> bool {
        let directories = path.match_indices('/').map(|(at, _)| (&path[..at], true));
        directories.chain([(path, false)]).any(|(path, directory)| {
            let name = path.rsplit('/').next().unwrap_or_default();
            self.patterns.iter().any(|pattern| pattern.ignores(path, name, directory))
        })
    }
}

impl Pattern {
    fn read(line: &str) -> Self {
        let (negates, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let (directories_only, line) = line.strip_suffix('/').map_or((false, line), |rest| (true, rest));
        let rooted = line.strip_prefix('/');
        let whole = rooted.is_some() || line.contains('/');
        Pattern { glob: rooted.unwrap_or(line).chars().collect(), negates, directories_only, whole }
    }

    fn ignores(&self, path: &str, name: &str, directory: bool) -> bool {
        if self.directories_only && !directory {
            return self.negates;
        }
        matches(&self.glob, if self.whole { path } else { name }) != self.negates
    }
}

/// Whether a path matches a glob in which nothing but a slash matches a slash.
pub(super) fn glob(glob: &str, path: &str) -> bool {
    matches(&glob.chars().collect::<Vec<_>>(), path)
}

/// Go's `filepath.Match`, in time that grows with both lengths, and with that of brackets.
fn matches(glob: &[char], subject: &str) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if at < glob.len() && glob[at] == '*' {
            star = Some((at + 1, place));
            at += 1;
            continue;
        }
        if at == glob.len() && place == subject.len() {
            return true;
        }
        let next = |from: usize| subject[from..].chars().next();
        if let Some(c) = next(place)
            && let Some(length) = glob.get(at..).filter(|rest| !rest.is_empty()).and_then(|rest| single(rest, c))
        {
            at += length;
            place += c.len_utf8();
            continue;
        }
        // The last star takes one character more.
        let Some((after, from)) = star else { return false };
        let Some(c) = next(from).filter(|c| *c != '/') else { return false };
        (at, place) = (after, from + c.len_utf8());
        star = Some((at, place));
    }
}

/// How long the part of the glob is that matches one character.
fn single(glob: &[char], c: char) -> Option<usize> {
    match glob[0] {
        '?' => (c != '/').then_some(1),
        '\\' => (glob.get(1) == Some(&c)).then_some(2),
        '[' => {
            let end = glob.iter().skip(2).position(|c| *c == ']')? + 2;
            let (negates, set) = if glob[1] == '^' { (true, &glob[2..end]) } else { (false, &glob[1..end]) };
            let mut found = false;
            let mut at = 0;
            while at < set.len() {
                if at + 2 < set.len() && set[at + 1] == '-' {
                    found |= (set[at]..=set[at + 2]).contains(&c);
                    at += 3;
                } else {
                    found |= set[at] == c;
                    at += 1;
                }
            }
            (found != negates && c != '/').then_some(end + 1)
        }
        literal => (literal == c).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::Rules;

    #[test]
    fn patterns_ignore_as_helm_reads_them() {
        let rules = Rules::read("# comment\n*.tmp\n/docs/\nci/*.yaml\n[a-c].txt\nx?z\n");
        for path in ["a.tmp", "deep/b.tmp", "docs/a", "docs/b/c", "ci/values.yaml", "b.txt", "xyz", "templates/.hidden"]
        {
            assert!(rules.ignores(path), "{path}");
        }
        for path in ["deep/docs/a", "ci/deep/values.yaml", "d.txt", "xz", "templates/a.yaml", "Chart.yaml"] {
            assert!(!rules.ignores(path), "{path}");
        }
    }
}
