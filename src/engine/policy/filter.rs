//! The filter of a policy: a pattern in Go's syntax that tags must match, and the part of them that is compared.
//!
//! Source: image-reflector-controller internal/policy/filter.go.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use regex::{CaptureLocations, Regex};

use super::{Candidate, PolicyError};
use crate::engine::go_expand::Replacement;
use crate::engine::go_regex;

/// A pattern and what is extracted from what it matches.
#[derive(Clone, Debug)]
pub struct Filter {
    pub pattern: String,
    /// Empty compares the whole tag.
    pub extract: String,
    regex: Regex,
    parts: Replacement,
}

impl Filter {
    /// Reads a pattern and an extract.
    ///
    /// Errors with Go's words when the pattern is none.
    pub fn new(pattern: &str, extract: &str) -> Result<Filter, PolicyError> {
        let regex = go_regex(pattern).map_err(|why| PolicyError::Pattern { pattern: pattern.to_owned(), why })?;
        let parts = Replacement::read(extract, &regex);
        Ok(Filter { pattern: pattern.to_owned(), extract: extract.to_owned(), regex, parts })
    }

    /// What a tag is compared by; `None` when it does not match.
    pub fn value<'t>(&self, tag: &'t str) -> Option<Cow<'t, str>> {
        self.extracted(tag, &mut self.regex.capture_locations())
    }

    /// As [`Filter::value`], with a place for the groups that is used again for every tag.
    fn extracted<'t>(&self, tag: &'t str, groups: &mut CaptureLocations) -> Option<Cow<'t, str>> {
        if self.parts.is_empty() {
            return self.regex.is_match(tag).then_some(Cow::Borrowed(tag));
        }
        self.regex.captures_read(groups, tag)?;
        Some(self.parts.filled(|group| groups.get(group).map_or("", |(start, end)| &tag[start..end])))
    }

    /// The tags that match; of several with one value the last stands for all, at the place of the first.
    pub(super) fn apply<'t>(&self, tags: &[&'t str]) -> Vec<Candidate<'t>> {
        let mut groups = self.regex.capture_locations();
        let mut places: HashMap<Cow<'t, str>, usize> = HashMap::with_capacity(tags.len());
        let mut candidates: Vec<Candidate<'t>> = Vec::with_capacity(tags.len());
        for tag in tags {
            let Some(value) = self.extracted(tag, &mut groups) else { continue };
            match places.entry(value) {
                Entry::Occupied(place) => candidates[*place.get()].tag = tag,
                Entry::Vacant(place) => {
                    candidates.push(Candidate { tag, value: place.key().clone() });
                    place.insert(candidates.len() - 1);
                }
            }
        }
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extracts_are_read_as_go_reads_them() {
        for (extract, wanted) in [
            ("$ts", "42"),
            ("${ts}", "42"),
            ("$1", "main"),
            ("${1}x", "mainx"),
            ("$1x", ""),
            ("$1_$2", "42"),
            ("${1}_$2", "main_42"),
            ("$0", "main-42"),
            ("$$ts", "$ts"),
            ("$", "$"),
            ("${ts", "${ts"),
            ("${}", "${}"),
            ("a$-b", "a$-b"),
            ("$nothing", ""),
            ("$9", ""),
            ("v$2.0", "v42.0"),
            ("", "main-42"),
        ] {
            let filter = Filter::new(r"^(\w+)-(?P<ts>\d+)$", extract).unwrap();
            assert_eq!(filter.value("main-42").unwrap(), wanted, "{extract}");
        }
    }

    #[test]
    fn patterns_are_go_s_and_not_anchored() {
        assert!(Filter::new("b", "").unwrap().value("abc").is_some());
        assert!(Filter::new(r"^\d$", "").unwrap().value("٣").is_none(), "digits are ASCII");
        assert!(Filter::new("a++", "").is_err() && Filter::new("(?=a)", "").is_err());
        let error = Filter::new("(a", "").unwrap_err().to_string();
        assert!(error.contains("missing closing )"), "{error}");
    }
}
