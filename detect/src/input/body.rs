//! The body: read as what it is, which need not be what its Content-Type says.

use crate::decode;
use crate::engine::Inspection;
use crate::input::json::End;
use crate::input::sniff::{self, Kind};
use crate::input::{document, multipart, pairs};
use crate::request::Request;
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
    let cut = request.body.truncated || bytes.len() < received.len();
    if request.body.truncated {
        inspection.limit();
    }
    let content_type = request.header_values("content-type").next().unwrap_or_default();
    if content_type.is_empty() && matches!(request.method, b"POST" | b"PUT" | b"PATCH") {
        inspection.note(Tag::NoContentType, Location::Post, "CONTENT-TYPE", b"");
    }
    Source { bytes, content_type, cut: if cut { Cut::Short } else { Cut::Whole }, name: b"" }
        .walk(inspection);
}

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

    fn as_kind(&self, kind: Kind, inspection: &mut Inspection<'_>) {
        match kind {
            Kind::Form => self.form(inspection),
            Kind::Json => self.json(Some(Kind::Json), inspection),
            Kind::Multipart => self.multipart(inspection),
            Kind::Xml | Kind::Graphql | Kind::Text => self.text(self.bytes, inspection),
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
        let Some(boundary) =
            named.filter(|named| memchr::memmem::find(self.bytes, named).is_some()).or(shown)
        else {
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
            encoding if encoding.eq_ignore_ascii_case(b"base64") => decode::base64(section.content),
            encoding if encoding.eq_ignore_ascii_case(b"quoted-printable") => {
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

    fn binary(&self, inspection: &mut Inspection<'_>) {
        if sniff::is_text(self.bytes) {
            self.text(self.bytes, inspection);
        }
    }
}
