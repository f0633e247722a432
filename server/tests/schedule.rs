//! When a rotation begins by itself: tables of moments.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use strongroomd::{
    ledger::ClusterId,
    rotation::{
        Schedule,
        schedule::{ScheduleError, parse_span},
    },
};

const CLUSTER: ClusterId = ClusterId([7; 16]);

fn at(text: &str) -> u64 {
    text.parse::<Timestamp>().unwrap().as_second().try_into().unwrap()
}

fn shown(seconds: u64) -> String {
    Timestamp::from_second(seconds.try_into().unwrap()).unwrap().to_string()
}

/// The table: the last rotation, now, and when the next one begins.
fn check(schedule: &Schedule, table: &[(&str, &str, &str)]) {
    for (since, now, next) in table {
        let got = schedule.next(&CLUSTER, at(since), at(now)).map(shown);
        assert_eq!(got.as_deref(), Some(*next), "since {since}, now {now}");
    }
}

// 2026-11-01 is a Sunday.

#[test]
fn missed_sunday_without_a_window_is_made_up_at_once_and_once() {
    let schedule = Schedule::parse("0 3 * * SUN", None, None).unwrap();
    check(
        &schedule,
        &[
            // On time.
            ("2026-11-01T03:00:00Z", "2026-11-02T00:00:00Z", "2026-11-08T03:00:00Z"),
            ("2026-11-01T03:00:00Z", "2026-11-08T03:00:00Z", "2026-11-08T03:00:00Z"),
            // The daemon was off over it; over three of them.
            ("2026-11-01T03:00:00Z", "2026-11-09T14:21:07Z", "2026-11-09T14:21:07Z"),
            ("2026-11-01T03:00:00Z", "2026-11-24T14:21:07Z", "2026-11-24T14:21:07Z"),
            // It was made up, and is not made up again.
            ("2026-11-24T14:21:07Z", "2026-11-24T14:30:00Z", "2026-11-29T03:00:00Z"),
            // Somebody rotated by hand meanwhile: nothing was missed.
            ("2026-11-08T04:00:00Z", "2026-11-09T14:21:07Z", "2026-11-15T03:00:00Z"),
        ],
    );
}

#[test]
fn missed_sunday_with_a_window_is_made_up_inside_one() {
    let schedule = Schedule::parse("0 3 * * SUN", Some("2h"), None).unwrap();
    check(
        &schedule,
        &[
            // Back while the window is open: at once.
            ("2026-11-01T03:00:00Z", "2026-11-08T04:59:59Z", "2026-11-08T04:59:59Z"),
            // Back too late: not on Monday at three, but on the next Sunday, and only one run for both.
            ("2026-11-01T03:00:00Z", "2026-11-08T05:00:00Z", "2026-11-15T03:00:00Z"),
            ("2026-11-01T03:00:00Z", "2026-11-09T03:30:00Z", "2026-11-15T03:00:00Z"),
            ("2026-11-15T03:00:00Z", "2026-11-15T03:20:00Z", "2026-11-22T03:00:00Z"),
            // A year off.
            ("2025-11-02T03:00:00Z", "2026-11-15T03:10:00Z", "2026-11-15T03:10:00Z"),
        ],
    );
}

#[test]
fn period_counts_from_the_last_rotation() {
    let schedule = Schedule::parse("30d", None, None).unwrap();
    check(
        &schedule,
        &[
            ("2026-11-01T03:00:00Z", "2026-11-02T00:00:00Z", "2026-12-01T03:00:00Z"),
            ("2026-11-01T03:00:00Z", "2027-03-02T00:00:00Z", "2027-03-02T00:00:00Z"),
        ],
    );
}

#[test]
fn every_form_of_cron_means_what_its_writer_thinks() {
    let since = "2026-11-01T03:00:00Z";
    for (every, next) in [
        ("0 3 * * SUN", "2026-11-08T03:00:00Z"),
        ("0 3 * * 0", "2026-11-08T03:00:00Z"),
        ("0 3 * * 7", "2026-11-08T03:00:00Z"),
        ("30 2 1 * *", "2026-12-01T02:30:00Z"),
        ("0 0 1 */3 *", "2027-01-01T00:00:00Z"),
        ("0 3 29 2 *", "2028-02-29T03:00:00Z"),
        ("15 4 * * MON-FRI", "2026-11-02T04:15:00Z"),
        ("0 3 L * *", "2026-11-30T03:00:00Z"),
    ] {
        let schedule = Schedule::parse(every, None, None).unwrap();
        check(&schedule, &[(since, since, next)]);
    }
}

