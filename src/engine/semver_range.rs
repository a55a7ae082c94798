//! Version ranges as Flux's users write them: `~1.2`, `1.x`, `>=1.0 <2.0 || ^3`, `1.2 - 1.4.5`, pre-releases.
//!
//! The `semver` crate orders versions; its own requirement grammar is Cargo's and differs in almost every partial
//! form, so the ranges are read here. Tags of Git and images and versions of charts all go through this file.
//! Start with [`Range`].
//!
//! Source: Masterminds/semver v3 (constraints), which Flux and Helm use.

use std::cmp::Ordering;
use std::str::FromStr;

use semver::{BuildMetadata, Prerelease, Version};

/// Constraints and alternatives beyond this are refused: nobody writes them by hand.
const PARTS: usize = 256;

/// Reads a version as Flux reads tags: it has two points, a leading `v` and zeros before the numbers are ignored.
///
/// Source: fluxcd/pkg version (ParseVersion).
pub fn parse_version(tag: &str) -> Option<Version> {
    if tag.bytes().filter(|byte| *byte == b'.').count() < 2 { None } else { parse_loosely(tag) }
}

/// Reads a version as Masterminds does: a leading `v`, zeros before the numbers and missing numbers are allowed.
pub fn parse_loosely(written: &str) -> Option<Version> {
    let body = written.strip_prefix('v').unwrap_or(written);
    let (body, build) = body.split_once('+').map_or((body, None), |(body, build)| (body, Some(build)));
    let (numbers, prerelease) = body.split_once('-').map_or((body, None), |(body, rest)| (body, Some(rest)));
    let mut parsed = [0u64; 3];
    for (count, number) in numbers.split('.').enumerate() {
        if count == 3 || number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        parsed[count] = number.parse().ok()?;
    }
    let mut version = Version::new(parsed[0], parsed[1], parsed[2]);
    if let Some(prerelease) = prerelease {
        version.pre = Prerelease::new(prerelease).ok().filter(|pre| !pre.is_empty())?;
    }
    if let Some(build) = build {
        version.build = BuildMetadata::new(build).ok().filter(|build| !build.is_empty())?;
    }
    Some(version)
}

/// A range: alternatives, each a set of constraints that must all hold.
#[derive(Clone, Debug)]
pub struct Range {
    alternatives: Vec<Vec<Constraint>>,
}

/// Why a range was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{range:?} is not a version range: {part:?} cannot be read; write it like 1.x, ~1.2, ^1.2.3 or >=1.0 <2.0")]
pub struct RangeError {
    pub range: String,
    pub part: String,
}

#[derive(Clone, Debug)]
struct Constraint {
    operator: Operator,
    /// Missing and wildcard numbers are zero here.
    version: Version,
    /// The minor (and so the patch) number is missing or a wildcard.
    any_minor: bool,
    /// The patch number is missing or a wildcard.
    any_patch: bool,
    /// Even the major number is a wildcard.
    any: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Tilde,
    Caret,
}

const OPERATORS: &[(&str, Operator)] = &[
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterEqual),
    ("=>", Operator::GreaterEqual),
    ("<=", Operator::LessEqual),
    ("=<", Operator::LessEqual),
    ("~>", Operator::Tilde),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("=", Operator::Equal),
];

impl Range {
    /// Whether a version lies in the range. A pre-release does only where the same alternative names a pre-release.
    pub fn matches(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|constraints| {
            let named = constraints.iter().any(|constraint| !constraint.version.pre.is_empty());
            (version.pre.is_empty() || named) && constraints.iter().all(|constraint| constraint.holds(version))
        })
    }

    /// The highest matching version with its item; of equal ones (build metadata aside) all, in the given order.
    pub fn highest<T>(&self, versions: impl IntoIterator<Item = (Version, T)>) -> Vec<(Version, T)> {
        let mut best: Vec<(Version, T)> = Vec::new();
        for (version, item) in versions.into_iter().filter(|(version, _)| self.matches(version)) {
            match best.first().map_or(Ordering::Greater, |(held, _)| version.cmp_precedence(held)) {
                Ordering::Greater => best = vec![(version, item)],
                Ordering::Equal => best.push((version, item)),
                Ordering::Less => {}
            }
        }
        best
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let refused = |part: &str| RangeError { range: text.into(), part: part.trim().into() };
        let alternatives: Vec<&str> = text.split("||").collect();
        if alternatives.len() > PARTS || text.len() > 4096 {
            return Err(refused("so long a list"));
        }
        let read = |part: &&str| read_alternative(part).map_err(|bad| refused(&bad));
        Ok(Range { alternatives: alternatives.iter().map(read).collect::<Result<_, _>>()? })
    }
}

