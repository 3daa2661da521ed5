//! The body: read as what it is, which need not be what its Content-Type says.

use std::borrow::Cow;

use crate::decode;
use crate::engine::Inspection;
use crate::input::inflate::{self, Coding, Inflated};
use crate::input::json::End;
use crate::input::sniff::{self, Kind};
use crate::input::{charset, document, multipart, pairs, protobuf, xml};
use crate::request::Request;
use crate::scan;
use crate::signal::{Location, Tag};
use crate::value::{Field, Part, Wire};

/// Hands on every field of the body.
pub(crate) fn walk(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    let received = request.body.bytes;
    if received.is_empty() {
        return;
    }
    let limit = inspection.budgets().body_bytes;
    let bytes = match received.get(..limit) {
        Some(head) if head.len() < received.len() => {
            inspection.limit();
            head
        }
        _ => received,
    };
    if request.body.truncated {
        inspection.limit();
    }
    let cut = if request.body.truncated || bytes.len() < received.len() { Cut::Short } else { Cut::Whole };
    let content_type = request.header_values("content-type").next().unwrap_or_default();
    if content_type.is_empty() && matches!(request.method, b"POST" | b"PUT" | b"PATCH") {
        inspection.note(Tag::NoContentType, Location::Post, "CONTENT-TYPE", b"");
    }
    let codings = request.header_values("content-encoding").next().unwrap_or_default();
    let source = |bytes| Source { bytes, content_type, cut, name: b"" };
    let inflated = inflate(bytes, codings, cut, inspection);
    let text = charset::ascii_compatible(&inflated, content_type);
    if matches!(text, Cow::Owned(_)) {
        inspection.note(Tag::BodyParserEvasion, Location::Post, "CHARSET", content_type);
    }
    source(&text).walk(inspection);
    if matches!(text, Cow::Owned(_)) {
        source(&inflated).walk_as_sent(inspection);
    }
    if matches!(inflated, Cow::Owned(_)) {
        source(bytes).walk_as_sent(inspection);
    }
}

/// Undoes the body's content coding, declared or not, as far as the caps allow.
fn inflate<'a>(bytes: &'a [u8], codings: &[u8], cut: Cut, inspection: &mut Inspection<'_>) -> Cow<'a, [u8]> {
    let budgets = inspection.budgets();
    let by_ratio = bytes.len().saturating_mul(budgets.inflate_ratio).max(SMALLEST_CAP);
    let cap = budgets.inflated_bytes.min(by_ratio);
    let declared = !codings.is_empty() && !scan::same(codings, b"identity");
    let sniffed = Coding::sniffed(bytes);
    if (declared || sniffed.is_some()) && !inspection.may_inflate() {
        return Cow::Borrowed(b"");
    }
    let inflated = match sniffed {
        _ if declared => inflate::undo(bytes, codings, cap),
        Some(coding) => coding.decode(bytes, cap),
        None => return Cow::Borrowed(bytes),
    };
    match inflated {
        Inflated::Whole(inflated) => Cow::Owned(inflated),
        Inflated::Capped(start) => {
            inspection.limit();
            Cow::Owned(start)
        }
        Inflated::Broken(start) if cut == Cut::Short => Cow::Owned(start),
        Inflated::Broken(start) => {
            inspection.note(Tag::Compressed, Location::Post, "CODING-BROKEN", codings);
            // A server that does not know codings, or that gives up, may still read what is there.
            if start.is_empty() { Cow::Borrowed(bytes) } else { Cow::Owned(start) }
        }
        Inflated::Unknown => {
            inspection.note(Tag::Compressed, Location::Post, "CODING-UNKNOWN", codings);
            Cow::Borrowed(bytes)
        }
    }
}

/// Decompressed bytes that are read whatever the ratio.
const SMALLEST_CAP: usize = 64 * 1024;

/// Whether all of the body is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Whole,
    Short,
}

/// A body, or a part of one.
struct Source<'a> {
    bytes: &'a [u8],
    content_type: &'a [u8],
    cut: Cut,
    /// The multipart part's name.
    name: &'a [u8],
}

