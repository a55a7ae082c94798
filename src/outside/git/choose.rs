//! Which of a remote's references is meant: names asked for, names found, and what to say when there is none.
//!
//! Pure: the listing comes in, a choice goes out. Start with [`Reference::prefixes`] and [`choose`].

use gix::bstr::ByteSlice;
use gix::hash::ObjectId;

use crate::base::Text;
use crate::engine::semver_range::{Range, parse_version};

use super::error::GitError;

/// References a listing may have.
pub(super) const REFERENCES: usize = 100_000;
/// Bytes a reference name may have.
const NAME_BYTES: usize = 1024;

/// What to check out, as `spec.ref` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Branch(String),
    Tag(String),
    /// The highest tag in a version range.
    Semver(String),
    /// A full name, e.g. `refs/pull/420/head`; a closing `^{}` is allowed.
    Name(String),
    /// A commit by its hash; with a branch only that branch is looked at.
    Commit {
        commit: String,
        branch: Option<String>,
    },
}

/// One reference of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advertised {
    pub name: String,
    /// What it names itself: a commit, or an annotated tag.
    pub direct: ObjectId,
    /// What an annotated tag names in the end.
    pub peeled: ObjectId,
}

/// A chosen reference: the pointer of the revision and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub pointer: String,
    pub found: Advertised,
}

impl Reference {
    /// The names a server is asked for: never all of them.
    pub(super) fn prefixes(&self) -> Vec<String> {
        match self {
            Reference::Branch(branch) => vec![format!("refs/heads/{branch}")],
            Reference::Tag(tag) => vec![format!("refs/tags/{tag}")],
            Reference::Semver(_) => vec!["refs/tags/".into()],
            Reference::Name(name) => vec![name.trim_end_matches("^{}").into()],
            Reference::Commit { branch: Some(branch), .. } => vec![format!("refs/heads/{branch}")],
            Reference::Commit { branch: None, .. } => vec!["refs/heads/".into(), "refs/tags/".into()],
        }
    }

    /// Checks what a person wrote before it is sent anywhere.
    ///
    /// Errors on names that git does not allow, a malformed hash and an unreadable range.
    pub(super) fn check(&self) -> Result<(), GitError> {
        let invalid = |why: String| GitError::ReferenceInvalid { wanted: self.to_string(), why };
        let name = |name: &str| match gix::validate::reference::name(name.as_bytes().as_bstr()) {
            Ok(_) if name.len() <= NAME_BYTES => Ok(()),
            _ => Err(invalid("git does not allow such a name".into())),
        };
        match self {
            Reference::Branch(_) | Reference::Tag(_) => self.prefixes().iter().try_for_each(|full| name(full)),
            Reference::Semver(range) => range.parse::<Range>().map(|_| ()).map_err(|e| invalid(e.to_string())),
            Reference::Name(full) if full == "HEAD" => Ok(()),
            Reference::Name(full) if !full.starts_with("refs/") => Err(invalid("a full name begins with refs/".into())),
            Reference::Name(full) => name(full.trim_end_matches("^{}")),
            Reference::Commit { commit, branch } => {
                let plain = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !plain {
                    return Err(invalid("a commit is 40 hexadecimal digits".into()));
                }
                branch.iter().try_for_each(|branch| name(&format!("refs/heads/{branch}")))
            }
        }
    }

    /// The pointer of a commit's revision: its branch, or nothing.
    pub(super) fn commit_pointer(&self) -> String {
        match self {
            Reference::Commit { branch: Some(branch), .. } => branch.clone(),
            _ => String::new(),
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, text) = match self {
            Reference::Branch(branch) => ("branch", branch),
            Reference::Tag(tag) => ("tag", tag),
            Reference::Semver(range) => ("a tag in the range", range),
            Reference::Name(name) => ("reference", name),
            Reference::Commit { commit, .. } => ("commit", commit),
        };
        write!(f, "{word} {:?}", Text::new(text).as_str())
    }
}

/// Picks what a reference means from a listing. For a range all tags of the highest version come back: the caller
/// decides between `v1.0.0` and `1.0.0` by commit time.
///
/// Errors when nothing fits, naming what is there instead.
pub(super) fn choose(reference: &Reference, listing: &[Advertised], url: &str) -> Result<Vec<Chosen>, GitError> {
    let exact = |full: &str, pointer: &str| {
        let found = listing.iter().find(|found| found.name == full);
        found.map(|found| vec![Chosen { pointer: pointer.to_owned(), found: found.clone() }])
    };
    let chosen = match reference {
        Reference::Branch(branch) => exact(&format!("refs/heads/{branch}"), branch),
        Reference::Tag(tag) => exact(&format!("refs/tags/{tag}"), tag),
        Reference::Name(name) => exact(name.trim_end_matches("^{}"), name.trim_end_matches("^{}")),
        Reference::Semver(range) => highest(range, listing),
        Reference::Commit { .. } => None,
    };
    chosen.ok_or_else(|| GitError::ReferenceMissing {
        wanted: reference.to_string(),
        url: url.to_owned(),
        hint: hint(listing),
    })
}

