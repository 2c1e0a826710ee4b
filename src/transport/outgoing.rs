//! Frames that wait to be written to one socket.
//!
//! Small frames are encoded back to back into one buffer, so that a batch of answers leaves in one
//! `write`; a large body stays where it lies and leaves by `writev`.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::trimmed::Trimmed;
use crate::remoting::{self, Command};

/// From this size on, copying a body costs more than one more slice in a `writev`.
const OWN_SLICE_BYTES_MIN: usize = 8 << 10;
/// Slices of one `writev`.
const SLICES_MAX: usize = 64;
/// The buffer that a queue keeps for its next frames, however little it holds.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// A queue of encoded frames.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Full pieces, oldest first.
    pieces: VecDeque<Bytes>,
    /// What follows the pieces.
    tail: Trimmed,
    /// Bytes of both.
    len: usize,
}

impl Outgoing {
    /// Appends one frame; whether it is that of the command, whose header may be too long for one.
    pub(super) fn push(&mut self, command: &Command) -> bool {
        let before = self.tail.len();
        let is_small = command.body.len() < OWN_SLICE_BYTES_MIN;
        let is_whole = if is_small {
            remoting::encode(command, self.tail.end())
        } else {
            remoting::encode_head(command, self.tail.end())
        };
        self.len += self.tail.len() - before;
        if is_whole && !is_small {
            self.len += command.body.len();
            self.pieces.push_back(self.tail.split());
            self.pieces.push_back(command.body.clone());
        }
        is_whole
    }

    /// Bytes not written yet.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes once, as much as the socket takes.
    pub(super) fn poll_write<W: AsyncWrite>(
        &mut self,
        socket: Pin<&mut W>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let written = if self.pieces.is_empty() {
            ready!(socket.poll_write(context, &self.tail))?
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let pieces = self.pieces.iter().map(Bytes::as_ref).chain([&*self.tail]);
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(pieces) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            ready!(socket.poll_write_vectored(context, &slices[..count]))?
        };
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, written: usize) {
        self.len -= written;
        let mut left = written;
        while let Some(piece) = self.pieces.front_mut() {
            if left < piece.len() {
                piece.advance(left);
                return;
            }
            left -= piece.len();
            self.pieces.pop_front();
        }
        self.tail.advance(left, KEPT_BYTES_MAX);
    }

    /// Gives the memory back if nothing is queued.
    pub(super) fn trim(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    /// Takes a few bytes of each write.
    struct Narrow(Vec<u8>);

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(700);
            self.0.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn small_and_large_frames_leave_in_order_over_partial_writes() {
        let mut outgoing = Outgoing::default();
        let mut expected = BytesMut::new();
        for size in [10, 9_000, 0, 20_000, 30] {
            let command =
                Command::response(size).with_body(vec![7; usize::try_from(size).unwrap()]);
            outgoing.push(&command);
            remoting::encode(&command, &mut expected);
        }
        assert_eq!(outgoing.len(), expected.len());
        let mut socket = Narrow(Vec::new());
        let mut context = Context::from_waker(std::task::Waker::noop());
        while !outgoing.is_empty() {
            let Poll::Ready(written) = outgoing.poll_write(Pin::new(&mut socket), &mut context)
            else {
                panic!("this socket is always writable");
            };
            assert!(written.unwrap() > 0);
        }
        assert_eq!(socket.0, expected);
    }

    #[test]
    fn no_body_follows_a_header_that_is_too_long() {
        for size in [10, 9_000] {
            let mut outgoing = Outgoing::default();
            let long = Command::response(0).with_remark("\u{1}".repeat(3 << 20));
            assert!(!outgoing.push(&long.with_body(vec![7; size])));
            assert!(outgoing.pieces.is_empty());
            assert_eq!(remoting::frame_length(&outgoing.tail, 1 << 24), Ok(Some(outgoing.len())));
        }
    }
}
