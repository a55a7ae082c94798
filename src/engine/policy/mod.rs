//! Which tag of an image wins: by version range, by alphabet or by number, after a filter; and why every other one lost.
//!
//! The order of the tags matters only between equals, exactly as in Flux. The explanation is made only when it is asked
//! for, so that a decision over a hundred thousand tags costs one pass. Start with [`Policy::latest`]; `legacy` has the
//! filters of Flux v1.
//!
//! Source: image-reflector-controller internal/policy. Deliberate difference: after a filter the tags keep their order,
//! where Flux takes them in the random order of a map.

mod explain;
mod filter;
pub mod legacy;
mod number;

use semver::Version;

use super::semver_range::{Range, RangeError, parse_version};

pub use explain::{Fate, Reason, Reasons, Verdict};
pub use filter::Filter;
pub use number::parse_number;

/// Which end of an order wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The largest.
    #[default]
    Asc,
    /// The smallest.
    Desc,
}

/// How tags are compared.
#[derive(Clone, Debug)]
pub enum Rule {
    /// The highest version in a range; the text is the range as written.
    Semver(Range, String),
    Alphabetical(Order),
    Numerical(Order),
}

/// A rule and what it is applied to.
#[derive(Clone, Debug)]
pub struct Policy {
    pub rule: Rule,
    pub filter: Option<Filter>,
}

/// Why there is no winner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("invalid policy: {0}")]
    Range(#[from] RangeError),
    #[error("invalid policy: invalid order argument provided: '{0}', must be one of: ASC, DESC")]
    Order(String),
    #[error("invalid policy: given ImagePolicyChoice object is invalid")]
    NoRule,
    #[error("failed to filter tags: invalid regular expression pattern '{pattern}': {why}")]
    Pattern { pattern: String, why: String },
    #[error("version list argument cannot be empty")]
    NoTags,
    #[error("unable to determine latest version from provided list")]
    NoVersion,
    #[error("failed to parse invalid numeric value '{0}'")]
    NotANumber(String),
}

impl PolicyError {
    /// Whether the policy itself is at fault, whatever the tags.
    pub fn is_invalid_policy(&self) -> bool {
        !matches!(self, PolicyError::NoTags | PolicyError::NoVersion | PolicyError::NotANumber(_))
    }
}

impl Order {
    /// Reads `asc` or `desc` in any case; nothing means ascending.
    ///
    /// Errors on anything else.
    pub fn parse(text: &str) -> Result<Order, PolicyError> {
        match text.to_ascii_uppercase().as_str() {
            "" | "ASC" => Ok(Order::Asc),
            "DESC" => Ok(Order::Desc),
            other => Err(PolicyError::Order(other.to_owned())),
        }
    }
}

impl Rule {
    /// The rule of a version range.
    ///
    /// Errors when the range cannot be read.
    pub fn semver(range: &str) -> Result<Rule, PolicyError> {
        if range.trim().is_empty() {
            return Err(RangeError { range: range.to_owned(), part: String::new() }.into());
        }
        Ok(Rule::Semver(range.parse()?, range.to_owned()))
    }
}

/// A tag that passed the filter, with the text that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate<'t> {
    tag: &'t str,
    value: std::borrow::Cow<'t, str>,
}

impl Policy {
    /// Finds the winner.
    ///
    /// Errors when no tag can win, and under the numerical rule when a tag that is left is no number.
    pub fn latest<'t>(&self, tags: &[&'t str]) -> Result<&'t str, PolicyError> {
        let candidates = match &self.filter {
            None => {
                return self.winner(tags.iter().copied()).map(|at| tags[at]);
            }
            Some(filter) => filter.apply(tags),
        };
        self.winner(candidates.iter().map(|candidate| &*candidate.value)).map(|at| candidates[at].tag)
    }

    /// The position of the winner.
    fn winner<'v>(&self, values: impl Iterator<Item = &'v str>) -> Result<usize, PolicyError> {
        match &self.rule {
            Rule::Semver(range, _) => highest(range, values),
            Rule::Alphabetical(order) => outermost(*order, values),
            Rule::Numerical(order) => extreme(*order, values),
        }
    }
}

/// Of equal versions the first wins.
fn highest<'v>(range: &Range, values: impl Iterator<Item = &'v str>) -> Result<usize, PolicyError> {
    let mut best: Option<(Version, usize)> = None;
    let mut any = false;
    for (at, value) in values.enumerate() {
        any = true;
        let Some(version) = parse_version(value) else { continue };
        if range.matches(&version) && best.as_ref().is_none_or(|(held, _)| version.cmp_precedence(held).is_gt()) {
            best = Some((version, at));
        }
    }
    match best {
        Some((_, at)) => Ok(at),
        None if any => Err(PolicyError::NoVersion),
        None => Err(PolicyError::NoTags),
    }
}

fn outermost<'v>(order: Order, values: impl Iterator<Item = &'v str>) -> Result<usize, PolicyError> {
    let mut best: Option<(&str, usize)> = None;
    for (at, value) in values.enumerate() {
        let wins = best.is_none_or(|(held, _)| match order {
            Order::Asc => value > held,
            Order::Desc => value < held,
        });
        if wins {
            best = Some((value, at));
        }
    }
    best.map(|(_, at)| at).ok_or(PolicyError::NoTags)
}

