//! The country of an address, from a MaxMind database.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, PathElement, Reader};
use thiserror::Error;

/// Bytes that a database may have: it is held in memory, as a mapped file faults when somebody truncates it.
const MOST: u64 = 512 * 1024 * 1024;

/// A database in memory.
#[derive(Debug)]
pub struct Countries(Reader<Vec<u8>>);

/// Why a database can not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CountriesError {
    /// The file can not be read.
    #[error("geo-database: cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any database.
    #[error("geo-database: {} is larger than {MOST} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a database.
    #[error("geo-database: {} is not a MaxMind database", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: MaxMindDbError,
    },
}

impl Countries {
    /// Reads the database at `path`.
    ///
    /// # Errors
    ///
    /// When it can not be read, or is none.
    pub fn open(path: &Path) -> Result<Self, CountriesError> {
        let unread = |source| CountriesError::Read { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(unread)?.len() > MOST {
            return Err(CountriesError::TooLarge { path: path.to_owned() });
        }
        let bytes = std::fs::read(path).map_err(unread)?;
        let reader = Reader::from_source(bytes)
            .map_err(|source| CountriesError::Format { path: path.to_owned(), source })?;
        Ok(Self(reader))
    }

    /// The country of `address` as two letters; none where the database does not know.
    pub fn of(&self, address: IpAddr) -> Option<&str> {
        let found = self.0.lookup(address).ok()?;
        let at = |of: &'static str| {
            found.decode_path::<&str>(&[PathElement::Key(of), PathElement::Key("iso_code")]).ok().flatten()
        };
        at("country").or_else(|| at("registered_country"))
    }
}
