//! [`Filter`]: which objects match what a person typed. Fuzzy on names, by parts of words on all else.

use nucleo_matcher::pattern::{Atom, AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use crate::base::{Id, State};
use crate::console::message::{Sand, Sieve, Sifted};
use crate::console::shared::is_problem;
use crate::kinds;

/// A query made ready for many rows. Words are all required; `!word` must not match; `a/b` is a namespace and a name.
pub struct Filter {
    words: Vec<Word>,
    only_problems: bool,
    matcher: Matcher,
    buffer: Vec<char>,
}

struct Word {
    /// On names: fuzzy, unless the word says otherwise.
    name: Atom,
    /// On all else: fuzzy would match every state and kind.
    rest: Atom,
    with_namespace: bool,
    /// For states and short names, which match by their beginning or whole.
    plain: String,
}

impl Filter {
    pub fn new(query: &str, only_problems: bool) -> Self {
        let parsed = Pattern::parse(query, CaseMatching::Smart, Normalization::Smart);
        let word = |name: Atom| {
            let needle: String = name.needle_text().chars().collect();
            let kind = if name.kind == AtomKind::Fuzzy { AtomKind::Substring } else { name.kind };
            let mut rest = Atom::new(&needle, CaseMatching::Ignore, Normalization::Smart, kind, false);
            rest.negative = name.negative;
            Word { with_namespace: needle.contains('/'), plain: needle.to_lowercase(), name, rest }
        };
        Filter {
            words: parsed.atoms.into_iter().map(word).collect(),
            only_problems,
            matcher: Matcher::new(Config::DEFAULT),
            buffer: Vec::new(),
        }
    }

    /// Whether everything matches anyway.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && !self.only_problems
    }

    /// How well an object matches, or that it does not.
    pub fn score(&mut self, id: &Id, state: State) -> Option<u32> {
        if self.only_problems && !is_problem(state) {
            return None;
        }
        let mut total = 0;
        for word in &self.words {
            total += word.score(id, state, &mut self.matcher, &mut self.buffer)?;
        }
        Some(total)
    }

    /// The characters of a name that a person matched, by index.
    pub fn marks(&mut self, name: &str) -> Vec<u32> {
        let mut found = Vec::new();
        for word in self.words.iter().filter(|word| !word.name.negative && !word.with_namespace) {
            let hay = Utf32Str::new(name, &mut self.buffer);
            word.name.indices(hay, &mut self.matcher, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Word {
    fn score(&self, id: &Id, state: State, matcher: &mut Matcher, buffer: &mut Vec<char>) -> Option<u32> {
        if self.with_namespace {
            let both = format!("{}/{}", id.namespace, id.name);
            return self.name.score(Utf32Str::new(&both, buffer), matcher).map(u32::from);
        }
        let by_name = self.name.score(Utf32Str::new(&id.name, buffer), matcher);
        let by_kind = self.rest.score(Utf32Str::new(&id.kind, buffer), matcher);
        let by_namespace = self.rest.score(Utf32Str::new(&id.namespace, buffer), matcher);
        let is_state = !self.plain.is_empty() && state.word().to_lowercase().starts_with(&self.plain);
        let is_short = kinds::of_id(id).short_names.contains(&self.plain.as_str());
        if self.name.negative {
            let kept = by_name.is_some() && by_kind.is_some() && by_namespace.is_some() && !is_state && !is_short;
            return kept.then_some(0);
        }
        let best = by_name.map(|score| 2 * u32::from(score)).max(by_kind.max(by_namespace).map(u32::from));
        best.max((is_state || is_short).then_some(1))
    }
}

/// Does the work of [`crate::console::message::Effect::Sift`].
pub fn sift(sieve: Sieve) -> Sifted {
    let mut filter = Filter::new(&sieve.query, sieve.only_problems);
    match sieve.sand {
        Sand::Places(places) => {
            let hits = places.iter().filter(|(id, state)| filter.score(id, *state).is_some());
            Sifted::Places(hits.map(|(id, _)| id.clone()).collect())
        }
        Sand::Entries(entries, order) => {
            let hits = entries.iter().filter(|entry| filter.score(&entry.object.id, entry.health.state).is_some());
            let mut entries: Vec<_> = hits.cloned().collect();
            entries.sort_by(|a, b| order.compare(a, b));
            Sifted::Entries(entries)
        }
        Sand::Best(ids, most) => {
            let score = |id| Some((filter.score(id, State::Ready)?, id));
            let mut best: Vec<(u32, &Id)> = ids.iter().filter_map(score).collect();
            best.sort_by(|a, b| {
                b.0.cmp(&a.0).then_with(|| a.1.name.len().cmp(&b.1.name.len())).then_with(|| a.1.cmp(b.1))
            });
            Sifted::Best(best.into_iter().take(most).map(|(_, id)| id.clone()).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_match_names_loosely_and_all_else_by_parts() {
        let id = Id::new("kustomize.toolkit.fluxcd.io", "Kustomization", "flux-system", "podinfo-web");
        for (query, hit) in [
            ("", true),
            ("pweb", true),
            ("flux web", true),
            ("ks", true),
            ("kustom", true),
            ("failed", true),
            ("ready", false),
            ("system/pod", true),
            ("!web", false),
            ("!db", true),
            ("!failed", false),
            ("^web", false),
            ("web$", true),
            ("fsys", false),
            ("WEB", false),
        ] {
            let mut filter = Filter::new(query, false);
            assert_eq!(filter.score(&id, State::Failed).is_some(), hit, "{query:?}");
        }
        assert!(Filter::new("", true).score(&id, State::Ready).is_none());
        assert_eq!(Filter::new("pw", false).marks("podinfo-web"), [0, 8]);
    }
}
