//! One conversation with a git server over any transport: handshake, listing, fetch.
//!
//! There is no repository here, so there is no configuration, hook or filter that could be read from one: a received
//! pack is verified and indexed into a directory of ours, and objects are read from there. Start with [`Wire`].

use std::io::{self, BufRead, Read};
use std::path::Path;

use gix::hash::{Kind, ObjectId};
use gix::odb::Handle;
use gix::odb::pack::Bundle;
use gix::progress::Discard;
use gix::protocol::fetch::negotiate::{Action, Round, one_round};
use gix::protocol::fetch::{Arguments, Context, Negotiate, Options, Response, Shallow, Tags};
use gix::protocol::ls_refs::RefPrefixes;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::{Protocol, Service};
use gix::protocol::{Handshake, LsRefsCommand};

use super::choose::{Advertised, listing};
use super::error::{GitError, causes, said};
use super::stop::{Stop, Trouble};
use super::tree::Limits;

/// Commits and trees must fit into memory however small files have to be.
const ALLOCATION_BYTES: u64 = 16 << 20;

/// A server that was greeted.
pub(super) struct Wire {
    transport: Box<dyn Transport + Send>,
    handshake: Handshake,
    trouble: Trouble,
    url: String,
}

/// How much history to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// The wanted commits alone, where the server can do that.
    One,
    All,
}

impl Wire {
    /// Greets a server.
    ///
    /// Errors with what the transport met, else with what the server said.
    pub(super) fn greet(
        mut transport: Box<dyn Transport + Send>,
        trouble: Trouble,
        url: String,
    ) -> Result<Self, GitError> {
        // Credentials were given to the transport: the library must not go looking for any.
        let none = |_| Ok(None);
        let greeted = gix::protocol::handshake(&mut transport, Service::UploadPack, none, Vec::new(), &mut Discard);
        match greeted {
            Ok(handshake) => Ok(Wire { transport, handshake, trouble, url }),
            Err(error) => Err(explain(&trouble, &url, &error)),
        }
    }

    /// Lists references that begin with one of the prefixes; an old server may list all.
    pub(super) fn list(&mut self, prefixes: &[String]) -> Result<Vec<Advertised>, GitError> {
        if let Some(refs) = &self.handshake.refs {
            return listing(refs.clone());
        }
        let mut wanted = RefPrefixes::new();
        wanted.extend(prefixes.iter().map(|prefix| prefix.as_str().into()));
        let command = LsRefsCommand::new(Some(wanted), &self.handshake.capabilities, agent());
        match command.invoke_blocking(&mut self.transport, &mut Discard, false) {
            Ok(refs) => listing(refs),
            Err(error) => Err(explain(&self.trouble, &self.url, &error)),
        }
    }

    /// Fetches objects into a directory and opens it.
    ///
    /// Errors when the server refuses, the pack is damaged or incomplete, or a limit is met. Nothing is published then.
    pub(super) fn fetch(
        &mut self,
        wants: &[ObjectId],
        depth: Depth,
        directory: &Path,
        limits: &Limits,
        stop: &Stop,
    ) -> Result<Handle, GitError> {
        let objects = directory.join("objects");
        std::fs::create_dir_all(objects.join("pack"))?;
        let shallow = match depth == Depth::One && self.can_be_shallow() {
            true => Shallow::DepthAtRemote(std::num::NonZeroU32::MIN),
            false => Shallow::NoChange,
        };
        let options = Options {
            shallow_file: directory.join("shallow"),
            shallow: &shallow,
            tags: Tags::None,
            reject_shallow_remote: false,
        };
        let context = Context {
            handshake: &mut self.handshake,
            transport: &mut self.transport,
            user_agent: agent(),
            trace_packetlines: false,
        };
        let mut wanted = Wanted(wants);
        let pack = objects.join("pack");
        let consume = |reader: &mut dyn BufRead, progress: &mut dyn gix::DynNestedProgress, flag: &_| {
            let mut reader = Metered { inner: reader, left: limits.pack_bytes, trouble: self.trouble.clone(), limits };
            let options = gix::odb::pack::bundle::write::Options {
                thread_limit: Some(2),
                alloc_limit_bytes: allocation(limits),
                ..Default::default()
            };
            let none = None::<gix::objs::find::Never>;
            Bundle::write_to_directory(&mut reader, Some(&pack), progress, flag, none, Kind::Sha1, options)?;
            Ok(true)
        };
        let fetched = gix::protocol::fetch(&mut wanted, consume, Discard, stop.flag(), context, options);
        match fetched {
            Ok(Some(_)) => open(&objects, limits),
            Ok(None) => Err(GitError::Protocol { url: self.url.clone(), why: "it had nothing to send".into() }),
            Err(error) => match stop.check() {
                Err(stopped) => Err(stopped),
                Ok(()) => Err(match explain(&self.trouble, &self.url, &error) {
                    // What the library says when an object needs more than it may allocate.
                    GitError::Protocol { why, .. } if why.contains("too large") => {
                        GitError::Limit { what: "bytes in one object", limit: limits.file_bytes.max(ALLOCATION_BYTES) }
                    }
                    explained => explained,
                }),
            },
        }
    }

