//! Why each tag won or lost, one verdict per tag: the winner first, then the losers in order, then what never took part.
//!
//! Made only for people who ask. Start with [`Policy::explain`].

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

use semver::{Prerelease, Version};

use super::{Order, Policy, PolicyError, Rule, parse_number, parse_version};

/// What became of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict<'t> {
    pub tag: &'t str,
    /// What was compared: the extract of a filter, else the tag itself. Empty for what the filter left out.
    pub value: String,
    pub fate: Fate,
}

/// How a tag fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Won,
    /// The winner, and why it is the better one.
    Lost(String),
    /// By what it was left out.
    FilteredOut(String),
    /// Why it cannot be compared.
    Unfit(String),
}

/// What became of one tag, to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub tag: String,
    /// As in [`Verdict`].
    pub value: String,
    pub fate: Fate,
}

/// Why a policy chooses what it chooses, to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reasons {
    pub image: String,
    /// The rule and the filter in words.
    pub rule: String,
    pub outcome: Result<String, PolicyError>,
    /// The winner first.
    pub reasons: Vec<Reason>,
}

impl Reasons {
    /// Decides over some tags of an image.
    pub fn of(policy: &Policy, image: String, tags: &[String]) -> Reasons {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let (outcome, verdicts) = policy.explain(&tags);
        let reason = |Verdict { tag, value, fate }: Verdict<'_>| Reason { tag: tag.to_owned(), value, fate };
        Reasons {
            image,
            rule: policy.to_string(),
            outcome: outcome.map(str::to_owned),
            reasons: verdicts.into_iter().map(reason).collect(),
        }
    }

    /// In one line: the rule, how many took part, and who came next.
    pub fn summary(&self) -> String {
        let count = |word: &str| self.reasons.iter().filter(|reason| reason.fate.word() == word).count();
        let plural = if self.reasons.len() == 1 { "" } else { "s" };
        let mut text = format!("{} over {} tag{plural}", self.rule, self.reasons.len());
        for word in ["filtered", "unfit"] {
            match count(word) {
                0 => {}
                count => text.push_str(&format!(", {count} {word}")),
            }
        }
        let next = self.reasons.iter().find(|reason| matches!(reason.fate, Fate::Lost(_)));
        if let Some(next) = next.filter(|_| self.outcome.is_ok()) {
            text.push_str(&format!("; next is {}: {}", next.tag, next.fate));
        }
        text
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |order: &Order| if *order == Order::Asc { "asc" } else { "desc" };
        match &self.rule {
            Rule::Semver(_, text) => write!(f, "semver {text}")?,
            Rule::Alphabetical(order) => write!(f, "alphabetical {}", word(order))?,
            Rule::Numerical(order) => write!(f, "numerical {}", word(order))?,
        }
        match &self.filter {
            None => Ok(()),
            Some(filter) if filter.extract.is_empty() => write!(f, " of {}", filter.pattern),
            Some(filter) => write!(f, " of {} in {}", filter.extract, filter.pattern),
        }
    }
}

impl Fate {
    /// One word for a table.
    pub fn word(&self) -> &'static str {
        match self {
            Fate::Won => "chosen",
            Fate::Lost(_) => "lost",
            Fate::FilteredOut(_) => "filtered",
            Fate::Unfit(_) => "unfit",
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Won => f.write_str("chosen"),
            Fate::Lost(why) | Fate::FilteredOut(why) | Fate::Unfit(why) => f.write_str(why),
        }
    }
}

