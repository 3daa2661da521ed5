//! Every parser and decoder by name, for the fuzz targets.

use crate::decode;
use crate::input;

/// Runs the decoder called `name` on `bytes`, and says how much it decoded; none if there is no such decoder.
pub fn decode(name: &str, bytes: &[u8]) -> Option<usize> {
    decode::named(name).map(|decoder| decoder(bytes))
}

/// Runs the parser called `name` on `bytes`, and says how much it handed on; none if there is no such parser.
pub fn parse(name: &str, bytes: &[u8]) -> Option<usize> {
    input::named(name).map(|parser| parser(bytes))
}
