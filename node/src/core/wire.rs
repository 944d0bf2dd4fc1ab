//! Bytes on the wire: a version byte, then bincode. The only place that names the encoding.
//!
//! A frame is bounded before it is decoded, decoding cannot allocate more than the bound, and trailing bytes are refused.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};

/// Version of everything sent: a frame of another one is refused.
pub const VERSION: u8 = 6;
/// Largest frame over a link, in bytes.
pub const FRAME_MAX: usize = 64 * 1024;
/// Largest discovery datagram, in bytes: fits an Ethernet frame.
pub const DATAGRAM_MAX: usize = 1_400;

const CONFIG: Configuration<LittleEndian, Varint, Limit<FRAME_MAX>> =
    bincode::config::standard().with_limit::<FRAME_MAX>();

/// Why bytes are not a message, or a message has no frame. Nothing has changed here.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No bytes at all.
    #[error("an empty frame")]
    Empty,
    /// The frame is longer than [`FRAME_MAX`].
    #[error("a frame of {0} bytes, more than {FRAME_MAX}")]
    TooLong(usize),
    /// Another version of the protocol.
    #[error("wire version {0}, this node speaks {VERSION}")]
    Version(u8),
    /// Bytes after the message's end.
    #[error("{0} bytes after the end of the message")]
    Trailing(usize),
    /// The bytes are not an encoded message.
    #[error("not a message")]
    Malformed(#[from] bincode::error::DecodeError),
    /// The message's own `Encode` failed; the caller is at fault.
    #[error("the message cannot be encoded")]
    Unencodable(#[from] bincode::error::EncodeError),
}

/// The frame that holds `message`.
///
/// # Errors
/// If the frame would be longer than [`FRAME_MAX`], or the message cannot be encoded at all.
pub fn encode<T: Encode>(message: &T) -> Result<Vec<u8>, WireError> {
    let mut frame = vec![VERSION];
    bincode::encode_into_std_write(message, &mut frame, CONFIG)?;
    if frame.len() > FRAME_MAX { Err(WireError::TooLong(frame.len())) } else { Ok(frame) }
}

/// Length of the frame that [`encode`] would make, in bytes, without making it.
///
/// # Errors
/// As [`encode`].
pub fn encoded_len<T: Encode>(message: &T) -> Result<usize, WireError> {
    let mut size = bincode::enc::write::SizeWriter::default();
    bincode::encode_into_writer(message, &mut size, CONFIG)?;
    let length = 1 + size.bytes_written;
    if length > FRAME_MAX { Err(WireError::TooLong(length)) } else { Ok(length) }
}

/// The message in `frame`.
///
/// # Errors
/// If it is not exactly one message of this version.
pub fn decode<T: Decode<()>>(frame: &[u8]) -> Result<T, WireError> {
    if frame.len() > FRAME_MAX {
        return Err(WireError::TooLong(frame.len()));
    }
    match frame.split_first() {
        None => Err(WireError::Empty),
        Some((&VERSION, body)) => {
            let (message, used) = bincode::decode_from_slice(body, CONFIG)?;
            if used < body.len() { Err(WireError::Trailing(body.len() - used)) } else { Ok(message) }
        }
        Some((&version, _)) => Err(WireError::Version(version)),
    }
}
