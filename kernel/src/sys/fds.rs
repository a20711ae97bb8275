//! File descriptors: pipes, passing descriptors from process to process, waiting for several at once.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A pipe `(read end, write end)` that child processes do not inherit.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// A second descriptor for the same file, above the standard three, not inherited.
pub fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    let copy = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Makes `target` mean the same file as `source`.
pub fn redirect(source: &impl AsRawFd, target: RawFd) -> io::Result<()> {
    check(unsafe { libc::dup2(source.as_raw_fd(), target) }).map(|_| ())
}

/// Reads give up instead of waiting.
pub fn set_nonblocking(fd: &impl AsRawFd) -> io::Result<()> {
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(|_| ())
}

/// What a read of a non-blocking descriptor found.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// That many bytes.
    Bytes(usize),
    /// Nothing at the moment.
    Empty,
    /// The other side has closed, or the descriptor is broken.
    Closed,
}

/// Reads what is there without waiting.
pub fn read_available(fd: &impl AsRawFd, buffer: &mut [u8]) -> Read {
    loop {
        let count = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        if count > 0 {
            return Read::Bytes(count as usize);
        }
        if count == 0 {
            return Read::Closed;
        }
        match io::Error::last_os_error().kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => return Read::Empty,
            _ => return Read::Closed,
        }
    }
}

/// Waits until one of the descriptors can be read or has been closed; `None` waits for ever.
pub fn wait_readable(fds: &[BorrowedFd], timeout: Option<std::time::Duration>) {
    let mut entries: Vec<libc::pollfd> =
        fds.iter().map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    let millis = timeout.map_or(-1, |time| time.as_millis().clamp(1, 60_000) as libc::c_int);
    // An interrupted wait is a short wait: callers look at every descriptor anyway.
    unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, millis) };
}

/// Waits until the other side has closed the connection, whatever there is still to read.
pub fn wait_closed(socket: &impl AsRawFd) {
    let mut entry = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    while entry.revents == 0 {
        let found = unsafe { libc::poll(&mut entry, 1, -1) };
        if found < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

const MAX_FDS: usize = 4;
const CONTROL_BYTES: usize = 64;

/// Sends `payload` (not empty) together with descriptors.
pub fn send_fds(socket: &UnixStream, payload: &[u8], fds: &[RawFd]) -> io::Result<()> {
    assert!(fds.len() <= MAX_FDS && !payload.is_empty());
    let mut control = [0u64; CONTROL_BYTES / 8];
    let slice = IoSlice::new(payload);
    let fd_bytes = std::mem::size_of_val(fds) as u32;
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = (&raw const slice).cast_mut().cast();
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(fd_bytes) as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(fd_bytes) as _;
        std::ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), fd_bytes as usize);
        check(libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) as libc::c_int)?;
    }
    Ok(())
}

/// Receives what [`send_fds`] sent: the payload (at most 4 KiB) and the descriptors.
pub fn receive_fds(socket: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut payload = vec![0u8; 4096];
    let mut control = [0u64; CONTROL_BYTES / 8];
    let mut fds = Vec::new();
    let count = unsafe {
        let mut slice = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut slice;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_BYTES as _;
        let count = check(libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) as libc::c_int)?;
        let header = libc::CMSG_FIRSTHDR(&message);
        if !header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS {
            let data_bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            for index in 0..data_bytes / std::mem::size_of::<RawFd>() {
                fds.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
            }
        }
        count as usize
    };
    payload.truncate(count);
    Ok((payload, fds))
}

/// A path that fits into a socket address (108 bytes), by way of the open folder.
///
/// The folder must stay open while the path is used.
fn short_path(path: &Path) -> io::Result<(std::fs::File, PathBuf)> {
    let folder = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let name = path.file_name().unwrap_or_default();
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((folder, short))
}

/// Listens at a path of any length.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let (_folder, short) = short_path(path)?;
    UnixListener::bind(short)
}

/// Connects to a path of any length.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_folder, short) = short_path(path)?;
    UnixStream::connect(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn a_descriptor_travels_through_a_socket() {
        let (near, far) = UnixStream::pair().unwrap();
        let (reader, writer) = pipe().unwrap();
        send_fds(&near, b"hello", &[writer.as_raw_fd()]).unwrap();
        drop(writer);
        let (payload, mut fds) = receive_fds(&far).unwrap();
        assert_eq!(payload, b"hello");
        let mut file = std::fs::File::from(fds.pop().unwrap());
        file.write_all(b"through").unwrap();
        drop(file);
        let mut text = String::new();
        std::fs::File::from(reader).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn a_socket_may_lie_deep() {
        let folder = std::env::temp_dir().join(format!("gpt_lab_{}_{}", std::process::id(), "x".repeat(150)));
        std::fs::create_dir_all(&folder).unwrap();
        let listener = listen(&folder.join("s")).unwrap();
        connect(&folder.join("s")).unwrap();
        listener.accept().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn reading_without_waiting_tells_empty_from_closed() {
        let (reader, writer) = pipe().unwrap();
        set_nonblocking(&reader).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(read_available(&reader, &mut buffer), Read::Empty);
        drop(writer);
        assert_eq!(read_available(&reader, &mut buffer), Read::Closed);
    }
}
