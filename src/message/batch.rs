//! The body of a batch send: messages without topic and hosts, one after the other (B-121).

use bytes::{Buf, Bytes};

/// One message of a batch body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchItem {
    /// The user's flag.
    pub flag: i32,
    /// The message's body; shares the batch's memory.
    pub body: Bytes,
    /// The message's own properties text.
    pub properties: String,
}

/// A batch body whose lengths do not add up; nothing of it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed batch body at byte {at}")]
pub struct BatchError {
    /// Where the message begins that could not be read.
    pub at: usize,
}

/// Bytes of an item that has neither body nor properties.
const ITEM_FIXED_BYTES: usize = 4 * 5 + 2;

/// Reads all messages of a batch body.
///
/// # Errors
/// [`BatchError`] if any length is negative, too large or does not fit its item.
pub fn decode_batch(body: &Bytes) -> Result<Vec<BatchItem>, BatchError> {
    let mut rest = body.clone();
    let mut items = Vec::new();
    while rest.has_remaining() {
        let error = BatchError { at: body.len() - rest.len() };
        items.push(decode_item(&mut rest).ok_or(error)?);
    }
    Ok(items)
}

fn decode_item(rest: &mut Bytes) -> Option<BatchItem> {
    if rest.len() < ITEM_FIXED_BYTES {
        return None;
    }
    let total = usize::try_from(rest.get_i32()).ok()?;
    let _magic = rest.get_i32();
    let _body_crc = rest.get_i32();
    let flag = rest.get_i32();
    let body_bytes = usize::try_from(rest.get_i32()).ok()?;
    if rest.len() < body_bytes.checked_add(2)? {
        return None;
    }
    let body = rest.split_to(body_bytes);
    let properties_bytes = usize::try_from(rest.get_i16()).ok()?;
    if rest.len() < properties_bytes || total != ITEM_FIXED_BYTES + body_bytes + properties_bytes {
        return None;
    }
    let properties = String::from_utf8(rest.split_to(properties_bytes).to_vec()).ok()?;
    Some(BatchItem { flag, body, properties })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{BufMut, BytesMut};

    fn item(body: &[u8], properties: &str) -> BytesMut {
        let mut out = BytesMut::new();
        out.put_i32(i32::try_from(22 + body.len() + properties.len()).unwrap());
        out.put_slice(&[0; 8]);
        out.put_i32(5);
        out.put_i32(i32::try_from(body.len()).unwrap());
        out.put_slice(body);
        out.put_i16(i16::try_from(properties.len()).unwrap());
        out.put_slice(properties.as_bytes());
        out
    }

    #[test]
    fn items_are_read_in_order() {
        let mut bytes = item(b"one", "A\u{1}1");
        bytes.extend_from_slice(&item(b"", ""));
        let items = decode_batch(&bytes.freeze()).unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!((&items[0].body[..], items[0].properties.as_str()), (&b"one"[..], "A\u{1}1"));
        assert_eq!(items[0].flag, 5);
    }

    #[test]
    fn every_cut_is_refused() {
        let whole = item(b"body", "K\u{1}v").freeze();
        for end in 1..whole.len() {
            assert!(decode_batch(&whole.slice(..end)).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn negative_and_huge_lengths_are_refused() {
        for position in [0usize, 16] {
            for value in [-1i32, i32::MAX, i32::MIN] {
                let mut bytes = item(b"body", "");
                bytes[position..position + 4].copy_from_slice(&value.to_be_bytes());
                assert!(decode_batch(&bytes.freeze()).is_err());
            }
        }
    }
}
