//! Events out of the bytes of an event stream (WHATWG HTML, Server-sent events, "Interpreting an event stream").

/// Bytes of a line that are kept: those of a field's name and of the type of an event.
const KEPT: usize = 64;

/// The type of an event that names none.
const MESSAGE: &str = "message";

/// Reads an event stream, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The beginning of the line that has come so far.
    line: Vec<u8>,
    /// The last byte was a CR, with which a line has ended: an LF belongs to it.
    after_cr: bool,
    /// The type of the event so far.
    kind: Option<String>,
    has_data: bool,
}

impl Events {
    /// Takes what comes next; tells the type of each event that is whole.
    pub(crate) fn read(&mut self, bytes: &[u8], mut tell: impl FnMut(&str)) {
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\r' | b'\n' => self.end_line(&mut tell),
                byte if self.line.len() < KEPT => self.line.push(byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self, tell: &mut impl FnMut(&str)) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            // "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty string
            // and return."
            let kind = self.kind.take();
            if std::mem::take(&mut self.has_data) {
                tell(kind.as_deref().unwrap_or(MESSAGE));
            }
            return;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"event" => {
                let kind = String::from_utf8_lossy(value).into_owned();
                self.kind = Some(kind).filter(|kind| !kind.is_empty());
            }
            b"data" => self.has_data = true,
            // A comment, an ID, how long to wait: nothing that is measured.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds(pieces: &[&[u8]]) -> Vec<String> {
        let (mut events, mut kinds) = (Events::default(), Vec::new());
        for piece in pieces {
            events.read(piece, |kind| kinds.push(kind.to_owned()));
        }
        kinds
    }

    #[test]
    fn an_event_ends_with_an_empty_line_and_has_data() {
        let text = "\u{feff}\nevent: state\ndata: {\"value\": \"21\"}\nid: 7\n\nevent:error\r\ndata\r\n\r\n\
                    data: x\rdata: y\r\r: a comment\n\nevent: state\n\ndata: not whole\n";
        assert_eq!(kinds(&[text.as_bytes()]), ["state", "error", "message"]);
        let long = format!("data: {}\n\n", "x".repeat(1 << 16));
        assert_eq!(kinds(&[long.as_bytes()]), ["message"]);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(words in prop::collection::vec(
            prop::sample::select(vec!["event: state", "data: x", "\r", "\n", "\r\n", ":", "data", "é"]), 0..40
        ), at in any::<prop::sample::Index>()) {
            let text = words.concat().into_bytes();
            let (one, other) = text.split_at(at.index(text.len() + 1));
            let single: Vec<&[u8]> = text.chunks(1).collect();
            prop_assert_eq!(kinds(&[one, other]), kinds(&[&text]));
            prop_assert_eq!(kinds(&single), kinds(&[&text]));
        }
    }
}
