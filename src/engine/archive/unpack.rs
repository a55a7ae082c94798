//! Foreign archives to a [`FileTree`], every byte treated as hostile.
//!
//! Counts what really comes out, refuses names that could leave the tree, never makes a link, and refuses what two
//! parsers could read differently. Must not keep anything of a refused archive. Start with [`unpack`].
//!
//! Source: fluxcd/pkg tar (limits, refusals).

use std::collections::BTreeSet;
use std::io::{self, Read};

use flate2::bufread::GzDecoder;

use crate::base::{File, FileTree, PathError};

/// Past this many unpacked bytes the expansion ratio is held against the archive.
const RATIO_FROM_BYTES: u64 = 16 << 20;
/// A PAX or long-name member larger than this has no honest use.
const EXTENSION_BYTES: u64 = 64 << 10;

/// What an archive may cost to unpack.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub total_bytes: u64,
    pub file_bytes: u64,
    pub entries: usize,
    /// Directories a path may be deep.
    pub depth: usize,
    pub name_bytes: usize,
    /// Unpacked bytes per packed byte, held once past 16 MiB.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            total_bytes: 2 << 30,
            file_bytes: 512 << 20,
            entries: 250_000,
            depth: 64,
            name_bytes: 1024,
            ratio: 200,
        }
    }
}

/// What to do with symbolic links; they are never created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    Skip,
    Refuse,
}

/// What to do when a path comes twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// The later entry wins, as when Flux unpacks an artifact.
    LastWins,
    Refuse,
}

/// How to read a foreign archive.
#[derive(Clone, Copy, Debug)]
pub struct Unpack {
    pub limits: Limits,
    pub links: Links,
    pub duplicates: Duplicates,
}

impl Default for Unpack {
    /// As Flux reads artifacts: links are skipped and the later of two entries wins.
    fn default() -> Self {
        Unpack { limits: Limits::default(), links: Links::Skip, duplicates: Duplicates::LastWins }
    }
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("the archive is damaged: {0}")]
    Damaged(#[from] io::Error),
    #[error("the archive is refused: {0}")]
    Path(#[from] PathError),
    #[error("the archive is refused: entry {entry:?} {why}")]
    Entry { entry: String, why: &'static str },
    #[error("the archive is refused: {0}")]
    Form(&'static str),
    #[error("the archive is refused: it exceeds the limit of {limit} {what}")]
    Limit { what: &'static str, limit: u64 },
}

/// Unpacks a tar.gz.
///
/// Errors when it is damaged, names a place outside, holds what Flux would not unpack, or exceeds a limit. Nothing of
/// a refused archive is kept.
pub fn unpack(bytes: &[u8], options: &Unpack) -> Result<FileTree, ArchiveError> {
    let allowed = (bytes.len() as u64).saturating_mul(options.limits.ratio).max(RATIO_FROM_BYTES);
    let mut gzip = Counted { inner: GzDecoder::new(bytes), count: 0, limit: allowed.min(ceiling(&options.limits)) };
    let outcome = unpack_tar(&mut gzip, options);
    if gzip.count >= gzip.limit {
        let limits = &options.limits;
        return Err(match gzip.limit == ceiling(limits) {
            true => ArchiveError::Limit { what: "unpacked bytes", limit: limits.total_bytes },
            false => ArchiveError::Limit { what: "unpacked bytes per packed byte", limit: limits.ratio },
        });
    }
    let tree = outcome?;
    if !gzip.inner.into_inner().is_empty() {
        return Err(ArchiveError::Form("something follows its end"));
    }
    Ok(tree)
}

/// Headers and padding come on top of the file bytes: three blocks for each entry, and room for the end.
fn ceiling(limits: &Limits) -> u64 {
    limits.total_bytes.saturating_add(limits.entries as u64 * 3 * 512).saturating_add(1 << 20)
}

/// Counts real bytes, whatever the headers say, and stops at the limit.
struct Counted<R> {
    inner: R,
    count: u64,
    limit: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.limit - self.count).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 && !buffer.is_empty() {
            return Err(io::Error::other("the unpacked size exceeds its limit"));
        }
        let got = self.inner.read(&mut buffer[..room])?;
        self.count += got as u64;
        Ok(got)
    }
}

fn unpack_tar(reader: &mut impl Read, options: &Unpack) -> Result<FileTree, ArchiveError> {
    let mut state = Unpacking { options, tree: FileTree::default(), directories: BTreeSet::new(), left: 0, entries: 0 };
    state.left = options.limits.total_bytes;
    let mut archive = tar::Archive::new(reader);
    let mut name = None;
    // Raw, because extensions are read here strictly: the crate's own reading skips malformed records.
    for entry in archive.entries()?.raw(true) {
        name = state.take(entry?, name)?;
    }
    if name.is_some() {
        return Err(ArchiveError::Form("its last member only describes a member that is missing"));
    }
    // One end block was read; what remains may be the second one and padding, all zeros.
    let rest = archive.into_inner();
    let mut buffer = [0; 8192];
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(state.tree),
            got if buffer[..got].iter().any(|byte| *byte != 0) => {
                return Err(ArchiveError::Form("something follows its end"));
            }
            _ => {}
        }
    }
}

