//! Decoding to a fixed point: every plain form that a field can take on its way to an interpreter.
//!
//! Each decoder undoes one thing and is tried on every form found so far, as far as the form's byte classes say that
//! it can apply. A form is handed on once; the budget bounds how many there are. Where nothing applies, nothing is
//! allocated.

mod base64;
mod escapes;
mod hex;
mod html;
mod percent;
mod quoted_printable;
mod text;
mod unicode;
mod utf16;

use std::borrow::Cow;

use crate::engine::Inspection;
use crate::features::Features;
use crate::signal::{Location, Tag};
use crate::value::{Field, Part, Wire};

pub(crate) use self::base64::{decode as base64, may_be as may_be_base64};
pub(crate) use self::quoted_printable::decode as quoted_printable;
pub(crate) use self::utf16::decode_utf7 as utf7;

/// The value as the place it stands in decodes it.
pub(crate) fn plain<'a>(field: &Field<'a>) -> Cow<'a, [u8]> {
    match field.wire {
        Wire::Plain => Cow::Borrowed(field.raw),
        Wire::Percent => percent::decode(field.raw, percent::Plus::Itself),
        Wire::Form => percent::decode(field.raw, percent::Plus::Space),
    }
}

/// Calls `each` once with every distinct form of `field`: as its place decodes it, and as further decoders find it,
/// within the budget for forms and decoded bytes. `each` returns the form's features.
pub(crate) fn forms<'e>(
    field: &Field<'_>,
    inspection: &mut Inspection<'e>,
    mut each: impl FnMut(&mut Inspection<'e>, &[u8]) -> Features,
) {
    let first = plain(field);
    if matches!(first, Cow::Owned(_)) && !inspection.take_decoded(first.len()) {
        return;
    }
    if inspection.traces() {
        let by_place = field.wire.decoder().filter(|_| matches!(first, Cow::Owned(_)));
        inspection.reached_by(by_place.into_iter().collect());
    }
    let features = each(inspection, &first);
    note_bytes(field, &first, features, inspection);
    if is_plain(features, &first, field) {
        return;
    }
    let layered = matches!(first, Cow::Owned(_));
    let mut known = vec![Form { bytes: first, features, layered, from: None }];
    let (mut next, mut shown) = (0, field.raw.len());
    while next < known.len() {
        for decoder in DECODERS {
            if inspection.steps.exhausted() {
                return;
            }
            let Some(form) = known.get(next).filter(|form| (decoder.applies)(form.features, field)) else {
                continue;
            };
            let Some(decoded) = (decoder.decode)(&form.bytes, field) else {
                continue;
            };
            if decoded.is_empty() || known.iter().any(|form| *form.bytes == decoded) {
                continue;
            }
            shown = shown.saturating_add(decoded.len());
            if known.len() >= inspection.budgets().forms || shown > inspection.budgets().form_bytes {
                return inspection.limit();
            }
            if !inspection.take_decoded(decoded.len()) {
                return;
            }
            if inspection.traces() {
                inspection.reached_by(chain(&known, Some((next, decoder.name)), field));
            }
            let features = each(inspection, &decoded);
            if decoder.name == PERCENT && form.layered && hides(form, features) {
                inspection.about(Tag::DoubleEncoding, field, "PERCENT-TWICE", &form.bytes);
            }
            let layered = form.layered || decoder.name == PERCENT;
            known.push(Form {
                bytes: Cow::Owned(decoded),
                features,
                layered,
                from: Some((next, decoder.name)),
            });
        }
        next += 1;
    }
}

/// Whether no decoder can change `form`; asked of every value, so that most of them cost no more than this.
fn is_plain(features: Features, form: &[u8], field: &Field<'_>) -> bool {
    let coded = features.any(ESCAPED)
        || (features.only(BASE64)
            && form.len() >= base64::SHORTEST
            && (features.only(Features::ALPHA | Features::DIGIT) || base64::may_be(form)))
        || features.all(Features::COLON | Features::COMMA)
        || (features.all(Features::COLON | Features::QUOTE) && base64::quoted(form).next().is_some())
        || (features.any(Features::DIGIT) && memchr::memchr(b'x', form).is_some())
        || (field.part == Part::Whole && features.any(Features::SEMI))
        || (field.wire == Wire::Form && features.any(Features::SPACE) && utf16::may_hide(field.raw));
    !coded
}

