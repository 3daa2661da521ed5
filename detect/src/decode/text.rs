//! Whether decoded bytes are text: garbage must not reach the detectors.

/// Whether `bytes` is UTF-8 without control characters other than white space.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    let plain = |byte: &u8| *byte >= b' ' && *byte != 0x7f || matches!(byte, b'\t' | b'\n' | b'\r');
    if bytes.is_empty() || !bytes.iter().all(plain) {
        return false;
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // A cut character at the end is no garbage.
        Err(error) => error.error_len().is_none() && error.valid_up_to() + 4 > bytes.len(),
    }
}

/// Whether the character of `length` bytes at `at` stands between two ASCII letters.
pub(crate) fn between_letters(bytes: &[u8], at: usize, length: usize) -> bool {
    let is_letter = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphabetic);
    is_letter(at.checked_sub(1)) && is_letter(at.checked_add(length))
}
