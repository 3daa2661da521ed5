//! The texts that a policy is made of: one file, or all of a folder.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use portcullis_policy::Source;
use thiserror::Error;

/// Bytes that a policy may have, and files.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
const MOST_FILES: usize = 256;

/// What file names end in.
const ENDINGS: &[&str] = &["json", "yaml", "yml"];

/// The texts as they were read.
#[derive(Clone, Debug, Default)]
pub struct PolicyFiles(Vec<(String, String)>);

/// Why they can not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PolicyFilesError {
    /// The system refuses.
    #[error("policy-file: cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// They are larger than any policy.
    #[error("policy-file: {} holds more than {MOST_BYTES} bytes", path.display())]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
    },
    /// There are too many.
    #[error("policy-file: {} holds more than {MOST_FILES} files", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// There is none.
    #[error("policy-file: {} holds no file that ends in .json, .yaml or .yml", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not text.
    #[error("policy-file: {} is not UTF-8", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
    },
}

impl PolicyFiles {
    /// Reads the file at `path`, or those in the folder there, in the order of their names. Names that begin with a dot
    /// are left out: Kubernetes keeps the versions of a mounted folder under such names.
    ///
    /// # Errors
    ///
    /// When they can not be read, or are too many or too large.
    pub fn read(path: &Path) -> Result<Self, PolicyFilesError> {
        let unread = |source| PolicyFilesError::Read { path: path.to_owned(), source };
        let mut left = MOST_BYTES;
        if !std::fs::metadata(path).map_err(unread)?.is_dir() {
            let text = text(path, &mut left, path)?;
            return Ok(Self(vec![(path.display().to_string(), text)]));
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unread)? {
            let file = entry.map_err(unread)?.path();
            let hidden = file.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
            let known = file.extension().is_some_and(|end| ENDINGS.iter().any(|known| end == *known));
            if hidden || !known {
                continue;
            }
            if files.len() == MOST_FILES {
                return Err(PolicyFilesError::TooMany { path: path.to_owned() });
            }
            files.push(file);
        }
        if files.is_empty() {
            return Err(PolicyFilesError::Empty { path: path.to_owned() });
        }
        files.sort();
        let read = |file: PathBuf| Ok((file.display().to_string(), text(&file, &mut left, path)?));
        files.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The texts in order.
    pub fn sources(&self) -> Vec<Source<'_>> {
        self.0.iter().map(|(name, text)| Source { name, text }).collect()
    }

    /// A number that is another one when names or texts are.
    pub fn fingerprint(&self) -> u64 {
        // Its keys are fixed: the same texts have the same number as long as the process runs.
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }
}

fn text(file: &Path, left: &mut u64, whole: &Path) -> Result<String, PolicyFilesError> {
    let unread = |source| PolicyFilesError::Read { path: file.to_owned(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(file).map_err(unread)?.take(*left + 1).read_to_end(&mut bytes).map_err(unread)?;
    *left = u64::try_from(bytes.len())
        .ok()
        .and_then(|len| left.checked_sub(len))
        .ok_or_else(|| PolicyFilesError::TooLarge { path: whole.to_owned() })?;
    String::from_utf8(bytes).map_err(|_| PolicyFilesError::Encoding { path: file.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn names(files: &PolicyFiles) -> Vec<String> {
        let name = |(name, _): &(String, String)| name.rsplit('/').next().unwrap_or_default().to_owned();
        files.0.iter().map(name).collect()
    }

    #[test]
    fn reads_a_folder_in_the_order_of_names() {
        let dir = TempDir::new().unwrap();
        for name in ["b.yaml", "a.json", "c.yml", "README.md", ".hidden.json"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        assert_eq!(names(&PolicyFiles::read(dir.path()).unwrap()), ["a.json", "b.yaml", "c.yml"]);
    }

    #[test]
    fn sees_a_folder_that_kubernetes_swaps() {
        let dir = TempDir::new().unwrap();
        let version = |name: &str, text: &str| {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("policy.json"), text).unwrap();
            symlink(name, dir.path().join("..fresh")).unwrap();
            fs::rename(dir.path().join("..fresh"), dir.path().join("..data")).unwrap();
        };
        version("..1", "{}");
        symlink("..data/policy.json", dir.path().join("policy.json")).unwrap();
        let first = PolicyFiles::read(dir.path()).unwrap();
        version("..2", "{ }");
        let second = PolicyFiles::read(dir.path()).unwrap();
        assert_eq!(names(&second), ["policy.json"]);
        assert_ne!(first.fingerprint(), second.fingerprint());
        assert_eq!(second.fingerprint(), PolicyFiles::read(dir.path()).unwrap().fingerprint());
    }

    #[test]
    fn refuses_what_is_no_policy() {
        let dir = TempDir::new().unwrap();
        assert!(matches!(PolicyFiles::read(dir.path()), Err(PolicyFilesError::Empty { .. })));
        fs::write(dir.path().join("a.json"), [0xff]).unwrap();
        assert!(matches!(PolicyFiles::read(dir.path()), Err(PolicyFilesError::Encoding { .. })));
        assert!(matches!(PolicyFiles::read(&dir.path().join("none")), Err(PolicyFilesError::Read { .. })));
        for number in 0..=MOST_FILES {
            fs::write(dir.path().join(format!("{number}.json")), "").unwrap();
        }
        assert!(matches!(PolicyFiles::read(dir.path()), Err(PolicyFilesError::TooMany { .. })));
    }
}
