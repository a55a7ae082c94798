//! Pushing one prepared commit: to its branch and, if wished, to one more place, with the old values as a condition.
//!
//! A branch is only ever moved from the commit that was built upon, so no one's work is lost; whoever was faster makes
//! the push fail as raced, and the caller starts anew. When the answer is lost, the server is asked what became of it.
//! Start with [`push`].
//!
//! Source: git's protocol (gitprotocol-pack: reference update request, report-status, push options).

use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use gix::hash::ObjectId;
use gix::progress::Discard;
use gix::protocol::transport::client::blocking_io::{ExtendedBufRead, Transport};
use gix::protocol::transport::client::{MessageKind, WriteMode};
use gix::protocol::transport::{Protocol, Service};

use super::choose::{Advertised, listing};
use super::draft::Prepared;
use super::error::{GitError, causes, said};
use super::origin::{self, Origin};
use super::pack::pack;
use super::stop::{self, Stop, Trouble};
use super::tree::Limits;
use super::url::Scheme;
use super::{Reference, Remote, local};

const REPORT_BYTES: u64 = 1 << 20;
const NOTES_BYTES: usize = 64 << 10;
/// Digits of a packet line's length.
const HEX: usize = 4;

/// A further place for the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refspec {
    /// A whole reference name.
    pub to: String,
    /// Whether it may be moved from a commit that this one does not follow.
    pub force: bool,
}

impl Refspec {
    /// Reads `[+]source:destination`; the source must be the pushed branch or HEAD, since nothing else is here.
    ///
    /// Errors on every other form.
    pub fn parse(text: &str, branch: &str) -> Result<Self, GitError> {
        let refuse =
            |why: &str| GitError::ReferenceInvalid { wanted: format!("refspec {text:?}"), why: why.to_owned() };
        let (force, bare) = text.strip_prefix('+').map_or((false, text), |bare| (true, bare));
        let (from, to) = bare.split_once(':').ok_or_else(|| refuse("it is not source:destination"))?;
        let full = format!("refs/heads/{branch}");
        if ![branch, full.as_str(), "HEAD", ""].contains(&from) || from.is_empty() {
            return Err(refuse(&format!("its source must be {full} or HEAD")));
        }
        let to = if to.starts_with("refs/") { to.to_owned() } else { format!("refs/heads/{to}") };
        Reference::Name(to.clone()).check()?;
        Ok(Refspec { to, force })
    }
}

/// One reference to move.
#[derive(Clone, Debug)]
struct Update {
    name: String,
    old: Option<ObjectId>,
    new: ObjectId,
}

/// Pushes a commit.
///
/// Errors as [`GitError::Raced`] when the branch has moved since the draft was made, as [`GitError::Rejected`] when the
/// server does not want the commit, and otherwise when it is certain that the commit did not arrive.
pub async fn push(
    remote: &Remote,
    prepared: &Prepared,
    further: Option<&Refspec>,
    options: &[String],
) -> Result<(), GitError> {
    let full = format!("refs/heads/{}", prepared.branch);
    let outcome = {
        let (remote, prepared, further, options) =
            (remote.clone(), prepared.clone(), further.cloned(), options.to_vec());
        stop::run(remote.timeout, move |stop| attempt(&remote, &prepared, further.as_ref(), &options, stop)).await
    };
    let Err(error) = outcome else { return Ok(()) };
    // Only the server knows what became of a push whose answer was lost or was no.
    if matches!(error, GitError::Raced { .. } | GitError::PushOptions) || error.is_authentication() {
        return Err(error);
    }
    let base = prepared.base.to_string();
    match tip(remote, &prepared.branch).await {
        Ok(Some(id)) if id == prepared.hash && further.is_none() => Ok(()),
        Ok(Some(id)) if id != base && id != prepared.hash => Err(GitError::Raced { reference: full }),
        Ok(None) if !prepared.is_new => Err(GitError::Raced { reference: full }),
        _ => Err(error),
    }
}

/// The commit that a branch is at now.
///
/// Errors as a fetch does.
pub async fn tip(remote: &Remote, branch: &str) -> Result<Option<String>, GitError> {
    let (remote, full) = (remote.clone(), format!("refs/heads/{branch}"));
    stop::run(remote.timeout, move |stop| {
        let mut origin = Origin::open(&remote, &Limits::default(), stop)?;
        let found = origin.list(std::slice::from_ref(&full))?.into_iter().find(|found| found.name == full);
        Ok(found.map(|found| found.direct.to_string()))
    })
    .await
}

