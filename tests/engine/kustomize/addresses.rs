//! What kustomize takes for the address of a repository. Facts of its api/internal/git.

use weir::engine::kustomize::RemoteAddress;

#[test]
fn addresses_are_taken_apart_as_kustomize_does() {
    for (text, repository, directory, reference) in [
        ("https://github.com/org/repo", "https://github.com/org/repo", "", ""),
        ("hTTps://GitHub.com/org/repo/a/b?ref=v1", "https://github.com/org/repo", "a/b", "v1"),
        ("github.com/org/repo//a", "https://github.com/org/repo", "a", ""),
        ("github.com:org/repo/a", "https://github.com/org/repo", "a", ""),
        ("git@github.com:org/repo.git/a?version=v2", "git@github.com:org/repo.git", "a", "v2"),
        ("git@github.com/org/repo/a", "git@github.com:org/repo", "a", ""),
        ("ssh://git@github.com/org/repo//a?ref=v1", "git@github.com:org/repo", "a", "v1"),
        ("org-1@github.com/org/repo", "org-1@github.com:org/repo", "", ""),
        ("git::https://host.example/c/_git/repo/dir?version=1", "https://host.example/c/_git/repo", "dir", "1"),
        ("https://host.example/scm/project/repo.git", "https://host.example/scm/project/repo.git", "", ""),
        ("https://user@host.example/p/_git/repo//a/b", "https://user@host.example/p/_git/repo", "a/b", ""),
        ("https://host.example/path/to/repo//a/b", "https://host.example/path/to/repo", "a/b", ""),
        ("https://host.example/org/repo/a?ref=x/.git/y", "https://host.example/org/repo", "a", "x/.git/y"),
        ("git@host.example:group/sub/repo.git//a", "git@host.example:group/sub/repo.git", "a", ""),
        ("git@host.example/user:name/repo.git/a", "git@host.example/user:name/repo.git", "a", ""),
        ("ssh://alice@host.example:2222/a/b//c", "ssh://alice@host.example:2222/a/b", "c", ""),
        ("file:///srv/repo?ref=main", "file:///srv/repo", "", "main"),
        ("file:///srv/repo.git/a", "file:///srv/repo.git", "a", ""),
        ("https://host.example/org/repo?version=a&ref=b", "https://host.example/org/repo", "", "b"),
        ("https://host.example/org/repo/a?ref=%2", "https://host.example/org/repo", "a", ""),
    ] {
        let found = RemoteAddress::parse(text).unwrap_or_else(|| panic!("{text} is an address"));
        assert_eq!(
            (found.repository.as_str(), found.directory.as_str(), found.reference.as_str()),
            (repository, directory, reference),
            "{text}"
        );
    }
}

#[test]
fn paths_are_no_addresses() {
    for text in [
        "",
        "../base",
        "base",
        "base/sub",
        "/abs/path.git",
        "./a.yaml",
        "a:b/c",
        "https://host.example/only",
        "https://",
        "https://host.example/org/repo//../../x",
        "https://host.example/org/repo.git/../x",
        "ftp://host.example/org/repo",
        "git::",
        "@host:org/repo",
    ] {
        assert_eq!(RemoteAddress::parse(text), None, "{text}");
    }
}

#[test]
fn queries_say_how_to_fetch() {
    let parse = |query: &str| RemoteAddress::parse(&format!("https://host.example/org/repo?{query}")).unwrap();
    for (query, seconds, submodules) in [
        ("", 27, true),
        ("timeout=61", 61, true),
        ("timeout=1m1s&submodules=0", 61, false),
        ("timeout=0&submodules=no", 27, true),
        ("timeout=-3s&submodules=False", 27, false),
        ("timeout=99999999999999999999", 27, true),
    ] {
        let found = parse(query);
        assert_eq!((found.timeout.as_secs(), found.submodules), (seconds, submodules), "{query}");
    }
}