impl Source<'_> {
    fn walk(&self, inspection: &mut Inspection<'_>) {
        let claimed = sniff::claimed(self.content_type);
        // A body that is declared JSON and starts like it is read once, not twice.
        let looks = match claimed {
            Some(Kind::Json) if sniff::starts_like_json(self.bytes) => Some(Kind::Json),
            _ => sniff::looks(self.bytes, inspection.budgets().depth),
        };
        match (claimed, looks) {
            (Some(Kind::Json), _) => self.json(looks, inspection),
            (Some(Kind::Multipart), _) => self.multipart(inspection),
            (Some(Kind::Form), None | Some(Kind::Form)) => self.form(inspection),
            (Some(Kind::Form), Some(kind)) => {
                inspection.note(Tag::MalformedData, Location::Post, "NOT-A-FORM", b"");
                self.as_kind(kind, inspection);
                // The server may still read it as the form it claims to be.
                if kind != Kind::Json {
                    self.form(inspection);
                }
            }
            (Some(Kind::Xml), Some(Kind::Json | Kind::Multipart)) => {
                inspection.note(Tag::XmlError, Location::Post, "NOT-XML", b"");
                self.as_kind(looks.unwrap_or(Kind::Text), inspection);
            }
            (Some(Kind::Xml), _) => self.as_kind(Kind::Xml, inspection),
            (_, Some(kind)) => self.as_kind(kind, inspection),
            (Some(kind), None) => self.as_kind(kind, inspection),
            (None, None) => self.as_kind(Kind::Binary, inspection),
        }
    }

    /// Reads what stands beside the coding or the character set, for a server that knows neither and takes the bytes as they
    /// are: a compressed file, too, has room for a comment with a form in it.
    fn walk_as_sent(&self, inspection: &mut Inspection<'_>) {
        let shown = sniff::looks(self.bytes, inspection.budgets().depth);
        let named = multipart::boundary(self.content_type);
        if shown.is_some() || named.is_some_and(|named| scan::find(self.bytes, named).is_some()) {
            return self.walk(inspection);
        }
        for run in self.plain_runs(SHORTEST_PAIR) {
            pairs::walk(run, pairs::Syntax::FORM, Location::Post, inspection);
        }
    }

    fn as_kind(&self, kind: Kind, inspection: &mut Inspection<'_>) {
        match kind {
            Kind::Form => self.form(inspection),
            Kind::Json => self.json(Some(Kind::Json), inspection),
            Kind::Multipart => self.multipart(inspection),
            Kind::Xml => self.xml(inspection),
            Kind::Graphql => self.graphql(inspection),
            Kind::Text => self.text(self.bytes, inspection),
            Kind::Protobuf | Kind::Binary => self.binary(inspection),
        }
    }

    fn field(&self) -> Field<'_> {
        Field { location: Location::Post, part: Part::Value, name: self.name, raw: b"", wire: Wire::Plain }
    }

    fn form(&self, inspection: &mut Inspection<'_>) {
        pairs::walk(self.bytes.trim_ascii_end(), pairs::Syntax::FORM, Location::Post, inspection);
    }

    fn json(&self, looks: Option<Kind>, inspection: &mut Inspection<'_>) {
        if let Some(kind @ (Kind::Form | Kind::Xml | Kind::Multipart)) = looks {
            inspection.note(Tag::JsonError, Location::Post, "NOT-JSON", b"");
            return self.as_kind(kind, inspection);
        }
        match document::json(self.bytes, &self.field(), inspection) {
            End::Strict => {}
            End::Sloppy => inspection.note(Tag::JsonError, Location::Post, "JSON-SLOPPY", b""),
            End::Cut if self.cut == Cut::Short => {}
            End::Cut => inspection.note(Tag::JsonError, Location::Post, "JSON-CUT", b""),
            End::Broken(at) => {
                let rest = self.bytes.get(at..).unwrap_or_default();
                inspection.note(Tag::JsonError, Location::Post, "JSON-SYNTAX", rest);
                self.text(rest, inspection);
            }
            End::Spent(at) => {
                inspection.limit();
                self.text(self.bytes.get(at..).unwrap_or_default(), inspection);
            }
        }
    }

    fn multipart(&self, inspection: &mut Inspection<'_>) {
        let named = multipart::boundary(self.content_type);
        let shown = multipart::sniffed_boundary(self.bytes);
        let Some(boundary) = named.filter(|named| scan::find(self.bytes, named).is_some()).or(shown) else {
            inspection.note(Tag::MalformedData, Location::Post, multipart::Oddity::NoBoundary.as_str(), b"");
            return match sniff::looks(self.bytes, inspection.budgets().depth) {
                Some(kind @ (Kind::Form | Kind::Json | Kind::Xml)) => self.as_kind(kind, inspection),
                _ => self.text(self.bytes, inspection),
            };
        };
        if named != Some(boundary) {
            inspection.note(Tag::BodyParserEvasion, Location::Post, "MULTIPART-OTHER-BOUNDARY", boundary);
        }
        if !inspection.enter() {
            return self.text(self.bytes, inspection);
        }
        let parts = inspection.budgets().fields;
        multipart::walk(self.bytes, boundary, parts, &mut |event| match event {
            multipart::Event::Odd(multipart::Oddity::TooMany) => inspection.limit(),
            multipart::Event::Odd(multipart::Oddity::Unclosed) if self.cut == Cut::Short => {}
            multipart::Event::Odd(oddity) => {
                inspection.note(Tag::BodyParserEvasion, Location::Post, oddity.as_str(), b"");
            }
            multipart::Event::Part(section) => self.section(&section, inspection),
        });
        inspection.leave();
    }

    fn section(&self, section: &multipart::Section<'_>, inspection: &mut Inspection<'_>) {
        let name: &[u8] = &section.name;
        let field = Field { name, ..self.field() };
        inspection.field(&Field { part: Part::Name, raw: name, ..field });
        for raw in &section.file_names {
            inspection.field(&Field { part: Part::FileName, raw, ..field });
        }
        let decoded = match section.encoding {
            encoding if scan::same(encoding, b"base64") => decode::base64(section.content),
            encoding if scan::same(encoding, b"quoted-printable") => {
                Some(decode::quoted_printable(section.content))
            }
            _ => None,
        };
        let content = match &decoded {
            Some(decoded) if inspection.take_decoded(decoded.len()) => decoded,
            _ => section.content,
        };
        let is_file = !section.file_names.is_empty();
        match sniff::claimed(section.content_type) {
            Some(Kind::Json | Kind::Xml | Kind::Multipart | Kind::Form) => {
                let source =
                    Source { bytes: content, content_type: section.content_type, cut: self.cut, name };
                source.walk(inspection);
            }
            _ if is_file && content.len() > inspection.budgets().file_bytes => {}
            _ if is_file && !sniff::is_text(content) => {}
            _ if is_file => inspection.field(&Field { part: Part::Text, raw: content, ..field }),
            _ => document::value(&Field { raw: content, ..field }, inspection),
        }
    }

    fn text(&self, bytes: &[u8], inspection: &mut Inspection<'_>) {
        inspection.field(&Field { part: Part::Text, raw: bytes, ..self.field() });
    }

    fn xml(&self, inspection: &mut Inspection<'_>) {
        inspection.markup(&Field { part: Part::Text, raw: self.bytes, ..self.field() });
        let depth = inspection.budgets().depth;
        let end = xml::walk(self.bytes, depth, &mut |token| {
            let name = if token.name.is_empty() { self.name } else { token.name };
            let field = Field { part: token.part, name, raw: token.text, ..self.field() };
            match token.part {
                Part::Value => document::value(&field, inspection),
                _ => inspection.field(&field),
            }
        });
        match end {
            xml::End::Whole => {}
            xml::End::Cut if self.cut == Cut::Short => {}
            xml::End::Cut => inspection.note(Tag::XmlError, Location::Post, "XML-CUT", b""),
            xml::End::Broken => inspection.note(Tag::XmlError, Location::Post, "XML-SYNTAX", b""),
            xml::End::Spent(at) => {
                inspection.limit();
                self.text(self.bytes.get(at..).unwrap_or_default(), inspection);
            }
        }
    }

    fn graphql(&self, inspection: &mut Inspection<'_>) {
        let field = Field { raw: self.bytes, ..self.field() };
        if document::query(&field, inspection).is_none() {
            inspection.note(Tag::MalformedData, Location::Post, "NOT-GRAPHQL", b"");
            self.text(self.bytes, inspection);
        }
    }

    fn binary(&self, inspection: &mut Inspection<'_>) {
        let mut strings = Vec::new();
        let depth = inspection.budgets().depth.min(DEEPEST_MESSAGE);
        if sniff::is_text(self.bytes) {
            self.text(self.bytes, inspection);
        } else if protobuf::walk(self.bytes, depth, &mut |text| strings.push(text)) == protobuf::End::Message
        {
            for raw in strings {
                document::value(&Field { raw, ..self.field() }, inspection);
            }
        } else {
            self.runs(inspection);
        }
    }

    /// Hands on the texts that lie between other bytes.
    fn runs(&self, inspection: &mut Inspection<'_>) {
        for raw in self.plain_runs(SHORTEST_RUN) {
            inspection.field(&Field { part: Part::Text, raw, ..self.field() });
        }
    }

    /// Runs of text between other bytes, from a length on.
    fn plain_runs(&self, shortest: usize) -> impl Iterator<Item = &[u8]> {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
        self.bytes.split(move |byte| !is_plain(byte)).filter(move |run| run.len() >= shortest)
    }
}

/// Messages within messages that are read; each level reads its bytes again.
const DEEPEST_MESSAGE: usize = 8;
/// Text between binary bytes is read from this length on; shorter runs are chance.
const SHORTEST_RUN: usize = 16;
/// As short as an attack with its name and its sign can be.
const SHORTEST_PAIR: usize = 8;