struct Unpacking<'a> {
    options: &'a Unpack,
    tree: FileTree,
    directories: BTreeSet<String>,
    left: u64,
    entries: usize,
}

impl Unpacking<'_> {
    /// Takes one member in. `long` is the name a preceding extension gave; the answer is the name for the next.
    fn take<R: Read>(
        &mut self,
        entry: tar::Entry<'_, R>,
        long: Option<String>,
    ) -> Result<Option<String>, ArchiveError> {
        self.entries += 1;
        if self.entries > self.options.limits.entries {
            return Err(ArchiveError::Limit { what: "entries", limit: self.options.limits.entries as u64 });
        }
        let header = entry.header().clone();
        check_numbers(&header)?;
        let kind = header.entry_type();
        let size = header.entry_size()?;
        let twice = || Err(ArchiveError::Form("two extensions describe the same member"));
        match kind.as_byte() {
            b'x' | b'L' | b'K' | b'g' if size > EXTENSION_BYTES => Err(ArchiveError::Form("an extension is too large")),
            b'x' | b'L' if long.is_some() => twice(),
            b'x' => read_pax(&read_all(entry, size)?).map(|path| path.or(Some(String::new()))),
            b'L' => {
                let mut raw = read_all(entry, size)?;
                while raw.last() == Some(&0) {
                    raw.pop();
                }
                String::from_utf8(raw).map(Some).map_err(|_| ArchiveError::Form("a name is not UTF-8"))
            }
            // The long target of a link, and links are never made.
            b'K' => read_all(entry, size).map(|_| long),
            // What git archive writes: a comment. A path or size for all members would be a trick.
            b'g' => match read_pax(&read_all(entry, size)?)? {
                None => Ok(long),
                Some(_) => Err(ArchiveError::Form("a global extension renames members")),
            },
            _ => {
                let name = match long.filter(|name| !name.is_empty()) {
                    Some(name) => name,
                    None => header_name(&header)?,
                };
                self.member(entry, kind, &name, size)?;
                Ok(None)
            }
        }
    }

    fn member<R: Read>(
        &mut self,
        entry: tar::Entry<'_, R>,
        kind: tar::EntryType,
        name: &str,
        size: u64,
    ) -> Result<(), ArchiveError> {
        let refuse = |why| Err(ArchiveError::Entry { entry: name.chars().take(256).collect(), why });
        let limits = &self.options.limits;
        let path = name.strip_prefix("./").unwrap_or(name);
        let is_directory = kind.is_dir() || (path.ends_with('/') && kind.is_file());
        let path = if is_directory { path.trim_end_matches('/') } else { path };
        if name.len() > limits.name_bytes {
            return refuse("has too long a name");
        }
        if path.split('/').count() > limits.depth {
            return refuse("lies too deep");
        }
        if path.as_bytes().get(1) == Some(&b':') && path.as_bytes()[0].is_ascii_alphabetic() {
            return refuse("names a drive");
        }
        if is_directory && (path.is_empty() || path == ".") && !name.starts_with('/') {
            return Ok(());
        }
        // A scratch insert checks the name by the one rule that all trees share.
        FileTree::default().insert(path, *b"")?;
        match kind {
            _ if is_directory && size > 0 => refuse("is a directory with content"),
            _ if is_directory => self.directory(path),
            tar::EntryType::Regular => self.file(entry, path, size),
            tar::EntryType::Symlink => match self.options.links {
                Links::Skip => Ok(()),
                Links::Refuse => refuse("is a symbolic link"),
            },
            tar::EntryType::Link => refuse("is a hard link"),
            _ => refuse("is neither a file nor a directory"),
        }
    }

    fn directory(&mut self, path: &str) -> Result<(), ArchiveError> {
        let mut above = path;
        while !above.is_empty() {
            if self.tree.get(above).is_some() {
                return Err(ArchiveError::Entry { entry: path.into(), why: "is a directory where a file was" });
            }
            if !self.directories.insert(above.to_owned()) {
                break;
            }
            above = above.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        Ok(())
    }

    fn file<R: Read>(&mut self, entry: tar::Entry<'_, R>, path: &str, size: u64) -> Result<(), ArchiveError> {
        let limits = self.options.limits;
        if self.directories.contains(path) {
            return Err(ArchiveError::Entry { entry: path.into(), why: "is a file where a directory was" });
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent)?;
        }
        if self.options.duplicates == Duplicates::Refuse && self.tree.get(path).is_some() {
            return Err(ArchiveError::Entry { entry: path.into(), why: "comes twice" });
        }
        if size > limits.file_bytes {
            return Err(ArchiveError::Limit { what: "bytes in one file", limit: limits.file_bytes });
        }
        self.left = match self.left.checked_sub(size) {
            Some(left) => left,
            None => return Err(ArchiveError::Limit { what: "unpacked bytes", limit: limits.total_bytes }),
        };
        let executable = entry.header().mode()? & 0o111 != 0;
        let bytes = read_all(entry, size)?.into();
        Ok(self.tree.insert_file(path, File { bytes, executable })?)
    }
}

