//! Keep: writes what a person looks at to a file, and never over another.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use super::{Refusal, refuse};
use crate::base::Text;

/// Files of one name, before a person is told to tidy up.
const MOST: u32 = 1_000;

/// Writes a text into a directory as `name.ending`, or `name-2.ending` and so on where that is taken; answers with the name.
///
/// Errors when the directory cannot be written.
pub fn keep(directory: &Path, name: &str, ending: &str, text: &str) -> Result<Text, Refusal> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = name.trim_start_matches('.').chars().map(plain).take(200).collect();
    for number in 1..=MOST {
        let file = if number == 1 { format!("{name}.{ending}") } else { format!("{name}-{number}.{ending}") };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(directory.join(&file)).and_then(|mut open| {
            open.write_all(text.as_bytes())?;
            open.sync_all()
        });
        match written {
            Ok(()) => return Ok(Text::new(file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(refuse(format!("{file} cannot be written: {error}"), "start weir elsewhere")),
        }
    }
    Err(refuse(format!("{name}.{ending} is there {MOST} times"), "remove some of them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_no_name_leads_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let kept = |name: &str| keep(directory.path(), name, "patch", "text\n").unwrap().into_string();
        assert_eq!([kept("a"), kept("a"), kept("a")], ["a.patch", "a-2.patch", "a-3.patch"]);
        assert_eq!(kept("../../b/c"), "-..-b-c.patch");
        assert_eq!(std::fs::read_to_string(directory.path().join("a-3.patch")).unwrap(), "text\n");
        assert!(keep(&directory.path().join("none"), "a", "txt", "").is_err());
    }
}
