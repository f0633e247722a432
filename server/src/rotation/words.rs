//! How moments and durations are written for people, in every message of this module the same.

use jiff::Timestamp;

/// `2026-11-29T03:00:00Z`.
pub(super) fn moment(seconds: u64) -> String {
    timestamp(seconds).map_or_else(|| format!("second {seconds} since 1970"), |at| at.to_string())
}

/// The moment, where the calendar has it: up to the end of the year 9999.
pub(super) fn timestamp(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

/// The two largest units: `3 days 2 h`, `5 min`, `12 s`.
pub(super) fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str, &str); 4] =
        [(86_400, " day", " days"), (3600, " h", " h"), (60, " min", " min"), (1, " s", " s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, one, many) in UNITS {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            parts.push(format!("{count}{}", if count == 1 { one } else { many }));
        }
        // Two units that touch: "3 days 12 s" would be more exact than anybody asks for.
        if parts.len() == 2 || (parts.len() == 1 && count == 0) {
            break;
        }
    }
    if parts.is_empty() { "0 s".into() } else { parts.join(" ") }
}
