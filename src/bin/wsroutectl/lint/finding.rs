//! One thing that is wrong, or worth knowing.

use mod_wsroute::apache::Place;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing.
    Note,
    /// It fails for some, or later; or it is unsafe.
    Warning,
    /// It cannot work.
    Error,
}

impl Level {
    /// As it is printed.
    pub fn word(self) -> &'static str {
        match self {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// What a check found. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The line to mend.
    pub place: Place,
    /// What is wrong, one line.
    pub what: String,
    /// What to do, one line.
    pub mend: String,
}

impl Finding {
    /// It cannot work.
    pub fn error(place: &Place, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { level: Level::Error, place: place.clone(), what: what.into(), mend: mend.into() }
    }

    /// It fails for some, or later; or it is unsafe.
    pub fn warning(place: &Place, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, ..Finding::error(place, what, mend) }
    }

    /// Worth knowing.
    pub fn note(place: &Place, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { level: Level::Note, ..Finding::error(place, what, mend) }
    }
}
