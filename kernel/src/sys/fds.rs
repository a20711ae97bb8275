//! File descriptors: passing them from process to process, waiting for several at once, reading without waiting.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Makes reads give up instead of waiting.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&fd)?;
    Ok(fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?)
}

/// The outcome of a read that does not wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// The number of bytes read.
    Bytes(usize),
    /// Nothing at the moment.
    Empty,
    /// The other side has closed, or the descriptor is broken.
    Closed,
}

/// Reads what is there, from a non-blocking descriptor.
pub fn read_available(fd: impl AsFd, buffer: &mut [u8]) -> Read {
    loop {
        return match rustix::io::read(&fd, &mut *buffer) {
            Ok(0) => Read::Closed,
            Ok(count) => Read::Bytes(count),
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => Read::Empty,
            Err(_) => Read::Closed,
        };
    }
}

/// Waits until one of the descriptors can be read or has been closed; `None` waits for ever.
pub fn wait_readable(fds: &[BorrowedFd], timeout: Option<Duration>) {
    let mut entries: Vec<PollFd> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let millis = timeout.map(|time| time.as_millis().clamp(1, 60_000) as i64);
    let timeout = millis.map(|millis| Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 });
    // An interrupted wait is a short wait: callers look at every descriptor anyway.
    let _ = poll(&mut entries, timeout.as_ref());
}

/// Waits until the other side has closed the connection, whatever there is still to read.
pub fn wait_closed(socket: impl AsFd) {
    let mut entry = [PollFd::new(&socket, PollFlags::RDHUP)];
    while entry[0].revents().is_empty() {
        if poll(&mut entry, None).is_err_and(|error| error != Errno::INTR) {
            return;
        }
    }
}

/// Most descriptors that travel at once.
const MAX_FDS: usize = 4;

/// Sends `payload` (not empty) together with descriptors.
pub fn send_fds(socket: &UnixStream, payload: &[u8], fds: &[BorrowedFd]) -> io::Result<()> {
    assert!(fds.len() <= MAX_FDS && !payload.is_empty());
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(fds));
    rustix::net::sendmsg(socket, &[IoSlice::new(payload)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives what [`send_fds`] sent: the payload (at most 4 KiB) and the descriptors.
pub fn receive_fds(socket: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut payload = vec![0u8; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(&mut payload)];
    let received = rustix::net::recvmsg(socket, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let rights = |message| if let RecvAncillaryMessage::ScmRights(fds) = message { Some(fds) } else { None };
    let fds = control.drain().filter_map(rights).flatten().collect();
    payload.truncate(received.bytes);
    Ok((payload, fds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn a_descriptor_travels_through_a_socket() {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        send_fds(&near, b"hello", &[writer.as_fd()]).unwrap();
        drop(writer);
        let (payload, mut fds) = receive_fds(&far).unwrap();
        assert_eq!(payload, b"hello");
        let mut file = std::fs::File::from(fds.pop().unwrap());
        file.write_all(b"through").unwrap();
        drop(file);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn as_many_descriptors_as_travel_at_once_arrive_in_order() {
        let (near, far) = UnixStream::pair().unwrap();
        let pipes: Vec<_> = (0..MAX_FDS).map(|_| io::pipe().unwrap()).collect();
        let ends: Vec<BorrowedFd> = pipes.iter().map(|(_, writer)| writer.as_fd()).collect();
        send_fds(&near, b"x", &ends).unwrap();
        let (_, fds) = receive_fds(&far).unwrap();
        assert_eq!(fds.len(), MAX_FDS);
        for (number, (fd, (mut reader, _))) in (0u8..).zip(fds.into_iter().zip(pipes)) {
            std::fs::File::from(fd).write_all(&[number]).unwrap();
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [number]);
        }
    }

    #[test]
    fn reading_without_waiting_tells_empty_from_closed() {
        let (reader, writer) = io::pipe().unwrap();
        set_nonblocking(&reader).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(read_available(&reader, &mut buffer), Read::Empty);
        drop(writer);
        assert_eq!(read_available(&reader, &mut buffer), Read::Closed);
    }
}