impl Policy {
    /// Decides and says why: the outcome of [`Policy::latest`] and a verdict for every tag.
    pub fn explain<'t>(&self, tags: &[&'t str]) -> (Result<&'t str, PolicyError>, Vec<Verdict<'t>>) {
        let outcome = self.latest(tags);
        let winner = outcome.as_ref().ok().copied();
        let mut standing: HashMap<String, &'t str> = HashMap::new();
        if let Some(filter) = &self.filter {
            let kept = filter.apply(tags).into_iter();
            standing.extend(kept.map(|candidate| (candidate.value.into_owned(), candidate.tag)));
        }
        let mut won = false;
        let verdict = |tag: &&'t str| {
            let Some(value) = self.value(tag) else {
                let pattern = self.filter.as_ref().map_or("", |filter| &filter.pattern);
                let why = format!("does not match {pattern}");
                return Verdict { tag, value: String::new(), fate: Fate::FilteredOut(why) };
            };
            let fate = match standing.get(&value) {
                _ if winner == Some(*tag) && !std::mem::replace(&mut won, true) => Fate::Won,
                Some(other) if *other != *tag => Fate::Lost(format!("{other} is later and has the same value {value}")),
                _ => self.fate(&value, winner),
            };
            Verdict { tag, value, fate }
        };
        let mut verdicts: Vec<Verdict<'t>> = tags.iter().map(verdict).collect();
        verdicts.sort_by(|a, b| rank(&a.fate).cmp(&rank(&b.fate)).then_with(|| self.compare(&b.value, &a.value)));
        (outcome, verdicts)
    }

    fn value(&self, tag: &str) -> Option<String> {
        match &self.filter {
            None => Some(tag.to_owned()),
            Some(filter) => filter.value(tag).map(|value| value.into_owned()),
        }
    }

    /// What became of a value that did not win.
    fn fate(&self, value: &str, winner: Option<&str>) -> Fate {
        match &self.rule {
            Rule::Semver(range, text) => match parse_version(value) {
                None => return Fate::Unfit("is not a version with three numbers".into()),
                Some(version) if !range.matches(&version) => {
                    // Only where nothing else keeps it out.
                    let release = Version { pre: Prerelease::EMPTY, ..version.clone() };
                    let hint = match !version.pre.is_empty() && range.matches(&release) {
                        true => " (pre-releases count only where the range names one)",
                        false => "",
                    };
                    return Fate::FilteredOut(format!("is not in the range {text}{hint}"));
                }
                Some(_) => {}
            },
            Rule::Numerical(_) if parse_number(value).is_none() => return Fate::Unfit("is not a number".into()),
            Rule::Numerical(_) | Rule::Alphabetical(_) => {}
        }
        let Some(winner) = winner else { return Fate::Lost("nothing won".into()) };
        let best = self.value(winner).unwrap_or_default();
        let why = match (self.compare(value, &best), &self.rule) {
            (Ordering::Equal, Rule::Numerical(_)) => "is equal and later in the list",
            (Ordering::Equal, _) => "is equal and earlier in the list",
            (_, Rule::Semver(..)) => "is the higher version",
            (_, Rule::Alphabetical(Order::Asc)) => "is later in the alphabet",
            (_, Rule::Alphabetical(Order::Desc)) => "is earlier in the alphabet",
            (_, Rule::Numerical(Order::Asc)) => "is larger",
            (_, Rule::Numerical(Order::Desc)) => "is smaller",
        };
        Fate::Lost(format!("{winner} {why}"))
    }

    /// The better value is the greater one.
    fn compare(&self, a: &str, b: &str) -> Ordering {
        let towards = |order: Order, found: Ordering| if order == Order::Desc { found.reverse() } else { found };
        match &self.rule {
            Rule::Semver(..) => match (parse_version(a), parse_version(b)) {
                (Some(a), Some(b)) => a.cmp_precedence(&b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            },
            Rule::Alphabetical(order) => towards(*order, a.cmp(b)),
            Rule::Numerical(order) => match (parse_number(a), parse_number(b)) {
                (Some(a), Some(b)) => towards(*order, a.total_cmp(&b)),
                (a, b) => a.is_some().cmp(&b.is_some()),
            },
        }
    }
}

fn rank(fate: &Fate) -> u8 {
    match fate {
        Fate::Won => 0,
        Fate::Lost(_) => 1,
        Fate::Unfit(_) => 2,
        Fate::FilteredOut(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Filter;
    use super::*;

    fn told(policy: &Policy, tags: &str) -> Vec<String> {
        let tags: Vec<&str> = tags.split_whitespace().collect();
        let (outcome, verdicts) = policy.explain(&tags);
        assert_eq!(outcome, policy.latest(&tags));
        assert_eq!(verdicts.len(), tags.len());
        verdicts.iter().map(|v| format!("{} {}: {}", v.tag, v.fate.word(), v.fate)).collect()
    }

    #[test]
    fn every_tag_has_its_reason() {
        let policy = Policy { rule: Rule::semver(">=1.0 <3").unwrap(), filter: None };
        assert_eq!(
            told(&policy, "latest 1.0.0 v1.2.0 1.2.0 3.0.0 2.0.0-rc.1 4.0.0-rc.1 1.1"),
            [
                "v1.2.0 chosen: chosen",
                "1.2.0 lost: v1.2.0 is equal and earlier in the list",
                "1.0.0 lost: v1.2.0 is the higher version",
                "latest unfit: is not a version with three numbers",
                "1.1 unfit: is not a version with three numbers",
                "4.0.0-rc.1 filtered: is not in the range >=1.0 <3",
                "3.0.0 filtered: is not in the range >=1.0 <3",
                "2.0.0-rc.1 filtered: is not in the range >=1.0 <3 (pre-releases count only where the range names one)",
            ]
        );
    }

    #[test]
    fn a_line_sums_the_reasons_up() {
        let policy = Policy { rule: Rule::semver("1.x").unwrap(), filter: None };
        let told = |tags: &[&str]| {
            let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            Reasons::of(&policy, String::new(), &tags).summary()
        };
        assert_eq!(
            told(&["1.0.0", "1.2.0", "2.0.0", "latest"]),
            "semver 1.x over 4 tags, 1 filtered, 1 unfit; next is 1.0.0: 1.2.0 is the higher version"
        );
        assert_eq!(told(&["1.0.0"]), "semver 1.x over 1 tag");
        let filter = Filter::new("^v(.*)$", "$1").ok();
        assert_eq!(
            Policy { rule: Rule::Numerical(Order::Desc), filter }.to_string(),
            "numerical desc of $1 in ^v(.*)$"
        );
    }

    #[test]
    fn filters_and_equal_extracts_are_told() {
        let filter = Filter::new(r"^main-\w+-(?P<n>.+)$", "$n").ok();
        let policy = Policy { rule: Rule::Numerical(Order::Desc), filter };
        assert_eq!(
            told(&policy, "main-a-2 main-b-1 main-c-1 dev-9"),
            [
                "main-c-1 chosen: chosen",
                "main-b-1 lost: main-c-1 is later and has the same value 1",
                "main-a-2 lost: main-c-1 is smaller",
                r"dev-9 filtered: does not match ^main-\w+-(?P<n>.+)$",
            ]
        );
        let failed = told(&policy, "main-a-2 main-b-x");
        assert_eq!(failed, ["main-a-2 lost: nothing won", "main-b-x unfit: is not a number"]);
    }
}