    fn can_be_shallow(&self) -> bool {
        let capabilities = &self.handshake.capabilities;
        match self.handshake.server_protocol_version {
            Protocol::V2 => {
                capabilities.capability("fetch").and_then(|fetch| fetch.supports("shallow")).unwrap_or_default()
            }
            _ => capabilities.contains("shallow"),
        }
    }

    /// Whether any commit may be asked for by its hash, not only what is listed.
    pub(super) fn can_want_any(&self) -> bool {
        let capabilities = &self.handshake.capabilities;
        self.handshake.server_protocol_version == Protocol::V2
            || capabilities.contains("allow-reachable-sha1-in-want")
            || capabilities.contains("allow-any-sha1-in-want")
    }
}

/// Opens objects with a limit on what one of them may allocate.
pub(super) fn open(objects: &Path, limits: &Limits) -> Result<Handle, GitError> {
    let options = gix::odb::store::init::Options { alloc_limit_bytes: allocation(limits), ..Default::default() };
    Ok(gix::odb::at_opts(objects, Kind::Sha1, None, options)?)
}

/// What one object may need, decompressed: the library refuses more before it allocates.
fn allocation(limits: &Limits) -> Option<usize> {
    usize::try_from(limits.file_bytes.max(ALLOCATION_BYTES)).ok()
}

fn agent() -> (&'static str, Option<String>) {
    ("agent", Some(concat!("weir/", env!("CARGO_PKG_VERSION")).into()))
}

/// The transport's own words come first, then what the server wrote, then what the library makes of it.
fn explain(trouble: &Trouble, url: &str, error: &gix::Error) -> GitError {
    if let Some(kept) = trouble.take() {
        return kept;
    }
    let why = causes(error);
    if why.contains("object-format") || why.contains("sha256") {
        let why = "its objects are hashed with SHA-256, which is not supported yet".into();
        return GitError::Protocol { url: url.to_owned(), why };
    }
    GitError::Protocol { url: url.to_owned(), why: said(why) }
}

/// Asks for what it was told and has nothing to offer: every fetch is a fresh one.
struct Wanted<'a>(&'a [ObjectId]);

impl Negotiate for Wanted<'_> {
    fn mark_complete_and_common_ref(&mut self) -> gix::Result<Action> {
        Ok(Action::MustNegotiate { remote_ref_target_known: vec![false; self.0.len()] })
    }

    fn add_wants(&mut self, arguments: &mut Arguments, _known: &[bool]) -> bool {
        self.0.iter().for_each(|id| arguments.want(id));
        !self.0.is_empty()
    }

    fn one_round(
        &mut self,
        _state: &mut one_round::State,
        _arguments: &mut Arguments,
        _previous: Option<&Response>,
    ) -> gix::Result<(Round, bool)> {
        let round =
            Round { haves_sent: 0, in_vain: 0, haves_to_send: 0, previous_response_had_at_least_one_in_common: false };
        Ok((round, true))
    }
}

/// Ends a pack that is larger than allowed.
struct Metered<'a> {
    inner: &'a mut dyn BufRead,
    left: u64,
    trouble: Trouble,
    limits: &'a Limits,
}

impl Metered<'_> {
    fn spend(&mut self, bytes: usize) -> io::Result<()> {
        match self.left.checked_sub(bytes as u64) {
            Some(left) => self.left = left,
            None => {
                let limit = self.limits.pack_bytes;
                return Err(self.trouble.keep(GitError::Limit { what: "bytes in its pack", limit }));
            }
        }
        Ok(())
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.spend(got)?;
        Ok(got)
    }
}

impl BufRead for Metered<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            self.spend(1)?;
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount as u64);
        self.inner.consume(amount);
    }
}
