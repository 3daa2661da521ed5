//! GraphQL requests.

use crate::engine::Inspection;
use crate::input::json::Token;
use crate::signal::Location;

/// What the keys of a JSON body say about a GraphQL operation.
#[derive(Debug, Default)]
pub(crate) struct Operation;

impl Operation {
    /// Looks at one key or string of the body.
    pub(crate) fn token(
        &mut self,
        _token: &Token<'_>,
        _location: Location,
        _inspection: &mut Inspection<'_>,
    ) {
    }

    /// Reports on the operation once the body is read.
    pub(crate) fn finish(self, _location: Location, _inspection: &mut Inspection<'_>) {}
}
