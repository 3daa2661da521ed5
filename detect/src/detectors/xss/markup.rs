//! Markup: every `<` of a value read as a tag open.
//!
//! A value may be reflected inside an attribute, a comment or raw text, where an earlier `<` or quote of its own opens
//! nothing. So each `<` is tried for itself; the attributes of one that lies inside an earlier tag are read under an
//! allowance that keeps the cost linear.

use crate::budget::Steps;
use crate::detectors::xss::Hit;
use crate::detectors::xss::attribute;
use crate::detectors::xss::css;
use crate::detectors::xss::js;
use crate::detectors::xss::tag::{Attribute, Attributes, Name, is_space, opens_tag};
use crate::detectors::xss::url::Plain;
use crate::scan;

/// Finds the first tag that runs script.
pub(super) fn hit(bytes: &[u8], steps: &mut Steps) -> Option<Hit> {
    let mut covered = 0;
    let mut allowance = 4 * bytes.len() + 4096;
    for open in memchr::memchr_iter(b'<', bytes) {
        if !steps.take(1) {
            return None;
        }
        let after = bytes.get(open + 1..)?;
        let hidden = after.iter().take_while(|&&byte| byte == 0).count();
        let after = after.get(hidden..).unwrap_or_default();
        let at = open + 1 + hidden;
        let found = match after.first() {
            Some(b'/') => end_tag(after, open),
            Some(b'?') => instruction(after, open),
            Some(first) if first.is_ascii_alphabetic() || *first >= 0x80 => {
                let nested = open < covered;
                if nested && allowance == 0 {
                    element_alone(bytes, open, at)
                } else {
                    let (found, end) = open_tag(bytes, open, at, steps);
                    if nested {
                        allowance = allowance.saturating_sub(end - open);
                    } else {
                        covered = end;
                    }
                    found
                }
            }
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Script calls close behind a tag open, of whatever kind: what a filter that strips brackets or tags leaves of an
/// attack, and markup that only some browsers know.
pub(super) fn near_sink(bytes: &[u8]) -> Option<Hit> {
    let mut from = 0;
    while let Some(sink) = js::probe(bytes.get(from..)?) {
        let (start, end) = (from + sink.start, from + sink.end);
        let before = bytes.get(start.saturating_sub(NEAR)..start)?;
        let bracket = memchr::memrchr2_iter(b'<', b'>', before).find(|&at| {
            let (text, rest) = before.split_at_checked(at).unwrap_or_default();
            opens_tag(rest) || text.ends_with(b"script")
        });
        let after = bytes.get(end..)?;
        let closes = || scan::find(after.get(..after.len().min(NEAR)).unwrap_or_default(), b"/script");
        if bracket.is_some() || closes().is_some() || ends_tag(after) {
            return Hit::new("XSS-SINK", start..end);
        }
        from = end;
    }
    None
}

/// Whether the call is the last thing in a tag that the page opened: `alert(1)>`, `alert(1)//'>`.
fn ends_tag(arguments: &[u8]) -> bool {
    let near = arguments.get(..arguments.len().min(64)).unwrap_or_default();
    let Some(close) = memchr::memchr(b')', near) else { return false };
    let rest = near.get(close + 1..).unwrap_or_default();
    let signs = rest.iter().take(8).take_while(|byte| b");/'\"`*]}".contains(byte)).count();
    let after = rest.get(signs..).unwrap_or_default();
    matches!(after, [b'>'] | [b'>', b'<', ..])
}

fn end_tag(after: &[u8], open: usize) -> Option<Hit> {
    let (name, length) = tag_name(after.get(1..)?);
    if name.bytes() == b"script" { Hit::new("XSS-SCRIPT", open..open + 2 + length) } else { None }
}

fn instruction(after: &[u8], open: usize) -> Option<Hit> {
    let target = after.get(1..)?;
    let known = [&b"import"[..], b"xml-stylesheet", b"xml:namespace"];
    let found = known.iter().find(|known| crate::scan::starts_with_ignore_case(target, known))?;
    let next = target.get(found.len()).copied().unwrap_or(b' ');
    if is_space(next) || next == b'/' {
        Hit::new("XSS-INSTRUCTION", open..open + 2 + found.len())
    } else {
        None
    }
}

/// Reads the tag whose name starts at `at`; says where it ends too.
fn open_tag(bytes: &[u8], open: usize, at: usize, steps: &mut Steps) -> (Option<Hit>, usize) {
    let (name, length) = tag_name(bytes.get(at..).unwrap_or_default());
    if length == 0 {
        return (None, at);
    }
    let end_of_name = at + length;
    let always = always(name.bytes()) && ends_name(bytes, end_of_name);
    let mut attributes = Attributes::new(bytes, end_of_name);
    let mut seen = Seen::default();
    while let Some(attribute) = attributes.next() {
        if !steps.take(1) {
            return (None, attributes.at());
        }
        if let Some(detector) = attribute::runs(&attribute) {
            return (Hit::new(detector, attribute.from..attribute.to), attributes.at());
        }
        if always && !attribute.value.is_empty() {
            return (Hit::new("XSS-SCRIPT", open..attribute.to), attributes.at());
        }
        seen.note(&attribute);
        if seen.loads(name.bytes()) && !is_frame(name.bytes()) {
            return (Hit::new("XSS-ELEMENT", open..attribute.to), attributes.at());
        }
    }
    let end = attributes.at();
    // Only all of its attributes say whether a frame is an embedded player.
    if seen.loads(name.bytes()) && !seen.embeds() {
        return (Hit::new("XSS-ELEMENT", open..end), end);
    }
    if end >= bytes.len() && dangles(bytes.get(open..).unwrap_or_default()) {
        return (Hit::new("XSS-DANGLING", open..end), end);
    }
    // A tag that the value leaves open swallows what the page has next; it runs nothing of the value's.
    if always && end < bytes.len() {
        return (Hit::new("XSS-SCRIPT", open..end), end);
    }
    if name.bytes() == b"style" {
        let content = bytes.get(end..).unwrap_or_default();
        let close = memchr::memchr(b'<', content).unwrap_or(content.len());
        let sheet = content.get(..close).unwrap_or_default();
        if css::runs(sheet) || css::obfuscated(sheet) || css::reports(sheet) {
            return (Hit::new("XSS-STYLE", open..end + close), end);
        }
    }
    (None, end)
}

/// Whether the tag ends in a URL that is left open at a parameter's value, into which the page's own text then runs:
/// `<img src="//host/?x=`.
fn dangles(tag: &[u8]) -> bool {
    let Some((b'=', url)) = tag.split_last().filter(|_| tag.len() <= LONGEST_DANGLING) else { return false };
    let Some(quote) = url.iter().rposition(|byte| matches!(byte, b'"' | b'\'')) else { return false };
    let (before, address) = (url.get(..quote).unwrap_or_default(), url.get(quote + 1..).unwrap_or_default());
    let remote = [&b"//"[..], b"http://", b"https://"].iter().any(|scheme| address.starts_with(scheme));
    let even = before.iter().filter(|byte| Some(*byte) == url.get(quote)).count() % 2 == 0;
    remote && even && before.trim_ascii_end().ends_with(b"=") && address.contains(&b'?')
}

/// How long such a tag is at most.
const LONGEST_DANGLING: usize = 1024;

fn element_alone(bytes: &[u8], open: usize, at: usize) -> Option<Hit> {
    let (name, length) = tag_name(bytes.get(at..)?);
    let found = always(name.bytes()) && ends_name(bytes, at + length);
    if found { Hit::new("XSS-SCRIPT", open..at + length) } else { None }
}

/// The tag's name and how many bytes it takes.
fn tag_name(bytes: &[u8]) -> (Name, usize) {
    let is_name = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.' | 0) || *byte >= 0x80
    };
    let length = bytes.iter().take(64).take_while(|byte| is_name(byte)).count();
    (Name::new(bytes.get(..length).unwrap_or_default()), length)
}

/// Whether a name that ends here is the whole name: other signs would belong to it. Escapes that a decoder behind the
/// application may undo end it too.
fn ends_name(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(|&byte| {
        is_space(byte) || matches!(byte, b'/' | b'>' | b'<' | b'\\' | b'+' | b'&' | b'%')
    })
}

/// Elements that run or load by being there.
fn always(name: &[u8]) -> bool {
    matches!(name, b"script" | b"applet" | b"frameset" | b"isindex" | b"vmlframe" | b"xss")
}

/// What an element's attributes have said so far.
#[derive(Debug, Default)]
struct Seen {
    source: bool,
    trusted: bool,
    binary: bool,
    relation: bool,
    refresh: bool,
    event: bool,
    handler: bool,
    script: bool,
    identity: bool,
    remote: bool,
    wide: bool,
    high: bool,
    fullscreen: bool,
}

impl Seen {
    fn note(&mut self, attribute: &Attribute<'_>) {
        match attribute.name.bytes() {
            b"src" => {
                self.source = true;
                let plain = Plain::new(attribute.value);
                self.trusted = is_player(plain.bytes());
                self.remote = [&b"https://"[..], b"http://", b"//"]
                    .iter()
                    .any(|scheme| plain.bytes().starts_with(scheme));
            }
            b"width" => self.wide = true,
            b"height" => self.high = true,
            b"allowfullscreen" => self.fullscreen = true,
            b"href" if is_local(attribute.value) => {}
            b"href" | b"data" | b"classid" | b"codebase" | b"code" | b"archive" => self.source = true,
            b"type" => {
                self.binary |= memchr::memchr(b'/', attribute.value).is_some();
                self.script |= Plain::new(attribute.value).bytes().ends_with(b"javascript");
            }
            b"rel" => {
                let plain = Plain::new(attribute.value);
                let loads = [&b"stylesheet"[..], b"import", b"preload", b"manifest", b"serviceworker"];
                self.relation |= loads.iter().any(|word| scan::find(plain.bytes(), word).is_some());
            }
            b"http-equiv" => {
                let plain = Plain::new(attribute.value);
                self.refresh |= matches!(plain.bytes(), b"refresh" | b"set-cookie" | b"link");
            }
            b"charset" | b"content" => {
                self.refresh |= scan::find(Plain::new(attribute.value).bytes(), b"utf-7").is_some();
            }
            b"event" | b"observer" => self.event = true,
            b"handler" => self.handler = true,
            b"id" => self.identity = true,
            _ => {}
        }
    }

    /// Whether a frame is what sites offer to copy: another site's page, sized, that may fill the screen. Whoever only
    /// wants a frame there does not take that trouble.
    fn embeds(&self) -> bool {
        self.remote && self.wide && self.high && self.fullscreen
    }

    /// Whether an element of this name with these attributes loads or runs something.
    fn loads(&self, name: &[u8]) -> bool {
        match name {
            b"iframe" | b"frame" => self.source && !self.trusted,
            b"embed" => (self.source || self.binary) && !self.trusted,
            b"object" => self.source || self.binary,
            b"base" => self.source,
            b"link" => self.source && self.relation,
            b"meta" => self.refresh,
            b"handler" | b"listener" => self.event,
            b"style" => self.script,
            _ if self.event && self.handler => true,
            b"xml" => self.source || self.identity,
            _ => false,
        }
    }
}

fn is_frame(name: &[u8]) -> bool {
    matches!(name, b"iframe" | b"frame")
}

/// Whether an address can only lead to the site itself: `/a.css`, `../a.css`.
fn is_local(address: &[u8]) -> bool {
    let address = address.trim_ascii();
    let rooted = matches!(address, [b'/', next, ..] if next.is_ascii_alphanumeric());
    (rooted || address.starts_with(b"./") || address.starts_with(b"../"))
        && address.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-?=".contains(byte))
}

/// How far from a tag open a call is still part of it.
const NEAR: usize = 96;

/// Whether a frame shows a video, map or post from a host that editors embed by themselves.
fn is_player(plain: &[u8]) -> bool {
    let Some(rest) = plain.strip_prefix(b"https://").or_else(|| plain.strip_prefix(b"//")) else {
        return false;
    };
    let rest = rest.strip_prefix(b"www.").unwrap_or(rest);
    PLAYERS.iter().any(|player| rest.starts_with(player))
}

const PLAYERS: &[&[u8]] = &[
    b"youtube.com/embed/",
    b"youtube-nocookie.com/embed/",
    b"player.vimeo.com/video/",
    b"google.com/maps/embed",
    b"open.spotify.com/embed/",
    b"w.soundcloud.com/player/",
    b"dailymotion.com/embed/",
    b"player.bilibili.com/player.html",
];
