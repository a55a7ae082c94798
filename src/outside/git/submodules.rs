//! Submodules: which repository stands behind a commit that a tree names, and whether it may be asked.
//!
//! `.gitmodules` is content of a foreign repository: of it only `path` and `url` are read, everything else (update
//! commands, branches) is ignored, and a URL is held to the same rules as one that a person writes. Start with [`Modules::add`].

use gix::bstr::ByteSlice;
use gix::hash::ObjectId;
use gix::objs::FindExt;

use crate::base::{FileTree, Text};

use super::error::GitError;
use super::history::read_commit;
use super::origin::{Origin, Scratch};
use super::stop::Stop;
use super::tree::{Link, Read, Source, damaged, read_tree};
use super::url::{GitUrl, Scheme};
use super::{CheckoutOptions, Remote};

/// Bytes of a `.gitmodules` file that are read.
const FILE_BYTES: usize = 1 << 20;

/// A submodule with its place and its address.
#[derive(Clone, Debug)]
struct Submodule {
    link: Link,
    url: GitUrl,
}

/// Repositories that one checkout may take in.
const SUBMODULES: usize = 1000;

/// Takes submodules in, and theirs, under one budget.
pub(super) struct Modules<'a> {
    pub options: &'a CheckoutOptions,
    pub stop: &'a Stop,
    pub scratch: &'a Scratch,
    pub seen: usize,
    pub read: &'a mut Read,
}

impl Modules<'_> {
    /// Fetches the submodules that were read last; `source` and `root` are the commit that names them.
    ///
    /// Errors when one may not be asked, cannot be fetched, or lies too deep.
    pub(super) fn add(
        &mut self,
        remote: &Remote,
        source: &Source<'_>,
        root: ObjectId,
        prefix: &str,
        depth: usize,
    ) -> Result<(), GitError> {
        let limits = &self.options.limits;
        // The file lies at the root, which a sparse checkout may leave out.
        let listing = gitmodules(source, root)?;
        let links = std::mem::take(&mut self.read.links);
        for module in read(&listing, links, prefix, &remote.url)? {
            let path = module.link.path.clone();
            let within = |error: GitError| match error {
                stopped @ (GitError::Timeout { .. } | GitError::Limit { .. } | GitError::Submodule { .. }) => stopped,
                error => GitError::Submodule { path: clean(&path), why: error.to_string() },
            };
            self.seen += 1;
            if depth > limits.submodule_depth || self.seen > SUBMODULES {
                let limit = limits.submodule_depth as u64;
                return Err(GitError::Limit { what: "submodules within each other", limit });
            }
            let sub = remote.for_submodule(module.url);
            let scratch = self.scratch.another()?;
            let mut origin = Origin::open(&sub, limits, self.stop).map_err(within)?;
            let objects = origin.commit(module.link.commit, &scratch, limits, self.stop).map_err(within)?;
            let (_, root) = read_commit(&objects, module.link.commit).map_err(within)?;
            let source = Source { objects: &objects, limits, sparse: &[], stop: self.stop };
            let prefix = format!("{}/", module.link.path);
            read_tree(&source, root, &prefix, self.read).map_err(within)?;
            self.add(&sub, &source, root, &prefix, depth + 1)?;
        }
        Ok(())
    }
}

/// The `.gitmodules` of a commit alone in a tree.
fn gitmodules(source: &Source<'_>, root: ObjectId) -> Result<FileTree, GitError> {
    let mut buffer = Vec::new();
    let entries = source.objects.find_tree_iter(&root, &mut buffer).map_err(|e| damaged(&e))?;
    let mut found = FileTree::default();
    for entry in entries {
        let entry = entry.map_err(|e| damaged(&e))?;
        if entry.filename == ".gitmodules" && entry.mode.is_blob() {
            let mut content = Vec::new();
            source.objects.find_blob(entry.oid, &mut content).map_err(|e| damaged(&e))?;
            found.insert(".gitmodules", content).ok();
        }
    }
    Ok(found)
}

/// Finds the addresses of the named commits. A commit that `.gitmodules` does not mention stays an empty directory.
///
/// Errors on a malformed file and on an address that may not be asked.
fn read(tree: &FileTree, links: Vec<Link>, prefix: &str, parent: &GitUrl) -> Result<Vec<Submodule>, GitError> {
    let Some(file) = tree.get(".gitmodules") else { return Ok(Vec::new()) };
    let listed = parse(&file.bytes, prefix)?;
    let mut found = Vec::new();
    for link in links {
        let own = link.path.strip_prefix(prefix).unwrap_or(&link.path);
        if let Some((_, url)) = listed.iter().find(|(path, _)| path == own) {
            let url = address(url, &link.path, parent)?;
            found.push(Submodule { link, url });
        }
    }
    Ok(found)
}