fn attempt(
    remote: &Remote,
    prepared: &Prepared,
    further: Option<&Refspec>,
    options: &[String],
    stop: &Stop,
) -> Result<(), GitError> {
    if remote.url.scheme == Scheme::File {
        return into_directory(remote, prepared, further);
    }
    let trouble = Trouble::default();
    let limits = Limits::default();
    let mut transport = origin::transport(remote, &limits, stop, &trouble, Service::ReceivePack)?;
    let url = remote.url.to_string();
    let explain = |error: &(dyn std::error::Error + 'static)| {
        trouble.take().unwrap_or_else(|| GitError::Protocol { url: url.clone(), why: said(causes(error)) })
    };
    let none = |_| Ok(None);
    let greeted = gix::protocol::handshake(&mut transport, Service::ReceivePack, none, Vec::new(), &mut Discard);
    let handshake = greeted.map_err(|error| explain(&error))?;
    let refs = listing(handshake.refs.unwrap_or_default())?;
    let updates = updates(prepared, further, &refs)?;
    let can = |name: &str| handshake.capabilities.contains(name);
    if !options.is_empty() && !can("push-options") {
        return Err(GitError::PushOptions);
    }
    let answer = send(&mut transport, prepared, &updates, options, &can).map_err(|error| explain(&error))?;
    judge(&answer, &updates)
}

/// The old value of each reference, which must be what the draft was made from.
fn updates(prepared: &Prepared, further: Option<&Refspec>, refs: &[Advertised]) -> Result<Vec<Update>, GitError> {
    let at = |name: &str| refs.iter().find(|found| found.name == name).map(|found| found.direct);
    let full = format!("refs/heads/{}", prepared.branch);
    let old = at(&full);
    if old != (!prepared.is_new).then_some(prepared.base) {
        return Err(GitError::Raced { reference: full });
    }
    let mut updates = vec![Update { name: full.clone(), old, new: prepared.id }];
    if let Some(further) = further.filter(|further| further.to != full) {
        let old = at(&further.to);
        if !further.force && old.is_some_and(|old| old != prepared.base) {
            let why =
                "it has commits that this one does not follow; a + in front of the refspec would drop them".into();
            return Err(GitError::Rejected { reference: further.to.clone(), why });
        }
        updates.push(Update { name: further.to.clone(), old, new: prepared.id });
    }
    Ok(updates)
}

/// What a server answered.
struct Answer {
    report: Vec<u8>,
    notes: String,
    is_reported: bool,
}

fn send(
    transport: &mut Box<dyn Transport + Send>,
    prepared: &Prepared,
    updates: &[Update],
    options: &[String],
    can: &dyn Fn(&str) -> bool,
) -> std::io::Result<Answer> {
    let mut wanted = String::new();
    for name in ["report-status", "side-band-64k", "atomic", "push-options"] {
        let is_needed = match name {
            "push-options" => !options.is_empty(),
            "atomic" => updates.len() > 1,
            _ => true,
        };
        if is_needed && can(name) {
            wanted.push_str(&format!(" {name}"));
        }
    }
    wanted.push_str(concat!(" agent=weir/", env!("CARGO_PKG_VERSION")));
    let mut writer = transport
        .request(WriteMode::Binary, MessageKind::Flush, false)
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    let none = ObjectId::null(gix::hash::Kind::Sha1);
    for (number, update) in updates.iter().enumerate() {
        let capabilities = if number == 0 { format!("\0{wanted}") } else { String::new() };
        let line = format!("{} {} {}{capabilities}", update.old.unwrap_or(none), update.new, update.name);
        writer.write_all(line.as_bytes())?;
    }
    writer.write_message(MessageKind::Flush)?;
    if !options.is_empty() {
        for option in options {
            writer.write_all(option.as_bytes())?;
        }
        writer.write_message(MessageKind::Flush)?;
    }
    let (mut raw, mut reader) = writer.into_parts();
    raw.write_all(&pack(&prepared.objects)?)?;
    raw.flush()?;
    drop(raw);
    read_answer(&mut reader, can)
}

fn read_answer<'t>(
    reader: &mut Box<dyn ExtendedBufRead<'t> + Unpin + 't>,
    can: &dyn Fn(&str) -> bool,
) -> std::io::Result<Answer> {
    let notes = Arc::new(Mutex::new(String::new()));
    let has_bands = can("side-band-64k");
    if has_bands {
        let kept = Arc::clone(&notes);
        reader.set_progress_handler(Some(Box::new(move |_, text| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < NOTES_BYTES {
                kept.push_str(&String::from_utf8_lossy(text));
                kept.push('\n');
            }
            ControlFlow::Continue(())
        })));
    }
    // The listing of references has ended the stream at its flush.
    reader.reset(Protocol::V1);
    let mut body = Vec::new();
    let is_reported = can("report-status");
    if is_reported {
        reader.take(REPORT_BYTES).read_to_end(&mut body)?;
    }
    let report = if has_bands { unwrapped(&body) } else { body };
    let notes = notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Answer { report, notes, is_reported })
}

