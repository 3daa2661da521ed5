//! What happened, in numbers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($name:ident $doc:literal)*) => {
        /// Counts since the process started.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(#[doc = $doc] pub $name: Counter,)*
        }

        impl Counters {
            /// Every counter with its name.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.value()),)*].into_iter()
            }
        }
    };
}

counters! {
    connections "Connections accepted."
    allowed "Requests let pass after inspection."
    blocked "Requests stopped."
    unwatched "Requests let pass because the agent is off."
    timed_out "Requests not inspected because it took too long."
    shed "Requests not inspected because too many were under inspection."
    faulted "Requests not inspected because the agent failed on them."
    updates "Responses reported by id."
    posts "Responses reported together with their request."
    modules "Modules that announced themselves."
    refused "Calls answered with an error."
    cut_off "Connections that ended, or ran out of time, within a request."
}

/// One number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters that are not zero, for one line of log.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, value) in self.all().filter(|(_, value)| *value > 0) {
            write!(f, "{separator}{name} {value}")?;
            separator = ", ";
        }
        Ok(())
    }
}