fn highest(range: &str, listing: &[Advertised]) -> Option<Vec<Chosen>> {
    let range: Range = range.parse().ok()?;
    let tags = listing.iter().filter_map(|found| {
        let tag = found.name.strip_prefix("refs/tags/")?;
        Some((parse_version(tag)?, (tag, found)))
    });
    let best = range.highest(tags);
    let chosen = |(_, (tag, found)): (_, (&str, &Advertised))| Chosen { pointer: tag.into(), found: found.clone() };
    (!best.is_empty()).then(|| best.into_iter().map(chosen).collect())
}

/// A few names that exist, so that a typing error is seen at once.
pub(super) fn hint(listing: &[Advertised]) -> String {
    let short = |name: &str| {
        let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name);
        Text::new(short).into_string()
    };
    let some: Vec<String> =
        listing.iter().filter(|found| found.name != "HEAD").take(5).map(|f| short(&f.name)).collect();
    match (some.is_empty(), listing.len() > 5) {
        (true, _) => String::new(),
        (false, true) => format!("; there are {}, …", some.join(", ")),
        (false, false) => format!("; there are {}", some.join(", ")),
    }
}

/// Takes a server's listing in.
///
/// Errors when it is longer or has longer names than anybody needs.
pub(super) fn listing(refs: Vec<gix::protocol::handshake::Ref>) -> Result<Vec<Advertised>, GitError> {
    use gix::protocol::handshake::Ref;
    if refs.len() > REFERENCES {
        return Err(GitError::Limit { what: "references", limit: REFERENCES as u64 });
    }
    let mut all = Vec::with_capacity(refs.len());
    for found in refs {
        let (name, direct, peeled) = match found {
            Ref::Peeled { full_ref_name, tag, object } => (full_ref_name, tag, object),
            Ref::Direct { full_ref_name, object } => (full_ref_name, object, object),
            Ref::Symbolic { full_ref_name, tag, object, .. } => (full_ref_name, tag.unwrap_or(object), object),
            Ref::Unborn { .. } => continue,
        };
        if name.len() > NAME_BYTES {
            return Err(GitError::Limit { what: "bytes in a reference name", limit: NAME_BYTES as u64 });
        }
        // A name that is not UTF-8 cannot be asked for in YAML either.
        if let Ok(name) = String::from_utf8(name.into()) {
            all.push(Advertised { name, direct, peeled });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advertised(names: &str) -> Vec<Advertised> {
        let id = |n: usize| ObjectId::from_hex(format!("{n:040x}").as_bytes()).unwrap();
        let made = |(n, name): (usize, &str)| Advertised { name: name.into(), direct: id(n), peeled: id(n) };
        names.split_whitespace().enumerate().map(made).collect()
    }

    fn pointers(reference: &Reference, names: &str) -> Result<Vec<String>, String> {
        let chosen = choose(reference, &advertised(names), "https://h/x").map_err(|e| e.to_string())?;
        Ok(chosen.into_iter().map(|chosen| chosen.pointer).collect())
    }

    #[test]
    fn only_the_exact_name_is_meant() {
        let names = "HEAD refs/heads/main refs/heads/main2 refs/tags/main refs/pull/4/head";
        assert_eq!(pointers(&Reference::Branch("main".into()), names).unwrap(), ["main"]);
        assert_eq!(pointers(&Reference::Name("refs/pull/4/head".into()), names).unwrap(), ["refs/pull/4/head"]);
        assert_eq!(pointers(&Reference::Name("refs/tags/main^{}".into()), names).unwrap(), ["refs/tags/main"]);
        let missing = pointers(&Reference::Branch("mian".into()), names).unwrap_err();
        assert!(missing.contains("mian") && missing.contains("there are main, main2"), "{missing}");
    }

    #[test]
    fn the_highest_tag_of_a_range_is_meant() {
        let names = "refs/tags/v1.2.0 refs/tags/1.10.0 refs/tags/2.0.0-rc.1 refs/tags/latest refs/tags/1.11";
        assert_eq!(pointers(&Reference::Semver(">=1.0".into()), names).unwrap(), ["1.10.0"]);
        assert_eq!(pointers(&Reference::Semver(">=1.0.0-0".into()), names).unwrap(), ["2.0.0-rc.1"]);
        assert_eq!(pointers(&Reference::Semver("1.x".into()), "refs/tags/v1.0.0 refs/tags/1.0.0").unwrap().len(), 2);
        assert!(pointers(&Reference::Semver("3.x".into()), names).is_err());
    }

    #[test]
    fn what_git_does_not_allow_is_never_sent() {
        for bad in ["", "a..b", "a b", "../x", "a\n", "x.lock", "a/./b", "/", "a\\b", "a:b", "a~1", "@{u}", "a//b"] {
            assert!(Reference::Branch(bad.into()).check().is_err(), "{bad:?}");
            assert!(Reference::Name(format!("refs/{bad}")).check().is_err(), "{bad:?}");
        }
        assert!(Reference::Name("main".into()).check().is_err());
        assert!(Reference::Commit { commit: "abc".into(), branch: None }.check().is_err());
        assert!(Reference::Semver("latest".into()).check().is_err());
        assert!(Reference::Branch("feature/a-b_c.d".into()).check().is_ok());
    }
}
