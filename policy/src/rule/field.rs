//! What conditions can ask about.

/// A fact of which a request has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Scheme,
    Method,
    Path,
    UserAgent,
    Domain,
    Ip,
    ResponseCode,
    AgentName,
    ParamName,
    ParamValue,
    Country,
    Ja3,
    Ja4,
    ProtocolVersion,
}

/// What a request has any number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Multi {
    Signal,
    RequestHeader,
    ResponseHeader,
    QueryParameter,
    PostParameter,
    RequestCookie,
}

/// What is asked about one of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Name,
    Value,
    ValueInt,
    ValueIp,
    SignalType,
}

/// What kind of value a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text, compared as it is.
    Exact,
    /// Text, compared without case.
    Fold,
    /// One of a few words, compared without case.
    Word,
    /// A number, also as text.
    Code,
    /// A number.
    Number,
    /// An address.
    Ip,
}

impl Field {
    pub(crate) const ALL: &'static [(&'static str, Self)] = &[
        ("scheme", Self::Scheme),
        ("method", Self::Method),
        ("path", Self::Path),
        ("useragent", Self::UserAgent),
        ("domain", Self::Domain),
        ("ip", Self::Ip),
        ("responseCode", Self::ResponseCode),
        ("agentname", Self::AgentName),
        ("paramname", Self::ParamName),
        ("parameterName", Self::ParamName),
        ("paramvalue", Self::ParamValue),
        ("parameterValue", Self::ParamValue),
        ("country", Self::Country),
        ("ja3Fingerprint", Self::Ja3),
        ("ja4Fingerprint", Self::Ja4),
        ("protocolVersion", Self::ProtocolVersion),
    ];

    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Scheme | Self::Method | Self::Country => Kind::Word,
            Self::Domain | Self::ProtocolVersion | Self::Ja3 => Kind::Fold,
            Self::Path
            | Self::UserAgent
            | Self::AgentName
            | Self::ParamName
            | Self::ParamValue
            | Self::Ja4 => Kind::Exact,
            Self::ResponseCode => Kind::Code,
            Self::Ip => Kind::Ip,
        }
    }

    /// Whether it is known only once there is a response.
    pub(crate) const fn is_of_response(self) -> bool {
        matches!(self, Self::ResponseCode)
    }
}

impl Multi {
    pub(crate) const ALL: &'static [(&'static str, Self)] = &[
        ("signal", Self::Signal),
        ("requestHeader", Self::RequestHeader),
        ("responseHeader", Self::ResponseHeader),
        ("queryParameter", Self::QueryParameter),
        ("postParameter", Self::PostParameter),
        ("requestCookie", Self::RequestCookie),
    ];

    pub(crate) const fn is_of_response(self) -> bool {
        matches!(self, Self::ResponseHeader)
    }
}

impl Part {
    pub(crate) const ALL: &'static [(&'static str, Self)] = &[
        ("name", Self::Name),
        ("parameterName", Self::Name),
        ("paramname", Self::Name),
        ("value", Self::Value),
        ("valueString", Self::Value),
        ("parameterValue", Self::Value),
        ("paramvalue", Self::Value),
        ("valueInt", Self::ValueInt),
        ("valueIp", Self::ValueIp),
        ("signalType", Self::SignalType),
        ("type", Self::SignalType),
    ];

    /// Whether something of the kind `of` has it.
    pub(crate) const fn is_of(self, of: Multi) -> bool {
        match self {
            Self::Name | Self::Value => true,
            Self::ValueInt | Self::ValueIp => !matches!(of, Multi::Signal),
            Self::SignalType => matches!(of, Multi::Signal),
        }
    }

    pub(crate) const fn kind(self, of: Multi) -> Kind {
        match (self, of) {
            (Self::Name, Multi::RequestHeader | Multi::ResponseHeader) | (Self::SignalType, _) => Kind::Fold,
            (Self::Name | Self::Value, _) => Kind::Exact,
            (Self::ValueInt, _) => Kind::Number,
            (Self::ValueIp, _) => Kind::Ip,
        }
    }
}
