//! Flux v1's tag filters: `semver:`, `regex:`, `regexp:` and `glob:` in the annotations of a workload.
//!
//! Globs and regular expressions choose the newest image by its build date; a version range chooses the highest version.
//! What cannot be read as a range or an expression matches everything, as it did in Flux v1. Start with [`Pattern`].
//!
//! Source: fluxcd/flux pkg/policy (pattern.go), pkg/image (image.go), pkg/update; flux's helm and workload annotations.

use std::cmp::Ordering;
use std::fmt;

use crate::base::Stamp;
use crate::engine::glob::{is_like, literal};
use crate::engine::go_regex;
use crate::engine::semver_range::{Range, parse_loosely};

/// Prefixes of Flux v1's annotations, the later name first.
pub const PREFIXES: [&str; 2] = ["fluxcd.io/", "flux.weave.works/"];
/// Another spelling of `fluxcd.io/tag.<container>`.
pub const FILTER_PREFIX: &str = "filter.fluxcd.io/";

/// A tag filter with its order.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As written.
    pub text: String,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Glob(String),
    /// `None` when the expression cannot be read.
    Regex(Option<regex::Regex>),
    /// `None` when the range cannot be read.
    Semver(Option<Range>),
}

/// A tag with the time its image was built, where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    pub tag: String,
    pub created: Option<Stamp>,
}

impl Default for Pattern {
    fn default() -> Self {
        Pattern::read("glob:*")
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// Reads a filter; without a known prefix it is a glob.
    pub fn read(text: &str) -> Pattern {
        let regex = |pattern: &str| Rule::Regex(go_regex(pattern).ok());
        let rule = match text.split_once(':') {
            Some(("semver", range)) => Rule::Semver(range.parse().ok()),
            Some(("regex" | "regexp", pattern)) => regex(pattern),
            Some(("glob", glob)) => Rule::Glob(glob.to_owned()),
            _ => Rule::Glob(text.to_owned()),
        };
        Pattern { text: text.to_owned(), rule }
    }

    /// Whether the pattern could not be read and so matches everything; for a warning.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.rule, Rule::Regex(None) | Rule::Semver(None))
    }

    /// Whether the newest by build date wins, so that dates are needed.
    pub fn needs_dates(&self) -> bool {
        !matches!(self.rule, Rule::Semver(_))
    }

    /// Whether a tag may be chosen. `latest` may only where it is asked for by that very name.
    pub fn matches(&self, tag: &str) -> bool {
        if tag == "latest" && !matches!(&self.rule, Rule::Glob(glob) if glob == "latest") {
            return false;
        }
        match &self.rule {
            Rule::Glob(glob) => is_like(glob.as_bytes(), tag.as_bytes(), literal),
            Rule::Regex(regex) => regex.as_ref().is_none_or(|regex| regex.is_match(tag)),
            Rule::Semver(None) => true,
            Rule::Semver(Some(range)) => parse_loosely(tag).is_some_and(|version| range.matches(&version)),
        }
    }

    /// The better of two tags is the smaller: it stands first.
    fn compare(&self, a: &Built, b: &Built) -> Ordering {
        match &self.rule {
            Rule::Semver(_) => match (parse_loosely(&a.tag), parse_loosely(&b.tag)) {
                // Of `1.10` and `1.10.0` the fuller text stands first.
                (Some(first), Some(second)) => second.cmp_precedence(&first).then_with(|| b.tag.cmp(&a.tag)),
                (first, second) => second.is_some().cmp(&first.is_some()).then_with(|| a.tag.cmp(&b.tag)),
            },
            Rule::Glob(_) | Rule::Regex(_) => {
                let time = |built: &Built| built.created.map_or(i64::MIN, |stamp| stamp.0);
                time(b).cmp(&time(a)).then_with(|| a.tag.cmp(&b.tag))
            }
        }
    }

