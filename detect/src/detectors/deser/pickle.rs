//! Python pickles that call a function while they are read.

use crate::decode;
use crate::detectors::deser::Place;
use crate::scan;

/// Modules from which a pickle takes what it calls.
const MODULES: [&[u8]; 12] = [
    b"os",
    b"posix",
    b"nt",
    b"subprocess",
    b"builtins",
    b"__builtin__",
    b"commands",
    b"sys",
    b"pty",
    b"runpy",
    b"platform",
    b"socket",
];

/// How the base64 of a binary pickle begins: its magic and protocols 2 to 5.
const ENCODED: [&[u8]; 4] = [b"gAJ", b"gAN", b"gAS", b"gAW"];

/// Reads `bytes` as a pickle, binary, in base64 or of protocol 0.
pub(super) fn read(bytes: &[u8]) -> Option<Place> {
    binary(bytes).or_else(|| encoded(bytes)).or_else(|| text(bytes))
}

fn encoded(bytes: &[u8]) -> Option<Place> {
    let text = bytes.trim_ascii();
    if !ENCODED.iter().any(|start| text.starts_with(start)) {
        return None;
    }
    let (detector, _, _) = binary(&decode::base64(text)?)?;
    Some((detector, 0, bytes.len()))
}

/// `\x80\x04 ... \x8c\x05posix\x94\x8c\x06system\x94\x93 ... R.`
fn binary(bytes: &[u8]) -> Option<Place> {
    let [0x80, 0..=5, body @ ..] = bytes else { return None };
    let calls = body.iter().any(|byte| matches!(byte, b'R' | b'o' | b'i' | 0x81));
    let names = |module: &&[u8]| {
        scan::find_all(body, module).any(|at| {
            let before = at.checked_sub(1).and_then(|at| body.get(at)).copied();
            let length = before.map(usize::from) == Some(module.len());
            let after = body.get(at + module.len());
            length || before == Some(b'c') && after == Some(&b'\n')
        })
    };
    let end = bytes.trim_ascii_end().ends_with(b".");
    (calls && end && MODULES.iter().any(names)).then_some(("PYTHON-PICKLE", 0, 2))
}

/// `cos\nsystem\n(S'id'\ntR.`
fn text(bytes: &[u8]) -> Option<Place> {
    let mut start = 0;
    for line in bytes.split(|&byte| byte == b'\n') {
        let length = line.len();
        // The opcode may follow others on its line.
        let opcode = line.iter().rposition(|&byte| byte == b'c');
        if let Some(at) = opcode {
            let module = line.get(at + 1..).unwrap_or_default();
            let rest = bytes.get(start + length + 1..).unwrap_or_default();
            let name = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
            let ended = rest.get(name) == Some(&b'\n');
            let marked = matches!(rest.get(name + 1), Some(b'(' | b'p' | b'q' | b'S' | b'V' | b'X'));
            if MODULES.contains(&module) && at <= 2 && name > 0 && ended && marked {
                return Some(("PYTHON-PICKLE", start + at, start + length));
            }
        }
        start += length + 1;
    }
    None
}