/// Reads `a, b c` and `a - b`; an operator may stand apart from its version.
fn read_alternative(text: &str) -> Result<Vec<Constraint>, String> {
    let spaced = text.replace(',', " ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut constraints = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if words.get(at + 1) == Some(&"-") {
            let high = words.get(at + 2).ok_or_else(|| text.to_owned())?;
            constraints.push(read_constraint(Some(Operator::GreaterEqual), words[at])?);
            constraints.push(read_constraint(Some(Operator::LessEqual), high)?);
            at += 3;
            continue;
        }
        match OPERATORS.iter().find(|(sign, _)| *sign == words[at]) {
            Some((_, operator)) => {
                let version = words.get(at + 1).ok_or_else(|| words[at].to_owned())?;
                constraints.push(read_constraint(Some(*operator), version)?);
                at += 2;
            }
            None => {
                for part in split_glued(words[at]) {
                    constraints.push(read_constraint(None, part)?);
                }
                at += 1;
            }
        }
    }
    if constraints.is_empty() {
        // An empty alternative means anything, like `*`.
        constraints.push(read_constraint(None, "*")?);
    }
    Ok(constraints)
}

/// Splits `>=1.0<2.0` before each operator.
fn split_glued(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before = '<';
    for (at, character) in word.char_indices() {
        let is_sign = |c: char| matches!(c, '<' | '>' | '=' | '!' | '~' | '^');
        if is_sign(character) && !is_sign(before) {
            parts.push(&word[start..at]);
            start = at;
        }
        before = character;
    }
    parts.push(&word[start..]);
    parts
}

fn read_constraint(operator: Option<Operator>, text: &str) -> Result<Constraint, String> {
    let bad = || text.to_owned();
    let (operator, rest) = match operator {
        Some(operator) => (operator, text),
        None => match OPERATORS.iter().find_map(|(sign, operator)| Some((*operator, text.strip_prefix(sign)?))) {
            Some(found) => found,
            None => (Operator::Equal, text),
        },
    };
    let rest = rest.strip_prefix('v').unwrap_or(rest);
    let (rest, build) = rest.split_once('+').map_or((rest, ""), |(rest, build)| (rest, build));
    let (numbers, pre) = rest.split_once('-').map_or((rest, ""), |(numbers, pre)| (numbers, pre));
    let mut fields: Vec<Option<u64>> = Vec::new();
    for field in numbers.split('.') {
        fields.push(match field {
            "x" | "X" | "*" => None,
            digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| bad())?)
            }
            _ => return Err(bad()),
        });
    }
    if fields.len() > 3 {
        return Err(bad());
    }
    let number = |at: usize| fields.get(at).copied().flatten();
    let any = number(0).is_none();
    let any_minor = number(1).is_none();
    let any_patch = any_minor || number(2).is_none();
    let version = Version {
        major: number(0).unwrap_or_default(),
        minor: if any { 0 } else { number(1).unwrap_or_default() },
        patch: if any_minor { 0 } else { number(2).unwrap_or_default() },
        pre: Prerelease::new(pre).map_err(|_| bad())?,
        build: BuildMetadata::new(build).map_err(|_| bad())?,
    };
    Ok(Constraint { operator, version, any_minor, any_patch, any })
}

impl Constraint {
    fn holds(&self, version: &Version) -> bool {
        let order = version.cmp_precedence(&self.version);
        let wanted = &self.version;
        match self.operator {
            Operator::Equal if self.any_patch => self.tilde(version, order),
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => match () {
                () if self.any => false,
                () if wanted.major != version.major => true,
                () if self.any_minor => false,
                () if wanted.minor != version.minor => true,
                () if self.any_patch => false,
                () => order.is_ne(),
            },
            Operator::Greater if self.any => order.is_gt(),
            // `>1` is above every 1.y.z, `>1.2` above every 1.2.z.
            Operator::Greater if self.any_minor => version.major > wanted.major,
            Operator::Greater if self.any_patch => (version.major, version.minor) > (wanted.major, wanted.minor),
            Operator::Greater => order.is_gt(),
            Operator::GreaterEqual => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::LessEqual if self.any_minor => version.major <= wanted.major,
            Operator::LessEqual if self.any_patch => (version.major, version.minor) <= (wanted.major, wanted.minor),
            Operator::LessEqual => order.is_le(),
            Operator::Tilde => self.tilde(version, order),
            Operator::Caret => self.caret(version, order),
        }
    }

    fn tilde(&self, version: &Version, order: Ordering) -> bool {
        if self.any {
            return true;
        }
        order.is_ge() && version.major == self.version.major && (self.any_minor || version.minor == self.version.minor)
    }

