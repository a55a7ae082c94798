//! DER and PEM, as much of them as keys and certificates need.
//!
//! Must not know what a certificate is. Start with [`seq`] to write and [`Reader`] to read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const LINE: usize = 64;

/// An element: tag, length, content.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let size = content.len();
    if size < 0x80 {
        out.push(u8::try_from(size).unwrap_or_default());
    } else {
        let bytes = size.to_be_bytes();
        let skip = bytes.iter().take_while(|byte| **byte == 0).count();
        out.push(0x80 | u8::try_from(bytes.len() - skip).unwrap_or_default());
        out.extend_from_slice(&bytes[skip..]);
    }
    out.extend_from_slice(content);
    out
}

pub(super) fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

/// A whole number, not negative, from its bytes with the highest first.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let skip = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut content = bytes[skip.min(bytes.len().saturating_sub(1))..].to_vec();
    if content.first().is_none_or(|first| *first >= 0x80) {
        content.insert(0, 0);
    }
    element(0x02, &content)
}

pub(super) fn bits(content: &[u8], unused: u8) -> Vec<u8> {
    element(0x03, &[&[unused], content].concat())
}

pub(super) fn octets(content: &[u8]) -> Vec<u8> {
    element(0x04, content)
}

/// Reads elements one after the other.
#[derive(Clone, Copy)]
pub(super) struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    /// The next element with this tag: its content, and the whole of it.
    pub fn next(&mut self, wanted: u8) -> Option<(Reader<'b>, &'b [u8])> {
        let (tag, first) = (*self.0.first()?, *self.0.get(1)?);
        let (size, start) = match first {
            short if short < 0x80 => (usize::from(short), 2),
            long => {
                let count = usize::from(long & 0x7f);
                let bytes = self.0.get(2..2 + count).filter(|_| (1..=4).contains(&count))?;
                (bytes.iter().fold(0, |size, byte| size << 8 | usize::from(*byte)), 2 + count)
            }
        };
        let end = start.checked_add(size)?;
        let content = self.0.get(start..end)?;
        if tag != wanted {
            return None;
        }
        let whole = &self.0[..end];
        self.0 = &self.0[end..];
        Some((Reader(content), whole))
    }

    /// Passes an element that may be missing.
    pub fn skip(&mut self, tag: u8) {
        self.next(tag);
    }
}

pub(super) fn to_pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for start in (0..text.len()).step_by(LINE) {
        out.push_str(&text[start..text.len().min(start + LINE)]);
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// The label and the bytes of the first block.
pub(super) fn from_pem(text: &str) -> Option<(&str, Vec<u8>)> {
    let (label, rest) = text.split_once("-----BEGIN ")?.1.split_once("-----")?;
    let body = rest.split_once(&format!("-----END {label}-----"))?.0;
    // Headers, if any, end with an empty line.
    let body = if body.contains(':') { body.split_once("\n\n")?.1 } else { body };
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    Some((label, STANDARD.decode(body).ok()?))
}
