//! What nodes sent and received for their applications, as tables.

use std::fmt::Write as _;

use crate::applications::{Application, Volume, Ways};

use super::{line, printable, time, times};

/// With more entries than this a run's summary does not list them: `result.json` has them.
const MOST: usize = 8;

/// A column: its heading, and its figure.
type Column = (&'static str, fn(&Volume) -> u64);

const COLUMNS: [Column; 4] = [
    ("packets", |v| v.packets),
    ("payload", |v| v.payload_bytes),
    ("paper bytes", Volume::bytes_in_ipv4),
    ("IP bytes", |v| v.ip_bytes),
];

/// Those of a node with a radio whose frames are known.
const OF_RADIO: [Column; 2] = [
    ("frames", |v| v.radio.map_or(0, |radio| radio.frames)),
    ("octets", |v| v.radio.map_or(0, |radio| radio.octets)),
];

/// A table for each node and protocol, with what was repeated, notified and happened under it.
pub(super) fn summarise(out: &mut String, applications: &[Application]) {
    if applications.len() > MOST {
        let many = applications.len();
        let text = format_args!("applications: {many} nodes and protocols, see result.json");
        return line(out, text);
    }
    for application in applications {
        table(out, application);
    }
    if !applications.is_empty() {
        line(
            out,
            format_args!(
                "  (paper bytes: payload and 42 a packet, for Ethernet 14, IPv4 20, UDP 8; IP bytes: those of this run)"
            ),
        );
    }
}

fn table(out: &mut String, of: &Application) {
    let has_radio = of.sent.radio.is_some() && of.received.radio.is_some();
    let radio = if has_radio { &OF_RADIO[..] } else { &[] };
    let columns: Vec<Column> = COLUMNS.iter().chain(radio).copied().collect();
    let names = of.by_message.keys().map(|name| name.chars().count());
    let width = names.max().unwrap_or_default().max("message".len());
    line(out, format_args!("{} at {}:", of.protocol, of.node));
    let mut heading = format!("  {:width$}", "message");
    for way in ["sent", "received"] {
        for (n, (name, _)) in columns.iter().enumerate() {
            let way = if n == 0 {
                format!("{way}: ")
            } else {
                String::new()
            };
            let _ = write!(heading, "  {way}{name}");
        }
    }
    line(out, format_args!("{heading}"));
    let sum = Ways {
        sent: of.sent,
        received: of.received,
    };
    let rows = of
        .by_message
        .iter()
        .map(|(name, ways)| (name.as_str(), ways));
    for (name, ways) in rows.chain([("in sum", &sum)]) {
        let mut row = format!("  {:width$}", printable(name));
        for (way, volume) in [("sent", &ways.sent), ("received", &ways.received)] {
            for (n, (heading, figure)) in columns.iter().enumerate() {
                let way = if n == 0 { way.len() + 2 } else { 0 };
                let width = way + heading.len();
                let _ = write!(row, "  {:>width$}", figure(volume));
            }
        }
        line(out, format_args!("{row}"));
    }
    under(out, of);
}

/// What the table has no column for.
fn under(out: &mut String, of: &Application) {
    let (sent, received) = (&of.sent, &of.received);
    let both = |figure: fn(&Volume) -> u64| figure(sent) + figure(received);
    line(
        out,
        format_args!(
            "  exchanged: {} packets, payload {}, paper bytes {}, IP bytes {}; repeated: {} sent, {} received",
            both(|v| v.packets),
            both(|v| v.payload_bytes),
            both(Volume::bytes_in_ipv4),
            both(|v| v.ip_bytes),
            sent.repeated,
            received.repeated
        ),
    );
    if let Some(observed) = &of.notifications {
        let lost = observed.lost;
        let lost = lost.map_or_else(|| "?".to_owned(), |lost| lost.to_string());
        let silence = observed.longest_silence_s;
        let silence = silence.map_or_else(|| "?".to_owned(), time);
        let received = observed.received;
        line(
            out,
            format_args!(
                "  notifications: {received} received, {lost} lost, longest silence {silence}"
            ),
        );
    }
    if let Some(polled) = &of.polled {
        let (due, reached) = (polled.due, polled.reached);
        let delays = polled.delay_s.map_or_else(String::new, |d| {
            let [median, p95, max] = times([d.median, d.p95, d.max]);
            format!(", after median {median}, p95 {p95}, longest {max}")
        });
        line(
            out,
            format_args!("  polled: {due} due, {reached} reached{delays}"),
        );
    }
    for (what, times) in &of.happened {
        let what = what.replace('_', " ");
        line(out, format_args!("  {}: {times}", printable(&what)));
    }
}