/// Whether a decoder makes something else of `field` as received, whose features are these.
pub(crate) fn changes(field: &Field<'_>, features: Features) -> bool {
    let changed = |decoder: &Decoder| {
        (decoder.applies)(features, field) && (decoder.decode)(field.raw, field).is_some()
    };
    !is_plain(features, field.raw, field) && DECODERS.iter().any(changed)
}

/// What starts an escape of any kind.
const ESCAPED: u32 =
    Features::PERCENT | Features::AMP | Features::BACKSLASH | Features::HIGH | Features::NUL | Features::PLUS;

/// A form that was handed on, and is to be decoded further.
struct Form<'a> {
    bytes: Cow<'a, [u8]>,
    features: Features,
    /// Whether percent encoding was undone on the way here.
    layered: bool,
    /// The form that it was decoded from, and the decoder.
    from: Option<(usize, &'static str)>,
}

/// The decoders that lead to a form, the first one first.
fn chain(
    known: &[Form<'_>],
    mut from: Option<(usize, &'static str)>,
    field: &Field<'_>,
) -> Vec<&'static str> {
    let mut chain = Vec::new();
    while let Some((parent, decoder)) = from {
        chain.push(decoder);
        from = known.get(parent).and_then(|form| form.from);
    }
    let by_place = known.first().is_some_and(|first| matches!(first.bytes, Cow::Owned(_)));
    chain.extend(by_place.then(|| field.wire.decoder()).flatten());
    chain.reverse();
    chain
}

/// One thing that can be undone.
struct Decoder {
    name: &'static str,
    /// Whether a form with these features can change.
    applies: fn(Features, &Field<'_>) -> bool,
    /// The decoded form; none where nothing changes.
    decode: fn(&[u8], &Field<'_>) -> Option<Vec<u8>>,
}

const DECODERS: &[Decoder] = &[
    Decoder {
        name: PERCENT,
        applies: |features, _| features.any(Features::PERCENT),
        decode: |form, _| match percent::decode(form, percent::Plus::Itself) {
            Cow::Owned(decoded) => Some(decoded),
            Cow::Borrowed(_) => None,
        },
    },
    Decoder {
        name: "percent-strays",
        applies: |features, _| features.all(Features::PERCENT | Features::ALPHA),
        decode: |form, _| percent::without_strays(form),
    },
    Decoder {
        name: "html",
        applies: |features, _| features.any(Features::AMP),
        decode: |form, _| html::decode(form),
    },
    Decoder {
        name: "js",
        applies: |features, _| features.any(Features::BACKSLASH),
        decode: |form, _| escapes::decode_js(form),
    },
    Decoder {
        name: "css",
        applies: |features, _| features.any(Features::BACKSLASH),
        decode: |form, _| escapes::decode_css(form),
    },
    Decoder {
        name: "overlong",
        applies: |features, _| features.any(Features::HIGH),
        decode: |form, _| unicode::decode_overlong(form),
    },
    Decoder {
        name: "fold",
        applies: |features, _| features.any(Features::HIGH),
        decode: |form, _| unicode::fold(form),
    },
    Decoder {
        name: "nul",
        applies: |features, _| features.any(Features::NUL),
        decode: |form, _| utf16::without_nuls(form),
    },
    Decoder {
        name: "utf-7",
        applies: |features, field| {
            features.any(Features::PLUS)
                || (field.wire == Wire::Form && features.all(Features::SPACE | Features::ALPHA))
        },
        decode: |form, field| match field.wire {
            // The form's own decoding has made spaces of the plus signs.
            Wire::Form if utf16::may_hide(field.raw) => {
                utf16::decode_utf7(&percent::decode(field.raw, percent::Plus::Itself))
            }
            _ => utf16::decode_utf7(form),
        },
    },
    Decoder {
        name: "base64",
        applies: |features, _| features.only(BASE64),
        decode: |form, _| base64::whole(form),
    },
    Decoder {
        name: "data-url",
        applies: |features, _| features.all(Features::ALPHA | Features::COLON | Features::COMMA),
        decode: |form, _| base64::in_data_url(form),
    },
    Decoder {
        name: "base64-quoted",
        applies: |features, _| features.all(Features::ALPHA | Features::COLON | Features::QUOTE),
        decode: |form, _| base64::in_quotes(form),
    },
    Decoder {
        name: "hex",
        applies: |features, _| features.only(Features::ALPHA | Features::DIGIT),
        decode: |form, _| hex::whole(form),
    },
    Decoder {
        name: "hex-path",
        applies: |features, _| features.all(Features::ALPHA | Features::DIGIT),
        decode: |form, _| hex::in_path(form.get(..form.len().min(LONGEST_PATH))?),
    },
    Decoder {
        name: "path-parameters",
        applies: |features, field| {
            field.part == Part::Whole && field.location == Location::Path && features.any(Features::SEMI)
        },
        decode: |form, _| without_parameters(form),
    },
];

const PERCENT: &str = "percent";

const BASE64: u32 = Features::ALPHA
    | Features::DIGIT
    | Features::PLUS
    | Features::SLASH
    | Features::EQUALS
    | Features::HYPHEN
    | Features::UNDERSCORE
    | Features::SPACE
    | Features::LINE;

/// What nobody needs to encode twice in an honest value, such as a URL within a URL.
const HIDDEN: u32 = Features::QUOTE
    | Features::LT
    | Features::GT
    | Features::SEMI
    | Features::PIPE
    | Features::NUL
    | Features::LINE
    | Features::CONTROL
    | Features::BACKSLASH
    | Features::DOLLAR
    | Features::PAREN
    | Features::BRACE;

/// Bytes of a value up to which `0x2f` counts as a slash.
const LONGEST_PATH: usize = 2048;

fn hides(form: &Form<'_>, decoded: Features) -> bool {
    decoded.beyond(form.features) & HIDDEN != 0
        || form.bytes.windows(3).any(|escape| escape.eq_ignore_ascii_case(b"%2e"))
}

/// Tomcat and its like cut `;name=value` off each segment before they resolve the path.
fn without_parameters(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    for (n, segment) in path.split(|&byte| byte == b'/').enumerate() {
        if n > 0 {
            out.push(b'/');
        }
        let end = memchr::memchr(b';', segment).unwrap_or(segment.len());
        out.extend_from_slice(segment.get(..end)?);
    }
    Some(out)
}

fn note_bytes(field: &Field<'_>, form: &[u8], features: Features, inspection: &mut Inspection<'_>) {
    if features.any(Features::NUL) {
        inspection.about(Tag::NullByte, field, "NUL", form);
    }
    if features.any(Features::HIGH)
        && std::str::from_utf8(form).is_err_and(|error| error.error_len().is_some())
    {
        inspection.about(Tag::NotUtf8, field, "UTF-8", form);
    }
}

/// The decoders by name; each returns the length of what it decoded.
#[cfg(feature = "fuzzing")]
pub(crate) fn named(name: &str) -> Option<fn(&[u8]) -> usize> {
    Some(match name {
        "base64" => |bytes| base64::whole(bytes).map_or(0, |decoded| decoded.len()),
        "base64-quoted" => |bytes| base64::in_quotes(bytes).map_or(0, |decoded| decoded.len()),
        "data-url" => |bytes| base64::in_data_url(bytes).map_or(0, |decoded| decoded.len()),
        "css" => |bytes| escapes::decode_css(bytes).map_or(0, |decoded| decoded.len()),
        "js" => |bytes| escapes::decode_js(bytes).map_or(0, |decoded| decoded.len()),
        "hex" => |bytes| hex::whole(bytes).map_or(0, |decoded| decoded.len()),
        "hex-path" => |bytes| hex::in_path(bytes).map_or(0, |decoded| decoded.len()),
        "html" => |bytes| html::decode(bytes).map_or(0, |decoded| decoded.len()),
        "percent" => |bytes| percent::decode(bytes, percent::Plus::Space).len(),
        "percent-strays" => |bytes| percent::without_strays(bytes).map_or(0, |decoded| decoded.len()),
        "quoted-printable" => |bytes| quoted_printable::decode(bytes).len(),
        "overlong" => |bytes| unicode::decode_overlong(bytes).map_or(0, |decoded| decoded.len()),
        "fold" => |bytes| unicode::fold(bytes).map_or(0, |decoded| decoded.len()),
        "nul" => |bytes| utf16::without_nuls(bytes).map_or(0, |decoded| decoded.len()),
        "utf-7" => |bytes| utf16::decode_utf7(bytes).map_or(0, |decoded| decoded.len()),
        _ => return None,
    })
}
