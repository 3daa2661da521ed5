//! Server pages of Java and Microsoft: what `<%` begins and no template of another language has.

use crate::scan::starts_with_ignore_case;

/// What follows `<%@`.
const DIRECTIVES: [&[u8]; 12] = [
    b"page",
    b"taglib",
    b"include",
    b"tag",
    b"language",
    b"import",
    b"register",
    b"assembly",
    b"control",
    b"master",
    b"webhandler",
    b"webservice",
];

/// What statements and expressions begin with that write the answer or run the request.
const STATEMENTS: [&[u8]; 10] = [
    b"eval request",
    b"eval(request",
    b"execute request",
    b"execute(request",
    b"executeglobal",
    b"out.print",
    b"response.write",
    b"response.binarywrite",
    b"request.getparameter",
    b"server.createobject",
];

/// Elements by which a page that is written as XML holds code.
const ELEMENTS: [&[u8]; 5] =
    [b"<jsp:scriptlet", b"<jsp:declaration", b"<jsp:expression", b"<jsp:include", b"<jsp:usebean"];

/// `<%@ page import="java.io.*" %>`, `<%eval request("c")%>`, `<jsp:scriptlet>`; `rest` starts at the `<`.
pub(super) fn tag(rest: &[u8]) -> Option<usize> {
    if let Some(element) = ELEMENTS.iter().find(|element| starts_with_ignore_case(rest, element)) {
        return Some(element.len());
    }
    let inner = rest.strip_prefix(b"<%")?;
    if let Some(directive) = inner.strip_prefix(b"@") {
        let directive = directive.trim_ascii_start();
        return DIRECTIVES.iter().any(|known| is_word(directive, known)).then_some(3);
    }
    let code = inner.strip_prefix(b"=").unwrap_or(inner).trim_ascii_start();
    STATEMENTS.iter().any(|known| starts_with_ignore_case(code, known)).then_some(2)
}

fn is_word(text: &[u8], word: &[u8]) -> bool {
    let next = text.get(word.len());
    starts_with_ignore_case(text, word)
        && next.is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'=')
}
