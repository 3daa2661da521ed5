//! Why a message is refused.

/// A reason to refuse a request because of its framing. Each is answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejection {
    /// A line that ends in LF alone (RFC 9112 section 2.2).
    #[error("a line ends in LF without CR")]
    BareLineFeed,
    /// A CR that no LF follows (RFC 9112 section 2.2).
    #[error("a CR stands alone")]
    BareCarriageReturn,
    /// A NUL or another control character in the head.
    #[error("a control character in the head")]
    Control,
    /// Not `method SP target SP version`.
    #[error("a malformed request line")]
    RequestLine,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    #[error("an unknown protocol version")]
    Version,
    /// A header line that starts with white space (obs-fold, RFC 9112 section 5.2).
    #[error("a folded header line")]
    FoldedLine,
    /// A header name that is not a token, or white space before the colon (RFC 9112 section 5.1).
    #[error("a malformed header name")]
    HeaderName,
    /// A head larger than its limit.
    #[error("a head that is too large")]
    HeadTooLarge,
    /// More header lines than the limit.
    #[error("too many headers")]
    TooManyHeaders,
    /// A Content-Length that is not one plain number (RFC 9112 section 6.3).
    #[error("a malformed Content-Length")]
    ContentLength,
    /// More than one Content-Length.
    #[error("more than one Content-Length")]
    DuplicateContentLength,
    /// A Transfer-Encoding other than exactly `chunked`, or in HTTP/1.0 (RFC 9112 section 6.1).
    #[error("a Transfer-Encoding other than chunked")]
    TransferEncoding,
    /// More than one Transfer-Encoding.
    #[error("more than one Transfer-Encoding")]
    DuplicateTransferEncoding,
    /// Content-Length beside Transfer-Encoding (RFC 9112 section 6.1).
    #[error("Content-Length beside Transfer-Encoding")]
    LengthAndChunked,
    /// A header whose name reads as a framing header only to a lenient parser, such as `Content_Length`.
    #[error("a disguised framing header")]
    Disguised,
    /// No Host, two of them, or one that cannot be a host (RFC 9112 section 3.2).
    #[error("a missing, repeated or malformed Host")]
    Host,
    /// A chunk size that is not one to fifteen hexadecimal digits.
    #[error("a malformed chunk size")]
    ChunkSize,
    /// A chunk extension that is too long or holds control characters.
    #[error("a malformed chunk extension")]
    ChunkExtension,
    /// Chunk data that its CRLF does not follow.
    #[error("chunk data without its end")]
    ChunkEnd,
    /// A trailer section that is malformed, too large, or holds a framing header (RFC 9110 section 6.5.1).
    #[error("a malformed trailer")]
    Trailer,
    /// Frames that HTTP/2 forbids, or a flood of such as it allows, for which a connection was ended (RFC 9113 section 5.4.1).
    /// Not found here: it is the word of whoever speaks HTTP/2.
    #[error("a breach of the HTTP/2 protocol")]
    Http2,
}

impl Rejection {
    /// A stable name for logs, metrics and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BareLineFeed => "bare-lf",
            Self::BareCarriageReturn => "bare-cr",
            Self::Control => "control-character",
            Self::RequestLine => "request-line",
            Self::Version => "version",
            Self::FoldedLine => "obs-fold",
            Self::HeaderName => "header-name",
            Self::HeadTooLarge => "head-too-large",
            Self::TooManyHeaders => "too-many-headers",
            Self::ContentLength => "content-length",
            Self::DuplicateContentLength => "duplicate-content-length",
            Self::TransferEncoding => "transfer-encoding",
            Self::DuplicateTransferEncoding => "duplicate-transfer-encoding",
            Self::LengthAndChunked => "content-length-and-transfer-encoding",
            Self::Disguised => "disguised-framing-header",
            Self::Host => "host",
            Self::ChunkSize => "chunk-size",
            Self::ChunkExtension => "chunk-extension",
            Self::ChunkEnd => "chunk-end",
            Self::Trailer => "trailer",
            Self::Http2 => "http2",
        }
    }
}
