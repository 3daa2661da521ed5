//! Options that are one of a few words.

use crate::table::OptionValue;
use crate::values::ValueError;

macro_rules! choice {
    ($(#[$meta:meta])* $choice:ident $form:literal { $($(#[$word_meta:meta])* $variant:ident $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $choice {
            $($(#[$word_meta])* $variant,)*
        }

        impl OptionValue for $choice {
            const FORM: &'static str = $form;

            fn read(text: &str) -> Result<Self, ValueError> {
                match text.trim().to_ascii_lowercase().as_str() {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(ValueError::Form { expected: concat!("one of ", $form) }),
                }
            }

            fn show(&self) -> String {
                match self { $(Self::$variant => $word,)* }.to_owned()
            }
        }
    };
}

choice! {
    /// How much is logged.
    LogLevel "error|warn|info|debug|trace" {
        /// Somebody must act.
        Error "error",
        /// Something is degraded.
        Warn "warn",
        /// The agent's life.
        Info "info",
        /// A line a request.
        Debug "debug",
        /// Everything.
        Trace "trace",
    }
}

choice! {
    /// What a log line looks like.
    LogFormat "text|json" {
        /// For people.
        Text "text",
        /// One JSON object a line.
        Json "json",
    }
}

choice! {
    /// Which dialect of StatsD the sink speaks.
    StatsdType "statsd|dogstatsd" {
        /// Names only.
        Statsd "statsd",
        /// Names and tags.
        Dogstatsd "dogstatsd",
    }
}
