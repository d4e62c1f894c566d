//! An import in pieces of any size, cut into lines. A line that is too long is refused before it is all there.

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, Fuse};
use inboxclaw_contract::limits::JSON_BYTES;

use crate::error::EditError;

/// What an import reads: JSON Lines in pieces of any size.
pub type Lines = BoxStream<'static, std::io::Result<Bytes>>;

/// Longest line: a value whose every byte had to be escaped, its key and the rest.
pub(crate) const LINE_BYTES: usize = 2 * JSON_BYTES + (64 << 10);

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Reads lines.
pub(crate) struct Reader {
    /// Asked again after its end, by a last line without one: not every stream can bear that by itself.
    lines: Fuse<Lines>,
    piece: Bytes,
    /// The beginning of a line whose end is not there yet.
    line: Vec<u8>,
    /// The number of the line that was read last, from 1.
    number: u64,
}

impl Reader {
    pub(crate) fn new(lines: Lines) -> Self {
        Self { lines: lines.fuse(), piece: Bytes::new(), line: Vec::new(), number: 0 }
    }

    /// The error that this is wrong with the line that was read last.
    pub(crate) fn wrong(&self, reason: impl Into<String>) -> EditError {
        EditError::Line { line: self.number, reason: reason.into() }
    }

    /// The next line that is not blank; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, EditError> {
        while let Some(line) = self.raw().await? {
            let line = match line.strip_prefix(BOM) {
                Some(rest) if self.number == 1 => rest.to_vec(),
                _ => line,
            };
            let line = String::from_utf8(line).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                self.wrong(format!("no UTF-8 at byte {at}"))
            })?;
            if !line.trim().is_empty() {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// The next line without its end, as it is.
    async fn raw(&mut self) -> Result<Option<Vec<u8>>, EditError> {
        loop {
            let end = self.piece.iter().position(|&byte| byte == b'\n');
            let part = end.unwrap_or(self.piece.len());
            if self.line.len() + part > LINE_BYTES {
                self.number += 1;
                return Err(self.wrong(format!("the line has more than {LINE_BYTES} bytes")));
            }
            self.line.extend_from_slice(&self.piece[..part]);
            self.piece.advance(part + usize::from(end.is_some()));
            if end.is_some() {
                self.number += 1;
                return Ok(Some(std::mem::take(&mut self.line)));
            }
            match self.lines.next().await {
                Some(piece) => self.piece = piece.map_err(|error| EditError::Input(error.to_string()))?,
                None if self.line.is_empty() => return Ok(None),
                None => {
                    self.number += 1;
                    return Ok(Some(std::mem::take(&mut self.line)));
                }
            }
        }
    }
}
