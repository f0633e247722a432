//! The calendar of rotations.
//!
//! ```text
//! occurrence      a moment of the cron expression, in UTC; or the last rotation + the period
//! due             occurrence + jitter
//! window          [occurrence, occurrence + window): outside of it nothing begins by itself
//! ```
//!
//! An occurrence is done when any run was begun at it or later, whoever began it: that is read from the ledger and not noted
//! anywhere else. Of those that were missed only the fact counts that there was one:
//!
//! - without a window, one run begins at once, as soon as a leader is there;
//! - with a window, one run begins at once where the window of the last occurrence is still open, else in the window of the
//!   next one, of which it is then the run. A window of `0 3 * * SUN` is what somebody approved for changes on Sundays from
//!   three to five; Monday at three is not in it.
//!
//! docs/decisions/0008-windows-and-missed-rotations.md says why.
//!
//! Invariant: nothing here knows a time zone. Cron is UTC, so no hour is skipped or comes twice.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use envelope::audit::sha256;
use jiff::{Zoned, tz::TimeZone};

use super::words::{span, timestamp};
use crate::ledger::ClusterId;

/// When a rotation begins by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    every: Every,
    window: Option<u64>,
    jitter: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum Every {
    Cron(Box<Cron>),
    Period(u64),
}

/// Shortest period, window, or age, in seconds: a run waits for every apiserver's next Status, which takes minutes.
pub const SHORTEST: u64 = 3600;

impl Schedule {
    /// Takes `every` as a cron expression of five fields in UTC (`0 3 * * SUN`), or as a period (`30d`); a window and a jitter
    /// as in [`parse_span`].
    ///
    /// # Errors
    /// [`ScheduleError`]: what would never begin, or not when its writer thinks.
    pub fn parse(
        every: &str,
        window: Option<&str>,
        jitter: Option<&str>,
    ) -> Result<Self, ScheduleError> {
        let window = window.map(parse_span).transpose()?;
        let jitter = jitter.map_or(Ok(0), parse_span)?;
        let is_period = every.split_whitespace().count() == 1 && !every.starts_with('@');
        let every = if is_period {
            Every::Period(parse_span(every)?)
        } else {
            Every::Cron(Box::new(parse_cron(every)?))
        };
        match (&every, window) {
            (Every::Period(period), _) if *period < SHORTEST => {
                return Err(ScheduleError::Short(span(*period)));
            }
            (Every::Period(_), Some(_)) => return Err(ScheduleError::WindowOfPeriod),
            (Every::Cron(_), Some(window)) if window < SHORTEST => {
                return Err(ScheduleError::Short(span(window)));
            }
            (Every::Cron(_), Some(window)) if jitter >= window => {
                return Err(ScheduleError::JitterPastWindow {
                    jitter: span(jitter),
                    window: span(window),
                });
            }
            _ => {}
        }
        Ok(Self { every, window, jitter })
    }

    /// When the next run begins that nobody asks for by hand: never before `now`, and `now` itself where one is due. `since`
    /// is when the last one was begun, or the active version became active.
    #[must_use]
    pub fn next(&self, cluster: &ClusterId, since: u64, now: u64) -> Option<u64> {
        let occurrence = self.occurrence(since, now)?;
        Some(self.due(cluster, occurrence).max(now))
    }

    /// The first moment from `at` on that lies in a window; `at` itself where there are no windows.
    #[must_use]
    pub fn open_from(&self, at: u64) -> Option<u64> {
        match (&self.every, self.window) {
            (Every::Cron(cron), Some(window)) => {
                Some(after(cron, at.saturating_sub(window))?.max(at))
            }
            _ => Some(at),
        }
    }

    /// The occurrence that the next run is the run of.
    fn occurrence(&self, since: u64, now: u64) -> Option<u64> {
        match (&self.every, self.window) {
            (Every::Period(period), _) => since.checked_add(*period),
            (Every::Cron(cron), None) => after(cron, since),
            (Every::Cron(cron), Some(window)) => {
                // The first whose window is not over.
                after(cron, since.max(now.saturating_sub(window)))
            }
        }
    }

    /// The occurrence and its jitter: the same whoever leads, another for each cluster, so that a hundred clusters do not ask
    /// one root in the same second.
    fn due(&self, cluster: &ClusterId, occurrence: u64) -> u64 {
        if self.jitter == 0 {
            return occurrence;
        }
        let mut place = cluster.0.to_vec();
        place.extend_from_slice(&occurrence.to_be_bytes());
        let [a, b, c, d, e, f, g, h, ..] = sha256(&place);
        let drawn = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        occurrence.saturating_add(drawn % self.jitter)
    }
}

/// The first occurrence strictly after `seconds`.
fn after(cron: &Cron, seconds: u64) -> Option<u64> {
    let start: Zoned = timestamp(seconds)?.to_zoned(TimeZone::UTC);
    let found = cron.find_next_occurrence(&start, false).ok()?;
    u64::try_from(found.timestamp().as_second()).ok()
}

fn parse_cron(text: &str) -> Result<Cron, ScheduleError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let wrong = |why: String| ScheduleError::Cron { text: text.into(), why };
    let cron = parser.parse(text).map_err(|error| wrong(error.to_string()))?;
    // 2000-03-01: every day of a leap year comes after it.
    if after(&cron, 951_868_800).is_none() {
        return Err(wrong("there is no such day".into()));
    }
    Ok(cron)
}

/// Takes a duration as it is written: a number and `s`, `m`, `h`, `d` or `w`, for example `90m` or `30d`. In seconds.
///
/// # Errors
/// [`ScheduleError::Span`].
pub fn parse_span(text: &str) -> Result<u64, ScheduleError> {
    let wrong = || ScheduleError::Span(text.into());
    let text = text.trim();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let digits = text.strip_suffix(unit).ok_or_else(wrong)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    // A century is more than any of these can mean.
    count
        .checked_mul(seconds)
        .filter(|seconds| (1..=3_155_760_000).contains(seconds))
        .ok_or_else(wrong)
}

/// The schedule is none. The message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The cron expression.
    #[error(
        "{text:?} is no schedule: {why}. Five fields in UTC, for example \"0 3 * * SUN\", or a period, for example \"30d\""
    )]
    Cron {
        /// As it was written.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// A duration.
    #[error("{0:?} is no duration: a number and s, m, h, d or w, for example \"90m\" or \"30d\"")]
    Span(String),
    /// Too short.
    #[error("{0} is too short: a rotation waits for every apiserver, so an hour is the least")]
    Short(String),
    /// A period has no hour of the day.
    #[error(
        "a window needs a schedule in cron form: a period has no hour of the day to open it at"
    )]
    WindowOfPeriod,
    /// It could never begin.
    #[error("a jitter of {jitter} can pass the window of {window}: it must be shorter")]
    JitterPastWindow {
        /// The jitter.
        jitter: String,
        /// The window.
        window: String,
    },
}
