//! Signals: the engine's findings and their vocabulary.

use std::fmt;
use std::ops::Range;

/// How much a tag weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Counts toward flagging and may block.
    Attack,
    /// Unusual, never blocks by itself.
    Anomaly,
    /// A fact about the request.
    Info,
}

macro_rules! tags {
    ($($variant:ident $name:literal $kind:ident $doc:literal)*) => {
        /// What a signal says. The names are those of the field; see docs/signals.md.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Tag {
            $(#[doc = $doc] $variant,)*
        }

        impl Tag {
            /// Every tag that the engine can raise.
            pub const ALL: &'static [Tag] = &[$(Tag::$variant),*];

            /// The name that users, policies and records know.
            pub const fn as_str(self) -> &'static str {
                match self { $(Tag::$variant => $name,)* }
            }

            /// How much the tag weighs.
            pub const fn kind(self) -> Kind {
                match self { $(Tag::$variant => Kind::$kind,)* }
            }

            /// One line on what the tag means.
            pub const fn description(self) -> &'static str {
                match self { $(Tag::$variant => $doc,)* }
            }
        }
    };
}

tags! {
    Sqli "SQLI" Attack "SQL that would alter a query"
    Xss "XSS" Attack "markup or script that a browser would run"
    Cmdexe "CMDEXE" Attack "operating system command syntax"
    Traversal "TRAVERSAL" Attack "a path that leaves its folder, or names a system file"
    Useragent "USERAGENT" Attack "a scanner or exploit tool"
    Backdoor "BACKDOOR" Attack "a request for a well-known web shell"
    Log4jJndi "LOG4J-JNDI" Attack "a Log4j lookup, also obfuscated"
    Xxe "XXE" Attack "an external entity in XML"
    AwsSsrf "AWS-SSRF" Attack "a request aimed at a cloud instance's metadata service"
    GraphqlDepth "GRAPHQL-DEPTH" Attack "a GraphQL query nested deeper than allowed"
    CodeInjection "CODEINJECTION" Attack "PHP, Java, JavaScript, Python, Ruby or Perl code"
    Ssti "SSTI" Attack "a template expression"
    Ssi "SSI" Attack "a server-side include or ESI directive"
    Ssrf "SSRF" Attack "a URL that makes the server call inward, or a dangerous scheme"
    Nosql "NOSQL" Attack "a NoSQL query operator where a value belongs"
    Ldap "LDAP" Attack "an LDAP filter break-out"
    Xpath "XPATH" Attack "an XPath break-out"
    MailInjection "MAIL-INJECTION" Attack "IMAP, POP or SMTP commands or header lines"
    ResponseSplit "RESPONSESPLIT" Attack "CR or LF that would add a header or a response"
    Deserialization "DESERIALIZATION" Attack "a serialized object of a dangerous kind"
    PrototypePollution "PROTOTYPE-POLLUTION" Attack "a key that reaches an object's prototype"
    SessionFixation "SESSION-FIXATION" Attack "a framework's session cookie handed over as a parameter"
    Smuggling "SMUGGLING" Attack "a second request hidden in a value or body"
    VirtualPatch "VIRTUAL-PATCH" Info "a published vulnerability's request"
    AbnormalPath "ABNORMALPATH" Anomaly "a path that differs from its normal form"
    Bhh "BHH" Anomaly "malformed hop headers: Transfer-Encoding, Content-Length"
    BodyParserEvasion "BODY-PARSER-EVASION" Anomaly "a body built to be read differently by different parsers"
    Compressed "COMPRESSED" Anomaly "a compressed body that could not be read"
    DoubleEncoding "DOUBLEENCODING" Anomaly "percent encoding applied twice"
    DuplicateHeaders "DUPLICATE-HEADERS" Anomaly "a header repeated that must stand once"
    ForcefulBrowsing "FORCEFULBROWSING" Anomaly "failed access to an admin page"
    GraphqlApi "GRAPHQL-API" Info "a GraphQL request"
    GraphqlIde "GRAPHQL-IDE" Info "a GraphQL IDE's page, or a request from one"
    GraphqlIntrospection "GRAPHQL-INTROSPECTION" Info "an introspection query"
    GraphqlDuplicateVariables "GRAPHQL-DUPLICATE-VARIABLES" Anomaly "a GraphQL variable defined twice"
    GraphqlUndefinedVariables "GRAPHQL-UNDEFINED-VARIABLES" Anomaly "a GraphQL variable used but not defined"
    GraphqlMissingOperation "GRAPHQL-MISSING-REQUIRED-OPERATION-NAME" Anomaly "several operations and no name to choose one"
    Http403 "HTTP403" Info "the response was 403"
    Http404 "HTTP404" Info "the response was 404"
    Http429 "HTTP429" Info "the response was 429"
    Http4xx "HTTP4XX" Info "the response was another 4xx"
    Http500 "HTTP500" Info "the response was 500"
    Http503 "HTTP503" Info "the response was 503"
    Http5xx "HTTP5XX" Info "the response was another 5xx"
    InsecureAuth "INSECURE-AUTH" Anomaly "a weak or unsafe Authorization header"
    JsonError "JSON-ERROR" Anomaly "a body declared JSON does not parse"
    XmlError "XML-ERROR" Anomaly "a body declared XML does not parse"
    MalformedData "MALFORMED-DATA" Anomaly "a body malformed for its content type"
    NoContentType "NO-CONTENT-TYPE" Anomaly "a body without a Content-Type"
    NotUtf8 "NOTUTF8" Anomaly "invalid UTF-8"
    NoUa "NOUA" Anomaly "no User-Agent"
    NullByte "NULLBYTE" Anomaly "a NUL byte in a value"
    OobDomain "OOB-DOMAIN" Anomaly "a known out-of-band callback domain"
    PrivateFile "PRIVATEFILE" Anomaly "a request for a file that should not be served"
    Scanner "SCANNER" Anomaly "a commercial scanner"
    WeakTls "WEAKTLS" Anomaly "an old TLS protocol or cipher"
    SuspectedBot "SUSPECTED-BOT" Info "automation that does not say who it is"
    SuspectedBadBot "SUSPECTED-BAD-BOT" Anomaly "automation with marks of abuse"
    InspectionLimit "INSPECTION-LIMIT" Anomaly "a budget was spent: part of the request was not inspected"
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where in the request a signal's value stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// The request as a whole.
    Request,
    /// The path of the target.
    Path,
    /// The query of the target.
    QueryString,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// The body.
    Post,
    /// The User-Agent header.
    UserAgent,
    /// The response.
    Response,
}