    /// The tags that may be chosen, the best first.
    pub fn sorted<'b>(&self, tags: &'b [Built]) -> Vec<&'b Built> {
        let mut kept: Vec<&Built> = tags.iter().filter(|built| self.matches(&built.tag)).collect();
        kept.sort_by(|a, b| self.compare(a, b));
        kept
    }

    /// The best tag. Where dates decide, none wins without one.
    pub fn latest<'b>(&self, tags: &'b [Built]) -> Option<&'b Built> {
        let can_win = |built: &&Built| self.matches(&built.tag) && (!self.needs_dates() || built.created.is_some());
        tags.iter().filter(can_win).min_by(|a, b| self.compare(a, b))
    }

    /// Why a tag is not the winner, for a table.
    pub fn why(&self, built: &Built, winner: Option<&Built>) -> String {
        match winner {
            Some(winner) if winner == built => "chosen".into(),
            _ if !self.matches(&built.tag) => match built.tag.as_str() {
                "latest" => "latest is left out unless the pattern is glob:latest".into(),
                _ => format!("does not match {}", self.text),
            },
            _ if self.needs_dates() && built.created.is_none() => "its build date is not known".into(),
            None => "nothing won".into(),
            Some(winner) if !self.needs_dates() => format!("{} is the higher version", winner.tag),
            Some(winner) if winner.created == built.created => format!("{} was built at the same time", winner.tag),
            Some(winner) => format!("{} was built later", winner.tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(lines: &str) -> Vec<Built> {
        let line = |line: &str| {
            let (tag, created) = line.split_once('@').unwrap_or((line, ""));
            Built { tag: tag.into(), created: created.parse::<i64>().ok().map(Stamp) }
        };
        lines.split_whitespace().map(line).collect()
    }

    fn chosen(pattern: &str, lines: &str) -> Option<String> {
        Pattern::read(pattern).latest(&built(lines)).map(|built| built.tag.clone())
    }

    #[test]
    fn every_example_of_the_wiki_works() {
        let tags = "1.0.5@10 1.0.9@20 1.1.0@30 latest@99 a1b2c3d@50 deadbee@60 staging-1@40 staging-2@45 prod-3@70";
        assert_eq!(chosen("semver:~1.0.5", tags).as_deref(), Some("1.0.9"));
        assert_eq!(chosen("regex:^[a-f0-9]{7}$", tags).as_deref(), Some("deadbee"));
        assert_eq!(chosen("regexp:^[a-f0-9]{7}$", tags).as_deref(), Some("deadbee"));
        assert_eq!(chosen("glob:staging-*", tags).as_deref(), Some("staging-2"));
        assert_eq!(chosen("staging-*", tags).as_deref(), Some("staging-2"));
        assert_eq!(Pattern::default().latest(&built(tags)).unwrap().tag, "prod-3", "the newest is the default");
    }

    #[test]
    fn latest_must_be_named_and_dates_must_be_known() {
        assert_eq!(chosen("glob:latest", "latest@1 b@2").as_deref(), Some("latest"));
        assert_eq!(chosen("glob:late*", "latest@1"), None);
        assert_eq!(chosen("glob:*", "a b c@1").as_deref(), Some("c"));
        assert_eq!(chosen("glob:*", "a b"), None);
        assert_eq!(chosen("glob:*", "b@1 a@1").as_deref(), Some("a"));
        assert_eq!(chosen("semver:*", "1.10 1.10.0 1.9").as_deref(), Some("1.10.0"));
    }

    #[test]
    fn what_cannot_be_read_matches_everything() {
        assert!(Pattern::read("regex:(").is_unreadable() && Pattern::read("semver:x y z").is_unreadable());
        assert_eq!(chosen("regex:(", "a@1 b@2").as_deref(), Some("b"));
        assert_eq!(chosen("semver:nonsense", "a 1.0.0 2.0.0").as_deref(), Some("2.0.0"));
    }
}
