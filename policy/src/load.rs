//! Reading a policy file.

use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why a policy file can not be used.
#[derive(Debug, Error)]
#[error("{file}:{line}:{column}: {key}{reason}")]
pub struct PolicyError {
    /// The file.
    pub file: String,
    /// Line of the fault, counted from 1.
    pub line: usize,
    /// Column of the fault, counted from 1.
    pub column: usize,
    /// The key that holds the fault, with a colon; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

/// Reads `text`, the content of `file`.
pub(crate) fn json<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, PolicyError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let key = if path == "." { String::new() } else { format!("{path}: ") };
        PolicyError::new(file, key, error.inner())
    })?;
    deserializer.end().map_err(|error| PolicyError::new(file, String::new(), &error))?;
    Ok(value)
}

impl PolicyError {
    fn new(file: &str, key: String, error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let place = format!(" at line {line} column {column}");
        let reason = text.strip_suffix(&place).unwrap_or(&text).to_owned();
        Self { file: file.to_owned(), line, column, key, reason }
    }
}