impl Location {
    /// The name used in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Path => "PATH",
            Self::QueryString => "QUERYSTRING",
            Self::Header => "HEADER",
            Self::Cookie => "COOKIE",
            Self::Post => "POST",
            Self::UserAgent => "USERAGENT",
            Self::Response => "RESPONSE",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// What was found.
    pub tag: Tag,
    /// Where.
    pub location: Location,
    /// The parameter, header, cookie or key it stood in; empty for a finding about the whole.
    pub name: Vec<u8>,
    /// The decoded form that fired, cut to [`Budgets::evidence_bytes`](crate::Budgets) around the evidence.
    pub value: Vec<u8>,
    /// The evidence within `value`.
    pub span: Range<usize>,
    /// Which idea of which detector fired.
    pub detector: &'static str,
}

/// All that was found in one request, bounded by [`Budgets::signals`](crate::Budgets).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    items: Vec<Signal>,
    dropped: usize,
}

impl Signals {
    /// Keeps `signal` unless the same tag already stands for the same place or `limit` are kept.
    pub(crate) fn push(&mut self, signal: Signal, limit: usize) {
        let same = |kept: &Signal| {
            kept.tag == signal.tag && kept.location == signal.location && kept.name == signal.name
        };
        if self.items.iter().any(same) {
            return;
        }
        if self.items.len() < limit {
            self.items.push(signal);
            return;
        }
        self.dropped += 1;
        // A flood of anomalies must not hide the attack that comes after it.
        let weaker = |kept: &&mut Signal| kept.tag.kind() != Kind::Attack;
        if signal.tag.kind() == Kind::Attack
            && let Some(kept) = self.items.iter_mut().rev().find(weaker)
        {
            *kept = signal;
        }
    }

    /// The findings in the order in which they were made.
    pub fn iter(&self) -> std::slice::Iter<'_, Signal> {
        self.items.iter()
    }

    /// How many findings are kept.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many findings did not fit.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Whether an attack is among the findings.
    pub fn has_attack(&self) -> bool {
        self.items.iter().any(|signal| signal.tag.kind() == Kind::Attack)
    }
}

impl FromIterator<Signal> for Signals {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        let mut found = Self::default();
        for signal in signals {
            found.push(signal, usize::MAX);
        }
        found
    }
}

impl<'a> IntoIterator for &'a Signals {
    type Item = &'a Signal;
    type IntoIter = std::slice::Iter<'a, Signal>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_an_attack_behind_a_flood_of_anomalies() {
        let signal = |tag, name: u8| Signal {
            tag,
            location: Location::QueryString,
            name: vec![name],
            value: Vec::new(),
            span: 0..0,
            detector: "TEST",
        };
        let mut signals = Signals::default();
        for name in 0..10 {
            signals.push(signal(Tag::NullByte, name), 4);
        }
        assert!(!signals.has_attack());
        signals.push(signal(Tag::Sqli, 0), 4);
        assert!(signals.has_attack());
        assert_eq!((signals.len(), signals.dropped()), (4, 7));
    }
}
