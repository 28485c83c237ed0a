use std::path::Path;

use roxmltree::Document;

use super::*;
use crate::chart::{NARROW, WIDE};
use crate::sequence::svg;
use crate::sequence::tests::{hostile, sample};

#[test]
fn a_sequence_is_the_drawing_that_it_was() {
    let drawn = svg(sample(), "a <run>");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sequence.svg");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        drawn, golden,
        "look at what UPDATE_GOLDEN=1 cargo test -p report writes"
    );
}

#[test]
fn what_a_capture_says_is_text_of_the_drawing_and_nothing_else() {
    let file = svg(hostile(), "t");
    let document = Document::parse(&file).unwrap();
    let known = ["svg", "title", "style", "rect", "g", "path", "text"];
    for node in document.descendants().filter(|n| n.is_element()) {
        assert!(known.contains(&node.tag_name().name()), "{node:?}");
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on"), "{attribute:?}");
        }
    }
    let texts = document.descendants().filter_map(|n| n.text());
    assert!(texts.into_iter().any(|t| t.contains("</text><script>x()")));
    assert!(!file.contains(['\u{202e}', '\u{1b}', '\u{0}']));
}

#[test]
fn every_message_is_within_the_drawing_at_every_width() {
    for (width, sequence) in [(WIDE, sample()), (NARROW, sample()), (NARROW, hostile())] {
        let drawing = crate::sequence::chart(sequence).draw(width);
        let file = drawing.file("t");
        let document = Document::parse(&file).unwrap();
        for text in document
            .descendants()
            .filter(|n| n.has_tag_name(("http://www.w3.org/2000/svg", "text")))
        {
            let number = |name| text.attribute(name).unwrap().parse::<f64>().unwrap();
            let words = text
                .children()
                .filter_map(|n| n.text())
                .next_back()
                .unwrap();
            let (x, long) = (number("x"), width_of(words));
            let (from, to) = match text.attribute("text-anchor") {
                Some("end") => (x - long, x),
                Some("middle") => (x - long / 2.0, x + long / 2.0),
                _ => (x, x + long),
            };
            assert!(
                from >= 0.0 && to <= width,
                "{words}: {from} to {to} of {width}"
            );
            assert!((0.0..=drawing.height).contains(&number("y")), "{words}");
        }
    }
}

#[test]
fn a_line_leans_down_and_a_lost_one_ends_in_a_cross() {
    let sequence = sample();
    let chart = crate::sequence::chart(sequence);
    let layout = chart.layout(WIDE, 0.0);
    for (row, ends) in layout.rows.iter().zip(&layout.ends) {
        assert!(ends.iter().all(|end| end > row), "{row} {ends:?}");
    }
    let file = chart.draw(WIDE).file("t");
    assert_eq!(file.matches("class=\"bad\"").count(), 2);
}
