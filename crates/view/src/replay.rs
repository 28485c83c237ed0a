//! A file of events read on from the places that an [`Index`] has of it.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use rundir::Event;
use rundir::event::{LONGEST_LINE, ReadEventsError, parse_line};

use crate::index::{Index, Mark, Place};

/// Bytes of lines that are read for one answer, at most: after them it ends early.
const MOST_BYTES: u64 = 4 << 20;

/// Why a file of events cannot be read again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file failed.
    #[error("cannot read the events again: {0}")]
    Io(#[from] io::Error),
    /// It is another one than it was.
    #[error("the file changed while it was shown: {0}")]
    Changed(#[from] ReadEventsError),
}

/// From where events are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From the event of this number on, counted from 0.
    Number(u64),
    /// From this instant on, Unix time in nanoseconds.
    Instant(u64),
}

/// An event where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    /// Its number, from 0.
    pub number: u64,
    /// When it is shown, Unix time in nanoseconds: at its instant, or if one before it is later, at that one's.
    pub time_ns: u64,
    /// It.
    pub event: Event,
}

/// The events after a place, one after the other.
struct Lines<R> {
    input: io::Take<BufReader<R>>,
    place: Place,
    bytes: Vec<u8>,
}

impl<R: Read + Seek> Lines<R> {
    /// Those between `from` and `end`, an offset.
    fn new(input: R, from: Place, end: u64) -> io::Result<Lines<R>> {
        let mut input = BufReader::with_capacity(1 << 16, input);
        input.seek(SeekFrom::Start(from.offset))?;
        Ok(Lines {
            input: input.take(end.saturating_sub(from.offset)),
            place: from,
            bytes: Vec::new(),
        })
    }

    /// The next event and the offset at which it stands.
    fn next(&mut self) -> Result<Option<(u64, Event)>, ReplayError> {
        loop {
            self.bytes.clear();
            let line = (&mut self.input).take(LONGEST_LINE + 1);
            if { line }.read_until(b'\n', &mut self.bytes)? == 0 {
                return Ok(None);
            }
            let offset = self.place.offset;
            let event = parse_line(&self.bytes, self.place.line + 1)?;
            self.place.pass(self.bytes.len(), event.as_ref());
            if let Some(event) = event {
                return Ok(Some((offset, event)));
            }
        }
    }
}

/// What is known at an instant, Unix time in nanoseconds, by all events until then, those of the instant among them.
///
/// # Errors
/// The file cannot be read, or is not the one that `index` is of.
pub fn state_at<R: Read + Seek>(
    index: &Index,
    input: R,
    time_ns: u64,
) -> Result<Mark, ReplayError> {
    let from = index.state_by_time(time_ns);
    go_on(index, input, from, |place| place.time_ns <= time_ns)
}

/// What is known after so many events.
///
/// # Errors
/// See [`state_at`].
pub fn state_after<R: Read + Seek>(
    index: &Index,
    input: R,
    number: u64,
) -> Result<Mark, ReplayError> {
    let from = index.state_by_number(number);
    go_on(index, input, from, |place| place.number <= number)
}

/// Goes on from a state as long as the place behind an event is still one of those wanted.
fn go_on<R: Read + Seek>(
    index: &Index,
    input: R,
    from: &Mark,
    wanted: impl Fn(&Place) -> bool,
) -> Result<Mark, ReplayError> {
    // Who is at the end, as everybody who follows a run is, needs no line.
    if wanted(&index.end().place) {
        return Ok(index.end().clone());
    }
    let mut mark = from.clone();
    let mut lines = Lines::new(input, mark.place, index.end().place.offset)?;
    while let Some((offset, event)) = lines.next()? {
        if !wanted(&lines.place) {
            break;
        }
        mark.state.take(&event, offset);
        mark.place = lines.place;
    }
    Ok(mark)
}

/// At most `limit` events, fewer if they are very long, from a number or an instant on.
///
/// # Errors
/// See [`state_at`].
pub fn events<R: Read + Seek>(
    index: &Index,
    input: R,
    from: Since,
    limit: usize,
) -> Result<Vec<Happened>, ReplayError> {
    let end = index.end().place;
    let (place, none) = match from {
        Since::Number(number) => (index.place_by_number(number), number >= end.number),
        Since::Instant(time_ns) => (index.place_by_time(time_ns), time_ns > end.time_ns),
    };
    let mut found = Vec::new();
    if none {
        return Ok(found);
    }
    let mut lines = Lines::new(input, place, end.offset)?;
    let mut begins = None;
    while found.len() < limit
        && let Some((offset, event)) = lines.next()?
    {
        let Place {
            number, time_ns, ..
        } = lines.place;
        let wanted = match from {
            Since::Number(first) => number > first,
            Since::Instant(first) => time_ns >= first,
        };
        if wanted {
            let begins = *begins.get_or_insert(offset);
            found.push(Happened {
                number: number - 1,
                time_ns,
                event,
            });
            if lines.place.offset - begins > MOST_BYTES {
                break;
            }
        }
    }
    Ok(found)
}

/// The events that stand at these offsets.
///
/// # Errors
/// See [`state_at`].
pub fn events_at<R: Read + Seek>(
    index: &Index,
    mut input: R,
    offsets: impl Iterator<Item = u64>,
) -> Result<Vec<Event>, ReplayError> {
    let end = index.end().place.offset;
    let mut found = Vec::new();
    for offset in offsets {
        let place = Place {
            offset,
            ..Place::default()
        };
        let mut lines = Lines::new(&mut input, place, end)?;
        found.extend(lines.next()?.map(|(_, event)| event));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
