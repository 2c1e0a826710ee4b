//! The offset message id: where a message is stored, as text (ST-020).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::model::PhysicalOffset;

/// An offset message id: store host and physical offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageId {
    /// The broker that stored the message.
    pub store_host: SocketAddr,
    /// Where in its log.
    pub offset: PhysicalOffset,
}

/// Not an offset message id: not 32 or 56 hexadecimal characters, or a port beyond 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an offset message id: 32 (IPv4) or 56 (IPv6) hexadecimal characters are needed")]
pub struct IdError;

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.store_host.ip() {
            IpAddr::V4(ip) => write!(f, "{:08X}", u32::from(ip))?,
            IpAddr::V6(ip) => write!(f, "{:032X}", u128::from(ip))?,
        }
        write!(f, "{:08X}{:016X}", self.store_host.port(), self.offset.0)
    }
}

impl FromStr for MessageId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(IdError);
        }
        let (ip, rest): (IpAddr, &str) = match text.len() {
            32 => {
                let bits = u32::from_str_radix(&text[..8], 16).map_err(|_| IdError)?;
                (IpAddr::V4(bits.into()), &text[8..])
            }
            56 => {
                let bits = u128::from_str_radix(&text[..32], 16).map_err(|_| IdError)?;
                (IpAddr::V6(bits.into()), &text[32..])
            }
            _ => return Err(IdError),
        };
        let port = u16::from_str_radix(&rest[..8], 16).map_err(|_| IdError)?;
        let offset = u64::from_str_radix(&rest[8..], 16).map_err(|_| IdError)?;
        Ok(Self { store_host: SocketAddr::new(ip, port), offset: PhysicalOffset(offset) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_round_trip() {
        let v4 = MessageId {
            store_host: "127.0.0.1:10911".parse().unwrap(),
            offset: PhysicalOffset(0x1234),
        };
        assert_eq!(v4.to_string(), "7F00000100002A9F0000000000001234");
        assert_eq!(v4.to_string().parse(), Ok(v4));
        let v6 =
            MessageId { store_host: "[::1]:10911".parse().unwrap(), offset: PhysicalOffset(7) };
        assert_eq!(v6.to_string().len(), 56);
        assert_eq!(v6.to_string().parse(), Ok(v6));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "zz", &"g".repeat(32), "7F000001FFFFFFFF0000000000001234", "é".repeat(16).as_str()]
        {
            assert_eq!(text.parse::<MessageId>(), Err(IdError), "{text}");
        }
    }
}