fn parse(bytes: &[u8], prefix: &str) -> Result<Vec<(String, String)>, GitError> {
    let refuse = |path: &str, why: &str| GitError::Submodule { path: clean(path), why: why.to_owned() };
    let file = format!("{prefix}.gitmodules");
    if bytes.len() > FILE_BYTES {
        return Err(refuse(&file, "the file is larger than 1 MiB"));
    }
    let meta = gix::config::file::Metadata::from(gix::config::Source::Api);
    let config = gix::config::File::from_bytes_no_includes(bytes, meta, Default::default())
        .map_err(|_| refuse(&file, "the file cannot be read"))?;
    let mut listed = Vec::new();
    for section in config.sections_by_name("submodule").into_iter().flatten() {
        let text = |key: &str| section.value(key).map(|value| value.to_str_lossy().into_owned());
        let (Some(path), Some(url)) = (text("path"), text("url")) else { continue };
        if path.chars().any(char::is_control) || FileTree::resolve("", &path).as_deref() != Some(path.as_str()) {
            return Err(refuse(&path, "its path is not plain"));
        }
        listed.push((path, url));
    }
    Ok(listed)
}

fn address(url: &str, path: &str, parent: &GitUrl) -> Result<GitUrl, GitError> {
    let refuse = |why: String| GitError::Submodule { path: clean(path), why };
    let address = parent.join(url).map_err(|e| refuse(e.to_string()))?;
    match address.scheme {
        // A local repository may lead to its neighbours; a remote one never to this machine.
        Scheme::File if parent.scheme != Scheme::File => Err(refuse("a file URL is not allowed".into())),
        Scheme::Http if parent.scheme == Scheme::Https => Err(refuse("it leaves https".into())),
        _ => Ok(address),
    }
}

fn clean(text: &str) -> String {
    Text::new(text.chars().take(256).collect::<String>()).into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submodules(file: &str) -> Result<Vec<String>, GitError> {
        let tree: FileTree = [(".gitmodules", file)].into_iter().collect();
        let id = gix::hash::ObjectId::null(gix::hash::Kind::Sha1);
        let links = vec![Link { path: "lib".into(), commit: id }];
        let parent = GitUrl::parse("https://user:pw@git.example.org/team/app.git").unwrap();
        Ok(read(&tree, links, "", &parent)?.into_iter().map(|found| found.url.to_string()).collect())
    }

    fn with_url(url: &str) -> Result<Vec<String>, GitError> {
        submodules(&format!("[submodule \"lib\"]\n\tpath = lib\n\turl = \"{url}\"\n"))
    }

    #[test]
    fn honest_addresses_are_found() {
        assert_eq!(with_url("../lib.git").unwrap(), ["https://git.example.org/team/lib.git"]);
        assert_eq!(with_url("https://other.org/x").unwrap(), ["https://other.org/x"]);
        assert_eq!(with_url("ssh://git@other.org/x").unwrap(), ["ssh://other.org/x"]);
        assert!(submodules("[submodule \"x\"]\n\tpath = other\n\turl = https://o/x\n").unwrap().is_empty());
        assert!(submodules("# nothing\n").unwrap().is_empty());
    }

    #[test]
    fn hostile_addresses_are_refused() {
        for url in [
            "ext::sh -c id",
            "file:///etc",
            "/etc",
            "-oProxyCommand=id",
            "ssh://-oProxyCommand=id/x",
            "--upload-pack=id",
            "http://git.example.org/x",
            "../../../x",
            "../../..",
            "git@host:path",
            "host:path",
            "fd::17",
            "ftp://h/x",
            "https://h/%0ax",
            "https://h/../x",
            "javascript:x",
            "ssh://h/`id`",
            "ssh://h/-x",
            "https://h/x?y",
            "",
            "./../../../../evil.org/x",
            "https://-h/x",
            "ssh://-u@h/x",
        ] {
            assert!(with_url(url).is_err(), "{url:?}");
        }
        for path in ["../lib", "/lib", "a/../lib", "lib\\r", ".", "a//b", "a/./b"] {
            let file = format!("[submodule \"lib\"]\n\tpath = \"{path}\"\n\turl = https://o/x\n");
            let outcome = submodules(&file);
            assert!(outcome.is_err() || outcome.unwrap().is_empty(), "{path:?}");
        }
        assert!(submodules("[submodule \"lib\"\n\tpath").is_err());
    }
}