/// The payload of packet lines within a band, a line each.
fn unwrapped(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((head, rest)) = body.split_at_checked(HEX) {
        let size = std::str::from_utf8(head).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        match size {
            Some(size) if size > 4 && size - 4 <= rest.len() => {
                let line = &rest[..size - 4];
                out.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
                out.push(b'\n');
                body = &rest[size - 4..];
            }
            Some(_) => body = rest,
            None => break,
        }
    }
    out
}

/// Reads the report: every reference must be told to be fine.
fn judge(answer: &Answer, updates: &[Update]) -> Result<(), GitError> {
    if !answer.is_reported {
        return Ok(());
    }
    let report = String::from_utf8_lossy(&answer.report);
    let notes = said(&answer.notes);
    let with_notes = |why: &str| match notes.is_empty() {
        true => said(why),
        false => format!("{}; the server says: {notes}", said(why)),
    };
    let first = updates.first().map_or("", |update| update.name.as_str());
    let unpack = report.lines().find_map(|line| line.strip_prefix("unpack "));
    match unpack {
        Some("ok") => {}
        Some(why) => return Err(GitError::Rejected { reference: first.to_owned(), why: with_notes(why) }),
        None => return Err(GitError::Server(with_notes("it ended without saying what became of the push"))),
    }
    for update in updates {
        let is_fine = report.lines().any(|line| line.strip_prefix("ok ") == Some(update.name.as_str()));
        if !is_fine {
            let refused = |line: &str| {
                let why = line.strip_prefix("ng ")?.strip_prefix(&update.name)?.strip_prefix(' ')?;
                Some(why.trim().to_owned())
            };
            let why = report.lines().find_map(refused).unwrap_or_else(|| "the server did not say why".into());
            return Err(GitError::Rejected { reference: update.name.clone(), why: with_notes(&why) });
        }
    }
    Ok(())
}

/// Writes the objects into a repository on this machine, then moves its references under their locks.
fn into_directory(remote: &Remote, prepared: &Prepared, further: Option<&Refspec>) -> Result<(), GitError> {
    use gix::objs::Write as _;
    if !remote.allow_file {
        return Err(GitError::FileNotAllowed { path: remote.url.path.clone() });
    }
    let url = remote.url.to_string();
    let local = local::Local::open(&remote.url.decoded_path(), &url, &Limits::default())?;
    let refs = local.list(&["refs/".into()])?;
    let updates = updates(prepared, further, &refs)?;
    let failed = |error: &dyn std::fmt::Display| GitError::Protocol { url: url.clone(), why: said(error.to_string()) };
    let objects = gix::odb::loose::Store::at(local.git_dir.join("objects"), gix::hash::Kind::Sha1);
    for object in &prepared.objects {
        objects.write_buf(object.kind, &object.bytes).map_err(|error| failed(&error))?;
    }
    for update in &updates {
        match local.move_reference(&update.name, update.old, update.new) {
            Ok(()) => {}
            Err(local::MoveError::Moved) => return Err(GitError::Raced { reference: update.name.clone() }),
            Err(local::MoveError::Other(why)) => return Err(failed(&why)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refspecs_have_one_source() {
        let parse = |text: &str| Refspec::parse(text, "main");
        let plain = |to: &str, force| Refspec { to: to.into(), force };
        assert_eq!(parse("refs/heads/main:refs/heads/auto").unwrap(), plain("refs/heads/auto", false));
        assert_eq!(parse("+HEAD:auto").unwrap(), plain("refs/heads/auto", true));
        assert_eq!(parse("main:refs/for/main").unwrap(), plain("refs/for/main", false));
        for bad in ["main", ":refs/heads/x", "refs/heads/*:refs/heads/*", "other:x", "HEAD:a..b", "HEAD:", ""] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn reports_are_read_with_what_hooks_said() {
        let id = ObjectId::null(gix::hash::Kind::Sha1);
        let updates = [Update { name: "refs/heads/main".into(), old: None, new: id }];
        let told = |report: &str, notes: &str| {
            let answer = Answer { report: report.as_bytes().to_vec(), notes: notes.into(), is_reported: true };
            judge(&answer, &updates).map_err(|error| error.to_string())
        };
        assert_eq!(told("unpack ok\nok refs/heads/main\n", "hi"), Ok(()));
        let refused =
            told("unpack ok\nng refs/heads/main pre-receive hook declined\n", "protected\x1b[31m\n").unwrap_err();
        assert!(refused.contains("pre-receive hook declined") && refused.contains("protected␛"), "{refused}");
        assert!(told("unpack ok\nok refs/heads/mainly\n", "").is_err());
        let of_another = told("unpack ok\nng refs/heads/mainly declined\n", "").unwrap_err();
        assert!(of_another.contains("did not say why"), "{of_another}");
        assert!(told("unpack index-pack abnormal exit\n", "").unwrap_err().contains("index-pack"));
        assert!(told("", "").is_err());
        assert_eq!(unwrapped(b"000eunpack ok\n0017ok refs/heads/main\n0000"), b"unpack ok\nok refs/heads/main\n");
    }
}
