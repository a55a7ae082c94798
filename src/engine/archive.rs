//! Artifact archives: a [`FileTree`] to the reproducible tar.gz that Flux defines, and foreign archives to a tree.
//!
//! Packing writes the tar bytes that Go's `archive/tar` writes for the same headers, so equal trees give equal tars
//! here and in Flux. The gzip layer is deterministic too, but its bytes are those of another compressor than Go's:
//! digests of the tar.gz agree between weir instances, and digests of the tar agree with Flux.
//! Reading foreign archives is [`unpack`]'s work. Start with [`pack`].
//!
//! Source: fluxcd/pkg artifact/storage (archive).

mod unpack;

use std::collections::BTreeSet;
use std::io::{self, Write};

use flate2::{Compression, GzBuilder};

pub use unpack::{ArchiveError, Duplicates, Limits, Links, Unpack, unpack};

use crate::base::{File, FileTree};

const BLOCK: usize = 512;

/// Packs a tree as tar.gz; the same tree gives the same bytes always.
pub fn pack(tree: &FileTree) -> Vec<u8> {
    pack_with_directories(tree, std::iter::empty())
}

/// As [`pack`], with directories that stay though no file is left in them, as they do in Flux's archives.
pub fn pack_with_directories<'a>(tree: &FileTree, directories: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    // Go's gzip writer leaves the time zero and the system unknown (255).
    let mut gzip = GzBuilder::new().operating_system(255).write(Vec::new(), Compression::default());
    let written = write_tar(tree, directories, &mut gzip);
    debug_assert!(written.is_ok(), "writing to memory does not fail");
    gzip.finish().unwrap_or_default()
}

/// Writes the bare tar, byte for byte as Go's `archive/tar` writes it under Flux's header rules.
///
/// Errors only as the writer does.
pub fn write_tar<'a>(
    tree: &FileTree,
    directories: impl IntoIterator<Item = &'a str>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut all: BTreeSet<Place> = BTreeSet::new();
    for directory in directories {
        insert_with_parents(&mut all, directory);
    }
    for (path, _) in tree.iter() {
        if let Some((parent, _)) = path.rsplit_once('/') {
            insert_with_parents(&mut all, parent);
        }
    }
    all.extend(tree.iter().map(|(path, _)| Place::of(path)));
    write_entry(out, ".", None)?;
    for place in all {
        write_entry(out, place.path, tree.get(place.path))?;
    }
    out.write_all(&[0; 2 * BLOCK])
}

/// A path in walk order: compared part by part, so that `a/x` comes before `a.b`.
#[derive(PartialEq, Eq)]
struct Place<'a> {
    path: &'a str,
}

impl<'a> Place<'a> {
    fn of(path: &'a str) -> Self {
        Place { path }
    }
}

impl Ord for Place<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.path.split('/').cmp(other.path.split('/'))
    }
}

impl PartialOrd for Place<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn insert_with_parents<'a>(all: &mut BTreeSet<Place<'a>>, mut directory: &'a str) {
    while !directory.is_empty() && all.insert(Place::of(directory)) {
        directory = directory.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
}

fn write_entry(out: &mut impl Write, path: &str, file: Option<&File>) -> io::Result<()> {
    let (kind, mode) = match file {
        None => (b'5', 0o750),
        Some(file) if file.executable => (b'0', 0o700),
        Some(_) => (b'0', 0o600),
    };
    let bytes: &[u8] = file.map_or(&[], |file| &file.bytes);
    let ascii: String = path.chars().filter(char::is_ascii).collect();
    if path.is_ascii() && path.len() <= 100 {
        write_header(out, &Head { name: path, prefix: "", mode, size: bytes.len(), kind, device: true })?;
    } else if let Some((prefix, name)) = split_ustar(path) {
        write_header(out, &Head { name, prefix, mode, size: bytes.len(), kind, device: true })?;
    } else {
        let record = pax_record("path", path);
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if parent.is_empty() { String::new() } else { format!("{parent}/") };
        let extension: String = format!("{parent}PaxHeaders.0/{name}").chars().filter(char::is_ascii).collect();
        let extension = extension[..extension.len().min(100)].trim_end_matches('/');
        let size = record.len();
        write_header(out, &Head { name: extension, prefix: "", mode: 0, size, kind: b'x', device: false })?;
        write_padded(out, record.as_bytes())?;
        let name = &ascii[..ascii.len().min(100)];
        let name = if ascii.len() > 100 { name.trim_end_matches('/') } else { name };
        write_header(out, &Head { name, prefix: "", mode, size: bytes.len(), kind, device: true })?;
    }
    write_padded(out, bytes)
}

struct Head<'a> {
    name: &'a str,
    prefix: &'a str,
    mode: u32,
    size: usize,
    kind: u8,
    /// Go writes zero device numbers for members and leaves them blank for extensions.
    device: bool,
}

