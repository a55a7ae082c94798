//! Damaged archives, read by weir and by two parsers that share no code with it: the same files, or a refusal.
//!
//! `WEIR_TEST_TAR_MUTANTS=10000` runs more of them. Without `tar` or `python3` that reader is skipped, and said so.

use std::io::Write;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use weir::engine::archive::{Unpack, unpack};

fn member(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// An archive of a few honest members with bytes changed here and there; most keep valid header checksums.
fn mutant() -> impl Strategy<Value = Vec<u8>> {
    let member = prop_oneof![
        4 => ("[a-c]{1,3}(/[a-c]{1,2})?", proptest::collection::vec(any::<u8>(), 0..600))
            .prop_map(|(name, content)| member(&name, b'0', &content)),
        1 => "[d-e]{1,2}/".prop_map(|name| member(&name, b'5', b"")),
        1 => "[a-c]{1,9}".prop_map(|name| {
            let rest = format!(" path={name}\n");
            let length = (rest.len() + 1..).find(|n| n.to_string().len() + rest.len() == *n).unwrap();
            member("x", b'x', format!("{length}{rest}").as_bytes())
        }),
        1 => "[a-c]{101,120}".prop_map(|name| member("././@LongLink", b'L', format!("{name}\0").as_bytes())),
    ];
    let change = (any::<prop::sample::Index>(), any::<u8>(), any::<bool>());
    (proptest::collection::vec(member, 1..5), proptest::collection::vec(change, 0..3)).prop_map(|(members, changes)| {
        let mut bytes = members.concat();
        for (at, value, mend) in changes {
            // Half of the changes hit headers, whose checksum is then put right, or nobody would read on.
            let blocks = bytes.len() / 512;
            let at = if mend { at.index(blocks) * 512 + at.index(345) } else { at.index(bytes.len()) };
            bytes[at] = value;
            if mend {
                let block = &mut bytes[at / 512 * 512..][..512];
                block[148..156].fill(b' ');
                let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        bytes.extend_from_slice(&[0; 1024]);
        bytes
    })
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

/// Reads tars, each behind its length in four bytes, and prints the files of each as a line of JSON.
const PYTHON: &str = r"
import hashlib, io, json, struct, sys, tarfile
data = sys.stdin.buffer
while head := data.read(4):
    raw = data.read(struct.unpack('>I', head)[0])
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode='r:', errorlevel=2) as t:
            for m in t:
                if m.isfile():
                    m.name.encode()
                    files[m.name] = hashlib.sha256(t.extractfile(m).read()).hexdigest()
        print(json.dumps(files))
    except Exception as e:
        print(json.dumps(None))
";

type Files = std::collections::BTreeMap<String, String>;

fn as_python_reads(mutants: &[Vec<u8>]) -> Option<Vec<Option<Files>>> {
    let mut child =
        Command::new("python3").args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut input = child.stdin.take()?;
    let bytes: Vec<u8> = mutants
        .iter()
        .flat_map(|tar| [&u32::try_from(tar.len()).unwrap().to_be_bytes(), tar.as_slice()].concat())
        .collect();
    let writing = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().ok()?;
    writing.join().unwrap().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The names of regular files as GNU tar lists them.
fn as_tar_reads(tar: &[u8]) -> Option<Option<Vec<String>>> {
    let command = ["--quoting-style=literal", "-tvf", "-"];
    let mut child = Command::new("tar")
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(tar).ok();
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // Mode, owner, size, day, time, and the rest is the name.
    let line = regex::Regex::new(r"(?m)^-\S+ \S+ +\d+ \S+ \S+ (.*)$").unwrap();
    let names = line.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    Some(output.status.success().then_some(names))
}

#[test]
fn what_is_read_is_what_others_read() {
    let count = std::env::var("WEIR_TEST_TAR_MUTANTS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let mut runner = TestRunner::deterministic();
    let strategy = mutant();
    let mutants: Vec<Vec<u8>> = (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    let python = as_python_reads(&mutants);
    if python.is_none() {
        eprintln!("skipped: there is no python3 to read archives beside weir");
    }
    let (mut accepted, mut listed) = (0, 0);
    for (number, tar) in mutants.iter().enumerate() {
        let Ok(tree) = unpack(&gzip(tar), &Unpack::default()) else { continue };
        accepted += 1;
        let digest = |bytes: &[u8]| weir::base::Digest::sha256(bytes).hex.clone();
        let own: Files = tree.iter().map(|(path, file)| (path.to_owned(), digest(&file.bytes).to_string())).collect();
        if let Some(others) = &python {
            assert_eq!(
                Some(&own),
                others[number].as_ref(),
                "python3 reads mutant {number} otherwise: {}",
                tar.escape_ascii()
            );
        }
        if let Some(names) = as_tar_reads(tar) {
            let mut names = names.unwrap_or_else(|| panic!("tar refuses mutant {number}: {own:?}"));
            names.sort();
            names.dedup();
            assert_eq!(own.keys().cloned().collect::<Vec<_>>(), names, "tar reads mutant {number} otherwise");
            listed += 1;
        }
    }
    println!("{accepted} of {count} mutants were accepted, {listed} of them listed by tar too");
    assert!(accepted > count / 10, "too few mutants are honest enough to compare: {accepted}");
}
