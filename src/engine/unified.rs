//! Patches as git prints them, so that people can read them and `git apply` can take them.

use similar::TextDiff;

/// The patch of one file, three lines of context around each change; empty when nothing differs.
pub fn patch(path: &str, old: &[u8], new: &[u8]) -> String {
    if old == new {
        return String::new();
    }
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return format!("Binary files a/{path} and b/{path} differ\n");
    };
    let diff = TextDiff::from_lines(old, new);
    let (from, to) = (format!("a/{path}"), format!("b/{path}"));
    format!("diff --git {from} {to}\n{}", diff.unified_diff().context_radius(3).header(&from, &to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_has_headers_context_and_missing_line_ends() {
        assert_eq!(
            patch("a/x.yaml", b"1\n2\n3\n4\n5\nold", b"1\n2\n3\n4\n5\nnew"),
            "diff --git a/a/x.yaml b/a/x.yaml\n--- a/a/x.yaml\n+++ b/a/x.yaml\n@@ -3,4 +3,4 @@\n 3\n 4\n 5\n-old\n\
             \\ No newline at end of file\n+new\n\\ No newline at end of file\n"
        );
        assert_eq!(patch("x", b"a\r\n", b"a\r\n"), "");
        assert!(patch("x", b"a\r\nb\r\n", b"a\r\nc\r\n").contains("-b\r\n+c\r\n"));
    }
}
