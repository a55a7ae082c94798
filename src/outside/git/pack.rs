//! A pack of new objects, as a server takes it: whole objects, no deltas, a checksum at the end.
//!
//! Source: git's pack format (gitformat-pack). Start with [`pack`].

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use gix::objs::Kind;

/// An object that is not at the server yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct New {
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

/// Encodes objects.
///
/// Errors only when memory cannot be written.
pub(super) fn pack(objects: &[New]) -> io::Result<Vec<u8>> {
    let mut out = b"PACK\0\0\0\x02".to_vec();
    out.extend_from_slice(&u32::try_from(objects.len()).unwrap_or(u32::MAX).to_be_bytes());
    for object in objects {
        let code: u8 = match object.kind {
            Kind::Commit => 1,
            Kind::Tree => 2,
            Kind::Blob => 3,
            Kind::Tag => 4,
        };
        let mut size = object.bytes.len();
        let mut byte = (code << 4) | u8::try_from(size & 15).unwrap_or_default();
        size >>= 4;
        while size > 0 {
            out.push(byte | 128);
            byte = u8::try_from(size & 127).unwrap_or_default();
            size >>= 7;
        }
        out.push(byte);
        let mut deflated = ZlibEncoder::new(&mut out, Compression::default());
        deflated.write_all(&object.bytes)?;
        deflated.finish()?;
    }
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(&out);
    let sum = hasher.try_finalize().map_err(io::Error::other)?;
    out.extend_from_slice(sum.as_slice());
    Ok(out)
}