/// Cron is UTC: where clocks on the wall skip an hour or have one twice, a rotation is neither skipped nor begun twice.
#[test]
fn changes_of_local_clocks_change_nothing() {
    // Zürich, New York and Sydney by the rules of POSIX, because tests need no time zone database.
    let zones = [
        ("CET-1CEST,M3.5.0,M10.5.0/3", ["2026-03-29T02:30:00", "2026-10-25T02:30:00"]),
        ("EST5EDT,M3.2.0,M11.1.0", ["2026-03-08T02:30:00", "2026-11-01T01:30:00"]),
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", ["2026-10-04T02:30:00", "2026-04-05T02:30:00"]),
    ];
    for (zone, days) in zones {
        let zone = TimeZone::posix(zone).unwrap();
        for local in days {
            let local: DateTime = local.parse().unwrap();
            let moment = zone.to_ambiguous_timestamp(local).compatible().unwrap();
            let hour = moment.to_zoned(TimeZone::UTC).hour();
            let schedule = Schedule::parse(&format!("0 {hour} * * *"), None, None).unwrap();
            // From twelve hours before to twelve after the change, in steps of ten minutes.
            let start = u64::try_from(moment.as_second()).unwrap() - 12 * 3600;
            let (mut since, mut begun) = (start, 0);
            for now in (start..start + 24 * 3600).step_by(600) {
                if schedule.next(&CLUSTER, since, now) == Some(now) {
                    since = now;
                    begun += 1;
                }
            }
            assert_eq!(begun, 1, "{local}");
        }
    }
}

#[test]
fn jitter_is_the_clusters_own_and_less_than_what_is_configured() {
    let plain = Schedule::parse("0 3 * * *", None, None).unwrap();
    let schedule = Schedule::parse("0 3 * * *", Some("2h"), Some("90m")).unwrap();
    let (since, now) = (at("2026-11-01T04:59:00Z"), at("2026-11-01T05:00:00Z"));
    let occurrence = plain.next(&CLUSTER, since, now).unwrap();
    let mut drawn: Vec<u64> = (0..100)
        .map(|id| schedule.next(&ClusterId([id; 16]), since, now).unwrap() - occurrence)
        .collect();
    assert!(drawn.iter().all(|jitter| *jitter < 90 * 60), "{drawn:?}");
    // Fixed for ever: another version of the program must not begin at another moment.
    assert_eq!(drawn[..3], FIRST_THREE);
    drawn.sort_unstable();
    drawn.dedup();
    assert!(drawn.len() > 90, "a hundred clusters, {} moments", drawn.len());
    assert!(drawn[0] < 10 * 60 && drawn[drawn.len() - 1] > 80 * 60, "{drawn:?}");

    // Another day, another jitter; asked twice, the same.
    let days = (1..9).map(|day| {
        let now = now + day * 86_400;
        schedule.next(&CLUSTER, now, now).unwrap() % 86_400
    });
    assert!(days.collect::<std::collections::BTreeSet<_>>().len() > 5);
    assert_eq!(schedule.next(&CLUSTER, since, now), schedule.next(&CLUSTER, since, now + 60));
}

/// First eight bytes of SHA-256(cluster id ‖ u64be(2026-11-02T03:00:00Z)), modulo 5400.
const FIRST_THREE: [u64; 3] = [2589, 4253, 3616];

#[test]
fn begins_once_an_occurrence_whatever_the_jitter_and_whoever_leads() {
    let schedule = Schedule::parse("0 3 * * *", Some("2h"), Some("1h")).unwrap();
    let start = at("2026-11-01T12:00:00Z");
    let (mut since, mut begun) = (start, Vec::new());
    for now in (start..start + 7 * 86_400).step_by(15) {
        if schedule.next(&CLUSTER, since, now) == Some(now) {
            since = now;
            begun.push(now);
        }
    }
    assert_eq!(begun.len(), 7, "{begun:?}");
    assert!(begun.iter().all(|at| (3 * 3600..4 * 3600).contains(&(at % 86_400))), "{begun:?}");
}

#[test]
fn what_would_never_begin_is_refused() {
    for (every, window, jitter, expected) in [
        ("0 0 30 2 *", None, None, "there is no such day"),
        ("0 3 * *", None, None, "is no schedule"),
        ("0 0 3 * * SUN", None, None, "is no schedule"),
        ("61 3 * * *", None, None, "is no schedule"),
        ("often", None, None, "is no duration"),
        ("30", None, None, "is no duration"),
        ("-3d", None, None, "is no duration"),
        ("0d", None, None, "is no duration"),
        ("5m", None, None, "5 min is too short"),
        ("30d", Some("2h"), None, "a period has no hour of the day"),
        ("0 3 * * *", Some("10m"), None, "10 min is too short"),
        ("0 3 * * *", Some("2h"), Some("2h"), "a jitter of 2 h can pass the window of 2 h"),
        ("0 3 * * *", Some("2 hours"), None, "is no duration"),
    ] {
        let error = Schedule::parse(every, window, jitter).unwrap_err().to_string();
        assert!(error.contains(expected), "{every}: {error}");
    }
}

#[test]
fn spans_are_read_as_they_are_written() {
    for (text, seconds) in
        [("1s", 1), ("90m", 5400), ("2h", 7200), ("30d", 2_592_000), ("1w", 604_800)]
    {
        assert_eq!(parse_span(text), Ok(seconds), "{text}");
    }
    for text in ["", "h", "1", "1y", "+1h", "1.5h", "1 h", "99999999999999999999d", "9000000w"] {
        assert_eq!(parse_span(text), Err(ScheduleError::Span(text.into())), "{text:?}");
    }
}
