//! From trees to a policy: every value checked, every problem told.

pub(crate) mod address;
mod alert;
mod document;
mod reader;
pub(crate) mod site;

pub(crate) use self::alert::Alert;
pub(crate) use self::document::Draft;
pub(crate) use self::reader::{Object, Reader, fold};
