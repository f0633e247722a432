//! Times and durations, as people write and read them. All in UTC.

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

/// Seconds since 1970 as a time.
pub(crate) fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("{seconds} s after 1970"), |time| time.to_string())
}

/// Now, in seconds.
pub(crate) fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// Now, in seconds since 1970.
pub(crate) fn seconds() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

/// Seconds as the two largest units.
pub(crate) fn span(seconds: u64) -> String {
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in UNITS.into_iter().filter(|(unit, _)| *unit != 'w') {
        let count = rest / size;
        rest %= size;
        if count > 0 || !parts.is_empty() {
            parts.push((count, unit));
        }
    }
    parts.truncate(2);
    let parts =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
    let text = parts.collect::<Vec<_>>().join(" ");
    if text.is_empty() { "0s".into() } else { text }
}

/// A whole number with its unit: `90s`, `15m`, `12h`, `30d`, `6w`.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    let seconds = UNITS.into_iter().find_map(|(unit, size)| {
        let number = text.strip_suffix(unit)?;
        let digits = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
        digits.then(|| number.parse::<u64>().ok()?.checked_mul(size)).flatten()
    });
    seconds.filter(|seconds| (1..=3_153_600_000).contains(seconds)).ok_or_else(|| {
        "expected a whole number with its unit, such as 90s, 15m, 12h, 30d or 6w".into()
    })
}

/// When something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// At this time, in seconds since 1970.
    At(u64),
    /// After so many seconds.
    After(u64),
}

/// A date (to its end, in UTC), a time as RFC 3339 has it, or a duration from now.
pub(crate) fn end(text: &str) -> Result<End, String> {
    let wrong = || {
        "expected a date (2027-03-31, to its end in UTC), a time (2027-03-31T12:00:00Z) or a duration from now (30d)".to_owned()
    };
    if let Ok(seconds) = duration(text) {
        return Ok(End::After(seconds));
    }
    let time = match text.parse::<Date>() {
        // jiff reads the date of a time, too.
        Ok(date) if !text.contains(['T', 't', ' ', ':']) => {
            let next = date.checked_add(1.day()).map_err(|_| wrong())?;
            next.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp()
        }
        _ => text.parse::<Timestamp>().map_err(|_| wrong())?,
    };
    u64::try_from(time.as_second()).map(End::At).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("6w", 3_628_800)]
        {
            assert_eq!(duration(text), Ok(seconds));
        }
        for wrong in
            ["", "30", "d", "-1d", "+1d", "1.5h", "0s", "1 d", "99999999999999999999s", "1000000w"]
        {
            assert!(duration(wrong).is_err(), "{wrong:?} was taken for a duration");
        }
    }

    #[test]
    fn a_date_lasts_to_its_end() {
        assert_eq!(end("1970-01-01"), Ok(End::At(86_400)));
        assert_eq!(end("1970-01-02T00:00:10Z"), Ok(End::At(86_410)));
        assert_eq!(end("1970-01-02T01:00:10+01:00"), Ok(End::At(86_410)));
        assert_eq!(end("30d"), Ok(End::After(2_592_000)));
        for wrong in
            ["", "tomorrow", "2027-02-30", "31.3.2027", "1969-12-30", "2027-03-31T12:00:00"]
        {
            assert!(end(wrong).is_err(), "{wrong:?} was taken for a time");
        }
    }

    #[test]
    fn spans_are_shown_in_two_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (3725, "1h 2m"), (86_400, "1d"), (90_061, "1d 1h")]
        {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
    }
}
