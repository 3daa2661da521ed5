//! Names that rules refer to: lists and signals.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::lists::List;
use crate::read::Reader;
use crate::signals;
use crate::source::Node;

/// Lists and signals by name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    lists: HashMap<String, Arc<List>>,
    /// The operator's own signals, by their name in lower case.
    own: BTreeMap<String, Arc<str>>,
}

impl Names {
    /// Adds a list; false where there is one of that name.
    pub(crate) fn add_list(&mut self, list: List) -> bool {
        self.lists.insert(list.name.clone(), Arc::new(list)).is_none()
    }

    /// Adds a signal; false where there is one of that name.
    pub(crate) fn add_signal(&mut self, name: &str) -> bool {
        self.own.insert(name.to_ascii_lowercase(), name.into()).is_none()
    }

    /// The list called `name`, also as the newer interface calls it.
    pub(crate) fn list(&self, name: &str) -> Option<Arc<List>> {
        let name = match name.split_once('.') {
            Some(("workspace", rest)) => format!("site.{rest}"),
            Some(("account", rest)) => format!("corp.{rest}"),
            _ => name.to_owned(),
        };
        self.lists.get(&name).cloned()
    }

    /// The signal called `name`; a problem where there is none.
    pub(crate) fn signal(&self, reader: &mut Reader, node: &Node, name: &str) -> Option<Arc<str>> {
        let Some(name) = signals::canonical(name) else {
            reader.problem(node, format!("there is no signal called {name:?}"));
            return None;
        };
        if !name.starts_with("site.") && !name.starts_with("corp.") {
            return Some(name.into());
        }
        // Where some are described, one that is not is a slip of the pen.
        match self.own.get(&name.to_ascii_lowercase()) {
            Some(own) => Some(Arc::clone(own)),
            None => {
                if !self.own.is_empty() {
                    reader.warn(node, format!("the signal {name} is described nowhere"));
                }
                Some(name.into())
            }
        }
    }
}