/// Of equal numbers the last wins.
fn extreme<'v>(order: Order, values: impl Iterator<Item = &'v str>) -> Result<usize, PolicyError> {
    let mut best: Option<(f64, usize)> = None;
    for (at, value) in values.enumerate() {
        let number = parse_number(value).ok_or_else(|| PolicyError::NotANumber(value.to_owned()))?;
        let loses = best.is_some_and(|(held, _)| match order {
            Order::Asc => number < held,
            Order::Desc => number > held,
        });
        if !loses {
            best = Some((number, at));
        }
    }
    best.map(|(_, at)| at).ok_or(PolicyError::NoTags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rule: Rule) -> Policy {
        Policy { rule, filter: None }
    }

    fn filtered(rule: Rule, pattern: &str, extract: &str) -> Policy {
        Policy { rule, filter: Some(Filter::new(pattern, extract).unwrap()) }
    }

    fn semver(range: &str) -> Rule {
        Rule::semver(range).unwrap()
    }

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn the_examples_of_the_wiki_choose_as_described() {
        let tags = words("0.9.0 1.0.0 1.2.3 2.0.0-rc.1 latest");
        assert_eq!(policy(semver(">=1.0")).latest(&tags), Ok("1.2.3"));
        let tags = words("REL.2023-01-11T17-32-12Z.fix REL.2022-12-01T00-00-00Z REL.2023-01-11T17-32-11Z latest");
        let chosen = filtered(Rule::Alphabetical(Order::Asc), r"^REL\.(?P<ts>.*)Z.*$", "$ts").latest(&tags).unwrap();
        assert_eq!(chosen, "REL.2023-01-11T17-32-12Z.fix");
    }

    #[test]
    fn versions_need_three_numbers_and_equals_keep_their_order() {
        for (tags, range, wanted) in [
            ("1.2 v1 1", "*", Err(PolicyError::NoVersion)),
            ("v1.2.0 1.2.0", ">=1.0", Ok("v1.2.0")),
            ("1.2.0+a 1.2.0+b", ">=1.0", Ok("1.2.0+a")),
            ("2025.02.03 2025.1.30", "*", Ok("2025.02.03")),
            ("1.0.0 1.1.0-rc.1", ">=1.0.0", Ok("1.0.0")),
            ("1.0.0 1.1.0-rc.1", ">=1.0.0-0", Ok("1.1.0-rc.1")),
            ("", "*", Err(PolicyError::NoTags)),
        ] {
            assert_eq!(policy(semver(range)).latest(&words(tags)), wanted, "{tags} in {range}");
        }
    }

    #[test]
    fn letters_and_numbers_are_ordered_as_flux_orders_them() {
        for (rule, tags, wanted) in [
            (Rule::Alphabetical(Order::Asc), "a B c10 c2", Ok("c2")),
            (Rule::Alphabetical(Order::Desc), "a B c10 c2", Ok("B")),
            (Rule::Numerical(Order::Asc), "10 9 1e1", Ok("1e1")),
            (Rule::Numerical(Order::Desc), "10 9 9.0", Ok("9.0")),
            (Rule::Numerical(Order::Asc), "10 latest 9", Err(PolicyError::NotANumber("latest".into()))),
            (Rule::Numerical(Order::Asc), "", Err(PolicyError::NoTags)),
        ] {
            assert_eq!(policy(rule.clone()).latest(&words(tags)), wanted, "{rule:?} over {tags}");
        }
    }

    #[test]
    fn of_tags_with_one_extract_the_later_wins() {
        let policy = filtered(Rule::Numerical(Order::Asc), r"^main-[a-f0-9]+-(?P<ts>[0-9]+)", "$ts");
        let tags = words("main-aaaaaaa-100 main-bbbbbbb-100 main-ccccccc-99 dev-1-999");
        assert_eq!(policy.latest(&tags), Ok("main-bbbbbbb-100"));
        assert_eq!(policy.latest(&words("x y")), Err(PolicyError::NoTags));
    }

    #[test]
    fn an_invalid_policy_is_told_from_missing_tags() {
        assert!(Rule::semver("latest").unwrap_err().is_invalid_policy());
        assert!(Rule::semver(" ").unwrap_err().is_invalid_policy());
        assert!(Order::parse("up").unwrap_err().is_invalid_policy());
        assert!(Filter::new("(", "").unwrap_err().is_invalid_policy());
        assert!(!PolicyError::NoVersion.is_invalid_policy());
        assert_eq!(Order::parse("DESC"), Ok(Order::Desc));
    }

    #[test]
    fn a_hundred_thousand_tags_are_one_pass() {
        let owned: Vec<String> = (0..100_000).map(|n| format!("main-{n:x}-{}", n % 77_777)).collect();
        let tags: Vec<&str> = owned.iter().map(String::as_str).collect();
        let policy = filtered(Rule::Numerical(Order::Asc), r"^main-[a-f0-9]+-(?P<ts>[0-9]+)", "$ts");
        assert_eq!(policy.latest(&tags), Ok("main-12fd0-77776"));
    }
}