/// Reads a member to its end; grows with what really comes, so a lying header allocates nothing.
fn read_all(mut entry: impl Read, size: u64) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    match bytes.len() as u64 == size {
        true => Ok(bytes),
        false => Err(ArchiveError::Damaged(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// Refuses numbers that are none, in fields that weir does not use too: other readers stop there, or go on.
///
/// Source: the number rules of Go's archive/tar, which Flux reads with.
fn check_numbers(header: &tar::Header) -> Result<(), ArchiveError> {
    let (old, devices) =
        (header.as_old(), header.as_ustar().map_or([&[][..]; 2], |new| [&new.dev_major, &new.dev_minor]));
    for field in [&old.mode[..], &old.uid, &old.gid, &old.mtime, devices[0], devices[1]] {
        let text = field.trim_ascii_end();
        let digits = text.iter().skip_while(|byte| matches!(byte, b' ' | 0));
        let digits: Vec<u8> = digits.copied().take_while(|byte| !matches!(byte, 0 | b' ')).collect();
        let first = field.first().copied().unwrap_or_default();
        // Base 256: the bytes above the lowest eight only carry the sign.
        let (mark, above) =
            (matches!(first, 0x80 | 0xff), field.get(1..field.len().saturating_sub(8)).unwrap_or_default());
        let binary = mark && above.iter().all(|byte| *byte == if first == 0xff { 0xff } else { 0 });
        if !binary && !digits.iter().all(|byte| matches!(byte, b'0'..=b'7')) {
            return Err(ArchiveError::Form("a number in a header is none"));
        }
    }
    Ok(())
}

fn header_name(header: &tar::Header) -> Result<String, ArchiveError> {
    let name = String::from_utf8(header.path_bytes().into_owned());
    name.map_err(|_| ArchiveError::Form("a name is not UTF-8"))
}

/// Reads PAX records and returns the path they set.
///
/// Errors on a malformed record and on keys that change how bytes are read (`size`, sparse maps): no honest member
/// within the limits needs them, and parsers that honour them differently can be shown different archives.
fn read_pax(raw: &[u8]) -> Result<Option<String>, ArchiveError> {
    let malformed = || ArchiveError::Form("an extension is malformed");
    let mut rest = std::str::from_utf8(raw).map_err(|_| malformed())?;
    let mut path = None;
    while !rest.is_empty() {
        let (length, _) = rest.split_once(' ').ok_or_else(malformed)?;
        let plain = !length.is_empty() && length.len() < 8 && length.bytes().all(|byte| byte.is_ascii_digit());
        let end: usize = length.parse().ok().filter(|_| plain).ok_or_else(malformed)?;
        let record = rest.get(length.len() + 1..end).and_then(|record| record.strip_suffix('\n'));
        let (key, value) = record.and_then(|record| record.split_once('=')).ok_or_else(malformed)?;
        match key {
            "path" if value.is_empty() || value.contains('\0') || path.is_some() => return Err(malformed()),
            "path" => path = Some(value.to_owned()),
            "size" => return Err(ArchiveError::Form("an extension overrides a size")),
            _ if key.starts_with("GNU.sparse") => return Err(ArchiveError::Form("a member is sparse")),
            _ => {}
        }
        rest = &rest[end..];
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(tar: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(tar).unwrap();
        encoder.finish().unwrap()
    }

    /// One raw member with any name, kind and claimed size.
    fn member(name: &[u8], kind: u8, content: &[u8], claimed: u64) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_mode(0o7777);
        header.set_size(claimed);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn archive(members: &[Vec<u8>]) -> Vec<u8> {
        gzip(&[members.concat(), vec![0; 1024]].concat())
    }

    fn file(name: &[u8]) -> Vec<u8> {
        member(name, b'0', b"x", 1)
    }

    fn read(bytes: &[u8]) -> Result<FileTree, ArchiveError> {
        unpack(bytes, &Unpack::default())
    }

    #[test]
    fn names_that_could_leave_are_refused_in_every_form() {
        let names: &[&str] = &[
            "../x",
            "a/../x",
            "a/..",
            "..",
            "/etc/passwd",
            "//x",
            "/",
            "a//b",
            "./../x",
            "././x",
            "a/./b",
            ".\\x",
            "a\\b",
            "..\\x",
            "C:x",
            "c:/x",
            "C:\\x",
            "",
            "./",
            "a/b/../../../x",
            "../../../../etc/cron.d/x",
            "a\nb",
            "a\tb",
            "a\x1b[2Jb",
            "a\x7fb",
            "~/../x/..",
            "./.",
            "x/.",
            "x/..",
            "a\rb",
        ];
        for name in names {
            let pax = {
                let rest = format!(" path={name}\n");
                let length = (rest.len() + 1..).find(|n| n.to_string().len() + rest.len() == *n).unwrap();
                format!("{length}{rest}")
            };
            let forms = [
                archive(&[file(name.as_bytes())]),
                archive(&[member(b"x", b'x', pax.as_bytes(), pax.len() as u64), file(b"honest")]),
                archive(&[member(b"x", b'L', name.as_bytes(), name.len() as u64), file(b"honest")]),
            ];
            for (form, bytes) in forms.iter().enumerate() {
                // A long name that is empty means that the header's own name counts, as in other readers.
                if !(form == 2 && name.is_empty()) {
                    let outcome = read(bytes);
                    assert!(outcome.is_err() || outcome.unwrap().is_empty(), "{name:?} as form {form}");
                }
            }
        }
        assert!(read(&archive(&[file(b"\xff\xfe")])).is_err(), "a name that is not UTF-8");
        assert!(read(&archive(&[member(b"d/", b'5', b"", 0), member(b"../d", b'5', b"", 0)])).is_err());
    }

    #[test]
    fn links_and_special_files_are_never_made() {
        let mut link = tar::Header::new_ustar();
        link.set_path("l").unwrap();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_link_name("/etc").unwrap();
        link.set_size(0);
        link.set_cksum();
        let bytes = archive(&[link.as_bytes().to_vec(), file(b"l/passwd"), file(b"ok")]);
        let tree = read(&bytes).unwrap();
        assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["l/passwd", "ok"]);
        assert!(unpack(&bytes, &Unpack { links: Links::Refuse, ..Unpack::default() }).is_err());
        for kind in *b"13467SVMN" {
            assert!(read(&archive(&[member(b"d", kind, b"", 0)])).is_err(), "kind {}", kind as char);
        }
    }

    #[test]
    fn what_parsers_could_read_differently_is_refused() {
        let pax = |records: &str| member(b"x", b'x', records.as_bytes(), records.len() as u64);
        let good = file(b"a");
        assert!(read(&archive(&[pax("11 size=99\n"), good.clone()])).is_err());
        assert!(read(&archive(&[pax("99 path=b\n"), good.clone()])).is_err());
        assert!(read(&archive(&[pax("x path=b\n"), good.clone()])).is_err());
        assert!(read(&archive(&[pax("9 path=b\n"), pax("9 path=c\n"), good.clone()])).is_err());
        assert!(read(&archive(&[pax("22 GNU.sparse.major=1\n"), good.clone()])).is_err());
        assert!(read(&archive(&[member(b"g", b'g', b"9 path=b\n", 9), good.clone()])).is_err());
        assert!(read(&archive(&[good.clone(), pax("9 path=b\n")])).is_err(), "an extension of nothing");
        assert!(read(&archive(&[good.clone(), member(b"a/b", b'0', b"", 0)])).is_err(), "a file as a directory");
        assert!(read(&archive(&[member(b"a", b'5', b"", 0), good.clone()])).is_err(), "a directory as a file");
        let honest = archive(&[member(b"g", b'g', b"14 comment=ab\n", 14), pax("9 path=b\n"), good.clone()]);
        assert_eq!(read(&honest).unwrap().iter().map(|(path, _)| path).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn nothing_may_follow_the_end() {
        let good = archive(&[file(b"a")]);
        assert!(read(&good).is_ok());
        assert!(read(&[good.clone(), good.clone()].concat()).is_err(), "a second gzip member");
        assert!(read(&[good.clone(), b"junk".to_vec()].concat()).is_err());
        assert!(read(&gzip(&[file(b"a"), vec![0; 1024], file(b"b")].concat())).is_err());
        assert!(read(&good[..good.len() - 9]).is_err(), "cut short");
        let mut flipped = good.clone();
        let last = flipped.len() - 6;
        flipped[last] ^= 1;
        assert!(read(&flipped).is_err(), "a wrong checksum");
    }

    #[test]
    fn bombs_stop_at_the_limit_by_real_bytes() {
        let zeros = archive(&[member(b"big", b'0', &vec![0; 64 << 20], 64 << 20)]);
        assert!(zeros.len() < 100_000);
        assert!(matches!(read(&zeros), Err(ArchiveError::Limit { limit: 200, .. })));
        let lies = gzip(&[member(b"huge", b'0', b"", 8_000_000_000), vec![0; 1024]].concat());
        assert!(read(&lies).is_err());
        let small = Limits { total_bytes: 10, entries: 3, file_bytes: 6, depth: 2, name_bytes: 20, ratio: 200 };
        let with = |members: &[Vec<u8>]| unpack(&archive(members), &Unpack { limits: small, ..Unpack::default() });
        let five = |name: &[u8]| member(name, b'0', b"12345", 5);
        assert!(with(&[five(b"a"), five(b"b")]).is_ok());
        assert!(with(&[five(b"a"), five(b"b"), file(b"c")]).is_err(), "total");
        assert!(with(&[five(b"a"), five(b"a"), file(b"a")]).is_err(), "an overwritten file counts too");
        assert!(with(&[member(b"a", b'0', b"1234567", 7)]).is_err(), "file");
        assert!(with(&[b"a", b"b", b"c", b"d"].map(|name| member(name, b'0', b"", 0))).is_err(), "entries");
        assert!(with(&[file(b"a/b/c")]).is_err(), "depth");
        assert!(with(&[file(&[b'n'; 21])]).is_err(), "name");
    }

    #[test]
    fn the_later_of_two_entries_wins_or_is_refused() {
        let bytes = archive(&[file(b"a"), member(b"a", b'0', b"yy", 2), file(b"A")]);
        let tree = read(&bytes).unwrap();
        assert_eq!((tree.len(), &*tree.get("a").unwrap().bytes), (2, &b"yy"[..]));
        assert!(unpack(&bytes, &Unpack { duplicates: Duplicates::Refuse, ..Unpack::default() }).is_err());
    }

    #[test]
    fn modes_reduce_to_the_executable_bit() {
        assert!(read(&archive(&[file(b"a")])).unwrap().get("a").unwrap().executable);
    }

    proptest::proptest! {
        #[test]
        fn random_changes_never_panic_nor_leave(at in 0usize..3000, value: u8) {
            let mut tar = [file(b"dir/a"), member(b"x", b'x', b"9 path=b\n", 9), file(b"c"), vec![0; 1024]].concat();
            let at = at % tar.len();
            tar[at] = value;
            if let Ok(tree) = read(&gzip(&tar)) {
                proptest::prop_assert!(tree.iter().all(|(path, _)| !path.starts_with('/') && !path.contains("..")));
            }
        }
    }
}
