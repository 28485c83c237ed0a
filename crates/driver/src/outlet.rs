//! Lines on standard output or standard error, and nobody waits for who reads them.
//!
//! A pipe or a terminal whose reader stands still takes no more, and a write to it would wait for
//! ever: a daemon with its events in such a pipe answers nobody. An [`Outlet`] keeps so many bytes
//! of lines back, counts the lines beyond, and says how many there were as soon as it can.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::task::{Context, Poll, Waker, ready};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The line that says that so many lines were lost.
type Note = Box<dyn Fn(u64) -> Vec<u8> + Send>;

/// Where lines go that nobody waits for.
///
/// Give it whole lines ([`Outlet::write_lines`]); what it has to keep back leaves with the next
/// ones, and as soon as there is room while [`Outlet::poll_flush`] is polled.
pub struct Outlet {
    out: File,
    /// What is kept back: whole lines, the first of which may be out in part.
    kept: Vec<u8>,
    /// Bytes kept back at most, but for the rest of a line that is out in part.
    room: usize,
    /// Lines lost that nobody was told of.
    lost: u64,
    note: Note,
    /// Tells when there is room again; made when there is none for the first time.
    ready: Option<AsyncFd<OwnedFd>>,
    /// Who polls while nothing is kept back.
    idle: Option<Waker>,
}

impl Outlet {
    /// An outlet to standard output or standard error that keeps `room` bytes back and has `note`
    /// say that lines were lost.
    ///
    /// A pipe or a terminal is opened anew, so that others who have it are not told that there
    /// is no room when they are ready to wait. One that cannot be opened anew, another user's or a
    /// socket, is set not to wait for whoever shares it.
    ///
    /// # Errors
    /// When the descriptor is not open, or there can be no more.
    pub fn open(
        fd: BorrowedFd<'_>,
        room: usize,
        note: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Outlet> {
        let given = File::from(fd.try_clone_to_owned()?);
        let kind = given.metadata()?.file_type();
        let may_wait = kind.is_fifo() || kind.is_char_device() || kind.is_socket();
        let out = match may_wait {
            true => open_anew(&given).or_else(|_| stop_waiting(given))?,
            false => given,
        };
        Ok(Outlet {
            out,
            kept: Vec::new(),
            room,
            lost: 0,
            note: Box::new(note),
            ready: None,
            idle: None,
        })
    }

    /// Writes lines, each with its end, without waiting: what finds no room, or a full disk, is kept
    /// back, or lost where there is no more room for that.
    ///
    /// # Errors
    /// Nobody will ever read them: the other end of the pipe is closed.
    pub fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        self.flush_kept()?;
        let mut rest = lines;
        if !self.is_behind() {
            let written = push(&self.out, lines)?;
            // The rest of a line that is out in part has to follow it.
            let whole = written == 0 || lines[written - 1] == b'\n';
            rest = &lines[written..];
            if !whole {
                rest = self.keep_line(rest);
            }
        }
        while !rest.is_empty() {
            let end = line_end(rest);
            match self.kept.len() + end <= self.room && self.lost == 0 {
                true => rest = self.keep_line(rest),
                false => {
                    self.lost += 1;
                    rest = &rest[end..];
                }
            }
        }
        Ok(())
    }

    /// Lines that were lost and that the reader was not told of yet.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether lines are kept back.
    pub fn is_behind(&self) -> bool {
        !self.kept.is_empty() || self.lost > 0
    }

    /// Writes what is kept back whenever there is room; ready with an error only. To be polled by one
    /// task.
    ///
    /// # Errors
    /// As [`Outlet::write_lines`].
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.flush_kept()?;
            if !self.is_behind() {
                self.idle = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let Some(ready) = self.ready()? else {
                // A full disk: the next lines try again.
                self.idle = Some(cx.waker().clone());
                return Poll::Pending;
            };
            ready!(ready.poll_write_ready(cx))?.clear_ready();
        }
    }

    /// As [`Outlet::poll_flush`], and ready as soon as nothing is kept back.
    ///
    /// # Errors
    /// As [`Outlet::write_lines`].
    pub fn poll_caught_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_flush(cx) {
            Poll::Pending if !self.is_behind() => Poll::Ready(Ok(())),
            other => other,
        }
    }

    /// What says when there is room; none for a file.
    fn ready(&mut self) -> io::Result<Option<&AsyncFd<OwnedFd>>> {
        if self.ready.is_none() {
            let fd = self.out.as_fd().try_clone_to_owned()?;
            // SAFETY: the descriptor is the outlet's own; it is open and the same until it goes.
            let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::WRITABLE) };
            self.ready = registered.ok();
        }
        Ok(self.ready.as_ref())
    }

    /// Writes what is kept back, and then how much was lost, as far as there is room.
    fn flush_kept(&mut self) -> io::Result<()> {
        let written = push(&self.out, &self.kept)?;
        self.kept.drain(..written);
        if self.kept.is_empty() && self.lost > 0 {
            let note = (self.note)(self.lost);
            let written = push(&self.out, &note)?;
            if written > 0 {
                self.lost = 0;
                self.kept.extend_from_slice(&note[written..]);
            }
        }
        Ok(())
    }

    /// Keeps the first of `lines` back, and returns the others.
    fn keep_line<'a>(&mut self, lines: &'a [u8]) -> &'a [u8] {
        let (line, rest) = lines.split_at(line_end(lines));
        self.kept.extend_from_slice(line);
        if let Some(idle) = self.idle.take() {
            idle.wake();
        }
        rest
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet")
            .field("out", &self.out)
            .field("kept", &self.kept.len())
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