    /// What is left of the first number that is not zero may not change.
    fn caret(&self, version: &Version, order: Ordering) -> bool {
        let wanted = &self.version;
        if self.any {
            return true;
        }
        if order.is_lt() || version.major != wanted.major {
            return false;
        }
        if wanted.major > 0 || self.any_minor {
            return true;
        }
        if wanted.minor > 0 || self.any_patch {
            return version.minor == wanted.minor;
        }
        version.minor == 0 && version.patch == wanted.patch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_masterminds_holds() {
        for (range, inside, outside) in [
            ("*", "0.0.1 1.2.3", "1.0.0-rc.1"),
            ("", "1.2.3", "1.2.3-a"),
            ("1", "1.0.0 1.9.9", "2.0.0 0.9.9"),
            ("1.x", "1.0.0 1.9.9", "2.0.0"),
            ("1.2", "1.2.0 1.2.9", "1.3.0"),
            ("=1.2", "1.2.9", "1.3.0"),
            ("1.2.X", "1.2.9", "1.3.0"),
            ("v1.2.3", "1.2.3 1.2.3+b", "1.2.4"),
            ("~1", "1.9.0", "2.0.0"),
            ("~1.2", "1.2.0 1.2.9", "1.3.0 1.1.9"),
            ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
            ("~>1.2.3", "1.2.9", "1.3.0"),
            ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0"),
            ("^1.x", "1.0.0 1.9.0", "2.0.0"),
            ("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2"),
            ("^0.2", "0.2.0 0.2.9", "0.3.0"),
            ("^0.0.3", "0.0.3", "0.0.4 0.1.0"),
            ("^0.0", "0.0.9", "0.1.0"),
            ("^0", "0.9.9", "1.0.0"),
            (">1", "2.0.0", "1.0.0 1.9.9"),
            (">1.2", "1.3.0 2.0.0", "1.2.9"),
            (">1.2.3", "1.2.4", "1.2.3"),
            (">=1.0", "1.0.0 9.0.0", "0.9.9"),
            ("<1.2", "1.1.9", "1.2.0"),
            ("<=1.2", "1.2.9 0.1.0", "1.3.0"),
            ("<=1", "1.9.9 0.5.0", "2.0.0"),
            ("!=1.2", "1.3.0 2.2.0", "1.2.5"),
            ("!=1.2.3", "1.2.4", "1.2.3"),
            (">=1.0 <2.0 || ^3", "1.5.0 3.9.0", "2.5.0 4.0.0"),
            (">=1.0, <2.0", "1.5.0", "2.0.0"),
            (">=1.0<2.0", "1.5.0", "2.0.0"),
            (">= 1.0 < 2.0", "1.5.0", "2.0.0"),
            ("1.2 - 1.4.5", "1.2.0 1.4.5", "1.4.6 1.1.9"),
            ("1.2 - 1.4", "1.4.9", "1.5.0"),
            (">=1.0.0-0", "1.0.0-rc.1 2.0.0-beta 1.0.0", "0.9.0"),
            (">=1.0.0-alpha <2.0.0", "1.5.0-rc.1 1.0.0-beta", "1.0.0-0 2.0.0"),
            ("^1.0.0-rc.1", "1.0.0-rc.2 1.0.0", "1.0.0-rc.0 2.0.0"),
        ] {
            let parsed: Range = range.parse().unwrap_or_else(|e| panic!("{e}"));
            for (versions, wanted) in [(inside, true), (outside, false)] {
                for version in versions.split(' ') {
                    assert_eq!(parsed.matches(&Version::parse(version).unwrap()), wanted, "{version} in {range:?}");
                }
            }
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_part() {
        for bad in ["latest", "1.2.3.4", ">=", ">>1", "1.a", "^", "1 - ", "||q", "1..2", "99999999999999999999999"] {
            assert!(bad.parse::<Range>().is_err(), "{bad:?}");
        }
        assert!(">=1.0 <latest".parse::<Range>().unwrap_err().to_string().contains("latest"));
    }

    #[test]
    fn the_highest_wins_and_equals_stay_together() {
        let tags = ["1.0.0", "v1.2.0", "1.2.0+b1", "2.0.0-rc.1", "not-a-version", "1.1"];
        let versions = tags.iter().filter_map(|tag| Some((parse_version(tag)?, *tag)));
        let best = ">=1.0.0".parse::<Range>().unwrap().highest(versions);
        assert_eq!(best.iter().map(|(_, tag)| *tag).collect::<Vec<_>>(), ["v1.2.0", "1.2.0+b1"]);
    }
}