fn write_header(out: &mut impl Write, head: &Head<'_>) -> io::Result<()> {
    let mut block = [0u8; BLOCK];
    block[..head.name.len()].copy_from_slice(head.name.as_bytes());
    octal(&mut block[100..108], u64::from(head.mode));
    octal(&mut block[108..116], 0);
    octal(&mut block[116..124], 0);
    octal(&mut block[124..136], head.size as u64);
    octal(&mut block[136..148], 0);
    block[156] = head.kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    if head.device {
        octal(&mut block[329..337], 0);
        octal(&mut block[337..345], 0);
    }
    block[345..345 + head.prefix.len()].copy_from_slice(head.prefix.as_bytes());
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..155], sum);
    out.write_all(&block)
}

/// Zero-padded octal with a closing NUL. Sizes fit: a file in memory is far below the 8 GiB of eleven digits.
fn octal(field: &mut [u8], value: u64) {
    let digits = format!("{value:0width$o}", width = field.len() - 1);
    field[..digits.len()].copy_from_slice(digits.as_bytes());
    field[digits.len()..].fill(0);
}

fn write_padded(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.write_all(&[0; BLOCK][..bytes.len().next_multiple_of(BLOCK) - bytes.len()])
}

/// Splits a long ASCII path over the prefix (155) and name (100) fields at a slash, as far right as fits.
fn split_ustar(path: &str) -> Option<(&str, &str)> {
    if !path.is_ascii() {
        return None;
    }
    let slash = path[..path.len().min(156)].rfind('/')?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    (slash > 0 && !name.is_empty() && name.len() <= 100).then_some((prefix, name))
}

/// One PAX record; its length counts its own digits.
fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(tree: &FileTree) -> Vec<u8> {
        let mut out = Vec::new();
        write_tar(tree, std::iter::empty(), &mut out).unwrap();
        out
    }

    fn sample() -> FileTree {
        let mut tree: FileTree =
            [("a.txt", "root"), ("a/x", "1"), ("a-b/y", "2"), ("deploy/app.yaml", "kind: X\n")].into_iter().collect();
        tree.insert_file("a/run", File { bytes: (*b"#!").into(), executable: true }).unwrap();
        tree
    }

    #[test]
    fn members_come_in_walk_order_with_flux_modes() {
        let bytes = tar_of(&sample());
        let mut archive = tar::Archive::new(&*bytes);
        let listed: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let header = entry.unwrap().header().clone();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
                let kind = header.entry_type().as_byte() as char;
                let name = String::from_utf8(header.path_bytes().into_owned()).unwrap();
                format!("{kind} {:o} {name}", header.mode().unwrap())
            })
            .collect();
        assert_eq!(
            listed,
            [
                "5 750 .",
                "5 750 a",
                "0 700 a/run",
                "0 600 a/x",
                "5 750 a-b",
                "0 600 a-b/y",
                "0 600 a.txt",
                "5 750 deploy",
                "0 600 deploy/app.yaml"
            ]
        );
    }

    #[test]
    fn a_header_is_the_one_that_go_writes() {
        let bytes = tar_of(&[("a", "x")].into_iter().collect());
        let header = &bytes[512..1024];
        assert_eq!(&header[100..124], b"0000600\x000000000\x000000000\0");
        assert_eq!(&header[124..148], b"00000000001\x0000000000000\0");
        assert_eq!((&header[154..157], &header[257..265]), (&b"\0 0"[..], &b"ustar\x0000"[..]));
        assert_eq!(&header[329..345], b"0000000\x000000000\0");
        assert_eq!(bytes.len(), 5 * 512, "two members, one content block, two end blocks");
    }

    #[test]
    fn one_tree_has_one_digest() {
        let digest = |tree: &FileTree| crate::base::Digest::sha256(&pack(tree)).to_string();
        let first = digest(&sample());
        assert!((0..100).all(|_| digest(&sample()) == first));
        let mut other = sample();
        other.insert("a/x", *b"changed").unwrap();
        assert_ne!(digest(&other), first);
    }

    #[test]
    fn long_and_foreign_names_survive_the_round_trip() {
        let mut tree = FileTree::default();
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(90));
        for name in [long.as_str(), &"n".repeat(180), "naïve/日本.yaml", &format!("{}/é", "p/".repeat(40) + "q")] {
            tree.insert(name, name.as_bytes()).unwrap();
        }
        assert_eq!(unpack(&pack(&tree), &Unpack::default()).unwrap(), tree);
    }

    #[test]
    fn empty_directories_stay_when_named() {
        let mut out = Vec::new();
        write_tar(&FileTree::default(), ["a/b"], &mut out).unwrap();
        let mut archive = tar::Archive::new(&*out);
        let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
        assert_eq!(names.collect::<Vec<_>>(), [".", "a", "a/b"]);
    }
}