/// For whoever writes whole lines by [`Write`], such as a log.
impl Write for Outlet {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.write_lines(lines).map(|()| lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_kept()
    }
}

/// Writes as much of `bytes` as there is room for.
fn push(mut out: &File, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(error),
            // No room in the pipe or on the disk.
            Err(_) => break,
        }
    }
    Ok(written)
}

/// The length of the first line, with its end.
fn line_end(lines: &[u8]) -> usize {
    let end = lines.iter().position(|byte| *byte == b'\n');
    end.map_or(lines.len(), |end| end + 1)
}

/// The same pipe or terminal, by a description that nobody else has.
fn open_anew(given: &File) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(format!("/proc/self/fd/{}", given.as_raw_fd()))
}

fn stop_waiting(given: File) -> io::Result<File> {
    let flags = fcntl(&given, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
    let set = |flags: OFlag| fcntl(&given, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK));
    flags
        .and_then(set)
        .map_err(|errno: Errno| io::Error::from(errno))?;
    Ok(given)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{BufRead, BufReader, PipeReader, Read, Seek, pipe};

    use super::*;

    const ROOM: usize = 4096;

    fn outlet(fd: BorrowedFd<'_>) -> Outlet {
        Outlet::open(fd, ROOM, |lines| format!("{lines} lost\n").into()).unwrap()
    }

    fn line(n: usize) -> Vec<u8> {
        format!("line {n:05} {}\n", "x".repeat(100)).into_bytes()
    }

    /// As many lines as are told until the reader would wait: those that were said, and how many were
    /// said to be lost.
    fn told(reader: &mut BufReader<PipeReader>, lines: usize) -> (Vec<usize>, u64) {
        let (mut said, mut lost) = (Vec::new(), 0);
        while said.len() + (lost as usize) < lines {
            let mut text = String::new();
            reader.read_line(&mut text).unwrap();
            match text.trim_end().strip_suffix(" lost") {
                Some(count) => lost += count.parse::<u64>().unwrap(),
                None => {
                    let number = text[5..10].parse().unwrap();
                    assert_eq!(text.as_bytes(), line(number), "whole");
                    said.push(number);
                }
            }
        }
        (said, lost)
    }

    #[test]
    fn a_pipe_that_nobody_reads_keeps_nobody_waiting_and_the_reader_hears_what_it_missed() {
        let (reader, writer) = pipe().unwrap();
        let mut outlet = outlet(writer.as_fd());
        for n in 0..10_000 {
            outlet.write_lines(&line(n)).unwrap();
            assert!(outlet.kept.len() <= ROOM + line(n).len());
        }
        assert!(outlet.lost() > 8000 && outlet.is_behind());
        let drain = std::thread::spawn(move || told(&mut BufReader::new(reader), 10_001));
        let mut after = 10_000;
        while !drain.is_finished() {
            if !outlet.is_behind() && after == 10_000 {
                outlet.write_lines(&line(after)).unwrap();
                after += 1;
            }
            outlet.flush().unwrap();
            std::thread::yield_now();
        }
        let (said, lost) = drain.join().unwrap();
        assert_eq!(said.len() as u64 + lost, 10_001);
        let first = said.len() - 1;
        assert!((0..first).eq(said[..first].iter().copied()), "the oldest");
        assert_eq!(said.last(), Some(&10_000), "in order");
    }

    #[tokio::test]
    async fn what_is_kept_back_leaves_when_there_is_room_and_not_only_with_the_next_line() {
        let (reader, writer) = pipe().unwrap();
        let mut outlet = outlet(writer.as_fd());
        let mut lines = 0;
        while !outlet.is_behind() {
            outlet.write_lines(&line(lines)).unwrap();
            lines += 1;
        }
        let drain = std::thread::spawn(move || told(&mut BufReader::new(reader), lines));
        poll_fn(|cx| outlet.poll_caught_up(cx)).await.unwrap();
        drop((outlet, writer));
        let (said, lost) = drain.join().unwrap();
        assert_eq!((said.len(), lost), (lines, 0));
    }

    #[test]
    fn whoever_shares_the_pipe_waits_as_before() {
        let (_reader, writer) = pipe().unwrap();
        let _outlet = outlet(writer.as_fd());
        let flags = fcntl(&writer, FcntlArg::F_GETFL).unwrap();
        assert!(!OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK));
    }

    #[test]
    fn a_closed_pipe_is_an_error_and_a_full_disk_is_none() {
        let (reader, writer) = pipe().unwrap();
        let mut closed = outlet(writer.as_fd());
        drop(reader);
        let error = closed.write_lines(b"gone\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut full = outlet(full.as_fd());
        for n in 0..1000 {
            full.write_lines(&line(n)).unwrap();
        }
        assert!(full.lost() > 900 && full.kept.len() <= ROOM);
    }

    #[test]
    fn a_file_is_written_on_from_where_it_stood() {
        let mut file = OpenOptions::new();
        let path = std::env::temp_dir().join(format!("outlet-{}", std::process::id()));
        let file = file.read(true).write(true).create_new(true).open(&path);
        let mut file = file.unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(b"before\n").unwrap();
        outlet(file.as_fd()).write_lines(b"after\n").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "before\nafter\n");
    }
}
