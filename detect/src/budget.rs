//! What inspecting one request may cost.

/// The limits under which one request is inspected.
///
/// Reaching a limit is an outcome: inspection of that part stops and [`Tag::InspectionLimit`](crate::Tag) names what
/// was not read, so that "not inspected" is never taken for "clean".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budgets {
    /// Bytes of body that are read, as received.
    pub body_bytes: usize,
    /// Bytes of body after decompression.
    pub inflated_bytes: usize,
    /// Largest ratio of decompressed to compressed body bytes.
    pub inflate_ratio: usize,
    /// Values (parameters, headers, cookies, JSON strings, ...) looked at in one request.
    pub fields: usize,
    /// Bytes of one value given to the detectors.
    pub value_bytes: usize,
    /// Nesting depth within one JSON, XML or GraphQL document.
    pub depth: usize,
    /// Depth of a GraphQL query from which on it is an attack; generated queries and introspection stay below.
    pub graphql_depth: usize,
    /// Documents within documents: JSON in a JSON string, JSON in a multipart part, a token in a header.
    pub nesting: usize,
    /// Bytes up to which a text file in a multipart body is read.
    pub file_bytes: usize,
    /// Distinct decoded forms of one value.
    pub forms: usize,
    /// Bytes of all decoded forms of one value.
    pub form_bytes: usize,
    /// Decoded bytes produced over the whole request.
    pub decoded_bytes: usize,
    /// Steps over the whole request: about one a token of a lexer, and one for every 64 bytes that a detector looks
    /// through. They bound the time that any request takes.
    pub steps: usize,
    /// Signals kept for one request.
    pub signals: usize,
    /// Bytes of a value kept as evidence in a signal.
    pub evidence_bytes: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            body_bytes: 512 * 1024,
            inflated_bytes: 1024 * 1024,
            inflate_ratio: 64,
            fields: 10_000,
            value_bytes: 96 * 1024,
            depth: 64,
            graphql_depth: 20,
            nesting: 4,
            file_bytes: 64 * 1024,
            forms: 12,
            form_bytes: 160 * 1024,
            decoded_bytes: 2 * 1024 * 1024,
            steps: 2_000_000,
            signals: 64,
            evidence_bytes: 256,
        }
    }
}

/// The steps left for one request; shared by all detectors.
#[derive(Debug)]
pub(crate) struct Steps {
    left: usize,
    exhausted: bool,
}

impl Steps {
    /// Starts with `left` steps.
    pub(crate) fn new(left: usize) -> Self {
        Self { left, exhausted: false }
    }

    /// Takes `n` steps; false once the budget is spent, and from then on.
    pub(crate) fn take(&mut self, n: usize) -> bool {
        match self.left.checked_sub(n) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.left = 0;
                self.exhausted = true;
                false
            }
        }
    }

    /// Refuses any further step.
    pub(crate) fn spend(&mut self) {
        (self.left, self.exhausted) = (0, true);
    }

    /// Whether a detector was refused a step.
    pub(crate) fn exhausted(&self) -> bool {
        self.exhausted
    }
}
