//! `xss`: markup and script that a browser would run.
//!
//! Catches: elements that run or load script, event handlers, script URLs, style sheets that run script, all in the
//! data state and as break-outs from attributes, comments and raw text; and JavaScript that closes the string,
//! template or block it lands in and then calls something.
//! How: [`markup`] reads every `<` as a tag open state would, so the context in which the value is reflected does not
//! matter; [`attribute`] reads every `name=` as the inside of a tag; [`url`] reads schemes; [`js`] lexes the value from
//! every state in which a script can take it up and asks whether what follows is a program at all.
//! Misses, on purpose: formatting markup without script (`<b>`, `<a href="https://..">`, `<img>`), embedded players of
//! known hosts, plain `data:image` URLs, code in prose that no browser would parse, and DOM-only flows that carry no
//! syntax.
//! False-positive risks: posts that teach HTML or JavaScript with live examples.
//! Vectors: vectors/xss.

mod attribute;
mod css;
mod entity;
mod js;
mod markup;
mod smuggled;
mod tag;
mod url;
mod words;

use std::ops::Range;

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::signal::Tag;
use crate::value::{Finding, Part, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector { name: "xss", words: words::WORDS, possible, inspect };

/// One idea that fired, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hit {
    detector: &'static str,
    span: Range<usize>,
}

impl Hit {
    fn new(detector: &'static str, span: Range<usize>) -> Option<Self> {
        Some(Self { detector, span })
    }

    fn whole(detector: &'static str, bytes: &[u8]) -> Self {
        Self { detector, span: 0..bytes.len() }
    }
}

fn possible(features: Features, word: bool) -> bool {
    let markup = features.any(Features::LT);
    // Attributes, URLs and calls all need a word and one of these.
    let punctuation = Features::EQUALS
        | Features::PAREN
        | Features::QUOTE
        | Features::COLON
        | Features::HYPHEN
        | Features::HIGH;
    let script = word && features.any(punctuation | Features::DOT);
    // `java\tscript:` holds no word.
    let scheme = features.all(Features::COLON | Features::ALPHA)
        && features.any(Features::SPACE | Features::NUL | Features::CONTROL | Features::AMP | Features::HIGH);
    let reference = features.all(Features::AMP | Features::HASH | Features::DIGIT)
        || features.all(Features::AMP | Features::ALPHA) && (word || features.any(Features::SEMI));
    let style = features.all(Features::COLON | Features::STAR | Features::SLASH | Features::PAREN);
    markup || script || scheme || computed(features) || reference || style
}

/// `top['al'+'ert'](1)` and `[][(![]+[])...]` reach a function without naming it.
fn computed(features: Features) -> bool {
    features.any(Features::BRACKET) && features.any(Features::PAREN | Features::QUOTE | Features::PLUS)
}

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let features = value.features;
    let bytes = value.bytes;
    let hit =
        markup_hit(bytes, features, steps).or_else(|| url::hit(bytes)).or_else(|| script_hit(value, steps));
    hit.map(|hit| Finding { tag: Tag::Xss, detector: hit.detector, span: hit.span })
}

fn markup_hit(bytes: &[u8], features: Features, steps: &mut Steps) -> Option<Hit> {
    let mut hit = None;
    if features.any(Features::LT) {
        hit = markup::hit(bytes, steps);
    }
    if features.any(Features::EQUALS) {
        hit = hit.or_else(|| attribute::loose(bytes, steps));
    }
    if features.any(Features::LT | Features::GT | Features::SLASH) {
        hit = hit.or_else(|| markup::near_sink(bytes));
    }
    if features.any(Features::HIGH | Features::HYPHEN) {
        hit = hit.or_else(|| smuggled::bracket(bytes));
    }
    if features.all(Features::AMP | Features::HASH) {
        hit = hit.or_else(|| smuggled::reference(bytes));
    }
    if features.all(Features::COLON | Features::PAREN) {
        hit = hit.or_else(|| css::declares(bytes).then(|| Hit::whole("XSS-STYLE", bytes)));
    }
    hit
}

fn script_hit(value: &Value<'_>, steps: &mut Steps) -> Option<Hit> {
    // A script that names nothing it could reach, and computes no name, does nothing.
    if !value.word && !computed(value.features) {
        return None;
    }
    if value.field.part == Part::Name {
        let hit = js::name_hit(value.bytes, steps);
        if hit.is_some() {
            return hit;
        }
    }
    if !value.features.any(Features::PAREN | Features::QUOTE | Features::EQUALS) {
        return None;
    }
    // A path is no place for script by itself, and `/get/document.cookie` reads as a regular expression.
    let bare = value.field.part != Part::Whole;
    js::hit(value.bytes, bare, steps)
}

#[cfg(test)]
mod tests;
