//! From trees to a policy: every value checked, every problem told.

mod action;
pub(crate) mod address;
mod alert;
mod condition;
mod document;
mod list;
mod names;
mod reader;
mod redaction;
mod rule;
pub(crate) mod site;
mod template;

pub(crate) use self::alert::Alert;
pub(crate) use self::document::Draft;
pub(crate) use self::names::Names;
pub(crate) use self::reader::{Object, Reader, fold};
pub(crate) use self::template::VirtualPatch;
