//! Bodies that are packed, as servers pack them: by gzip, which is what we ask for, under any of its names, in several
//! members, with something behind the last one; and by deflate, whatever each server takes that for.

use std::io::{self, Read};

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

/// What gzip begins with (RFC 1952, section 2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentEncoding {
    Gzip,
    Deflate,
}

impl ContentEncoding {
    /// Reads a `Content-Encoding`; `None` when there is none that matters. Values that are no encoding, such as
    /// `utf-8`, do not matter.
    ///
    /// # Errors
    /// The name of an encoding that nobody asked for.
    pub(super) fn of(header: &str) -> Result<Option<Self>, String> {
        let names = header.split(',').map(|name| name.trim().to_ascii_lowercase());
        names.into_iter().try_fold(None, |found, name| match name.as_str() {
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "deflate" => Ok(Some(Self::Deflate)),
            "br" | "zstd" | "compress" | "x-compress" | "dcb" | "dcz" => Err(name),
            _ => Ok(found),
        })
    }
}

/// Whether a body is packed by gzip.
pub(super) fn is_gzip(body: &[u8]) -> bool {
    body.starts_with(GZIP)
}

/// Unpacks a body; `None` when it is longer than `limit` bytes, of which no more are held. A body that only claims to
/// be packed is given back as it is.
///
/// # Errors
/// When it breaks off or is broken.
pub(super) fn unpack(body: Vec<u8>, packing: ContentEncoding, limit: usize) -> io::Result<Option<Vec<u8>>> {
    match packing {
        ContentEncoding::Gzip if is_gzip(&body) => members(&body, limit),
        ContentEncoding::Gzip => Ok(Some(body)),
        ContentEncoding::Deflate => match part(ZlibDecoder::new(&*body), Vec::new(), limit) {
            Ok(unpacked) => Ok(unpacked),
            // What the standard means is zlib (RFC 9110, section 8.4.1.2); many servers send it without its head.
            Err(_) => part(DeflateDecoder::new(&*body), Vec::new(), limit),
        },
    }
}

/// One member after another. What follows and is none is not ours.
fn members(body: &[u8], limit: usize) -> io::Result<Option<Vec<u8>>> {
    let (mut rest, mut out) = (body, Vec::new());
    while is_gzip(rest) {
        let mut member = GzDecoder::new(rest);
        let Some(longer) = part(&mut member, out, limit)? else { return Ok(None) };
        out = longer;
        rest = member.into_inner();
    }
    Ok(Some(out))
}

fn part(packed: impl Read, mut out: Vec<u8>, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let room = (limit - out.len()) as u64 + 1;
    packed.take(room).read_to_end(&mut out)?;
    Ok((out.len() <= limit).then_some(out))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn names_are_compared_without_case() {
        for (header, packing) in [
            ("GZIP", Ok(Some(ContentEncoding::Gzip))),
            (" x-gzip ", Ok(Some(ContentEncoding::Gzip))),
            ("identity, gzip", Ok(Some(ContentEncoding::Gzip))),
            ("Deflate", Ok(Some(ContentEncoding::Deflate))),
            ("", Ok(None)),
            ("utf-8", Ok(None)),
            ("br", Err("br".to_owned())),
        ] {
            assert_eq!(ContentEncoding::of(header), packing, "{header}");
        }
    }

    #[test]
    fn members_are_one_text_and_what_follows_is_not() {
        let two = [gzip(b"ab"), gzip(b"cd"), b"\0\0junk".to_vec()].concat();
        assert_eq!(unpack(two.clone(), ContentEncoding::Gzip, 4).unwrap().unwrap(), b"abcd");
        assert_eq!(unpack(two, ContentEncoding::Gzip, 3).unwrap(), None);
        assert_eq!(unpack(b"plain".to_vec(), ContentEncoding::Gzip, 9).unwrap().unwrap(), b"plain");
        let mut cut = gzip(b"abcd");
        cut.truncate(cut.len() - 9);
        assert!(unpack(cut, ContentEncoding::Gzip, 9).is_err());
    }

    #[test]
    fn deflate_is_read_with_and_without_its_head() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(b"abcd").unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(b"abcd").unwrap();
        for packed in [zlib.finish().unwrap(), raw.finish().unwrap()] {
            assert_eq!(unpack(packed, ContentEncoding::Deflate, 4).unwrap().unwrap(), b"abcd");
        }
    }
}
