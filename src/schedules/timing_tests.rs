use jiff::ToSpan;
use serde_json::{Value, json};

use super::*;

fn spec(fields: &Value, zone: &str) -> WorkflowScheduleSpec {
    let mut all = json!({ "workflowRef": { "name": "w" }, "timeZone": zone });
    for (key, value) in fields.as_object().unwrap() {
        all[key] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

fn cron(text: &str, zone: &str) -> Timing {
    Timing::of(&spec(&json!({ "schedule": text }), zone)).unwrap()
}

fn monthly(week: i8, day: &str, offset: i8, at: &str, zone: &str) -> Timing {
    let fields = json!({ "monthly": { "week": week, "day": day, "offsetDays": offset, "at": at } });
    Timing::of(&spec(&fields, zone)).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The next moments after a time, in the zone's own words.
fn next(timing: &Timing, after: &str, count: usize) -> Vec<String> {
    let mut moments = Vec::new();
    let mut from = at(after);
    for _ in 0..count {
        from = timing.next_after(from).unwrap();
        moments.push(from.to_zoned(timing.zone.clone()).strftime("%Y-%m-%dT%H:%M%:z").to_string());
    }
    moments
}

// Berlin: forward on 2026-03-29 from 02:00 to 03:00, back on 2026-10-25 from 03:00 to 02:00.
const SPRING: &str = "2026-03-28T12:00:00Z";
const AUTUMN: &str = "2026-10-24T12:00:00Z";

#[test]
fn a_time_of_day_that_is_skipped_is_due_after_the_gap() {
    let expected = ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"];
    assert_eq!(next(&cron("30 2 * * *", "Europe/Berlin"), SPRING, 2), expected);
    assert_eq!(next(&monthly(-1, "Sunday", 0, "02:30", "Europe/Berlin"), SPRING, 1), expected[..1]);
}

#[test]
fn one_before_the_gap_and_one_after_are_due_once() {
    for (text, expected) in [
        ("0 1 * * *", ["2026-03-29T01:00+01:00", "2026-03-30T01:00+02:00"]),
        ("0 3 * * *", ["2026-03-29T03:00+02:00", "2026-03-30T03:00+02:00"]),
        ("0 0 * * *", ["2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"]),
    ] {
        assert_eq!(next(&cron(text, "Europe/Berlin"), SPRING, 2), expected, "{text}");
    }
}

#[test]
fn lists_and_ranges_are_times_of_day() {
    assert_eq!(
        next(&cron("0 2,14 * * *", "Europe/Berlin"), SPRING, 3),
        ["2026-03-28T14:00+01:00", "2026-03-29T03:00+02:00", "2026-03-29T14:00+02:00"]
    );
    assert_eq!(
        next(&cron("0 2,14 * * *", "Europe/Berlin"), AUTUMN, 3),
        ["2026-10-25T02:00+02:00", "2026-10-25T14:00+01:00", "2026-10-26T02:00+01:00"]
    );
}

#[test]
fn two_times_of_one_gap_are_due_together_once() {
    let both = ["2026-03-29T03:00+02:00", "2026-03-30T02:10+02:00", "2026-03-30T02:40+02:00"];
    assert_eq!(next(&cron("10,40 2 * * *", "Europe/Berlin"), SPRING, 3), both);
}

#[test]
fn a_time_of_day_that_comes_twice_is_due_the_first_time() {
    let expected = ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"];
    assert_eq!(next(&cron("30 2 * * *", "Europe/Berlin"), AUTUMN, 2), expected);
    assert_eq!(next(&monthly(-1, "Sunday", 0, "02:30", "Europe/Berlin"), AUTUMN, 1), expected[..1]);
    // Asked for between the two, too.
    assert_eq!(next(&cron("30 2 * * *", "Europe/Berlin"), "2026-10-25T00:45:00Z", 1), expected[1..]);
}

#[test]
fn intervals_go_by_the_time_that_passes() {
    assert_eq!(
        next(&cron("*/30 * * * *", "Europe/Berlin"), "2026-03-29T00:15:00Z", 3),
        ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"]
    );
    assert_eq!(
        next(&cron("*/30 * * * *", "Europe/Berlin"), "2026-10-25T00:15:00Z", 4),
        ["2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00", "2026-10-25T03:00+01:00"]
    );
    assert_eq!(
        next(&cron("15 * * * *", "Europe/Berlin"), "2026-10-24T23:30:00Z", 3),
        ["2026-10-25T02:15+02:00", "2026-10-25T02:15+01:00", "2026-10-25T03:15+01:00"]
    );
}

#[test]
fn zones_that_change_by_half_an_hour_or_not_at_all() {
    // Lord Howe Island goes forward by 30 minutes at 02:00 on 2026-10-04.
    assert_eq!(next(&cron("15 2 * * *", "Australia/Lord_Howe"), "2026-10-03T12:00:00Z", 1), ["2026-10-04T02:30+11:00"]);
    assert_eq!(next(&cron("30 2 * * *", "Asia/Kolkata"), SPRING, 1), ["2026-03-29T02:30+05:30"]);
}

#[test]
fn ends_of_months_and_leap_years() {
    for (text, after, expected) in [
        ("0 3 31 * *", "2026-01-31T12:00:00Z", ["2026-03-31T03:00+00:00", "2026-05-31T03:00+00:00"]),
        ("0 3 L * *", "2026-01-31T12:00:00Z", ["2026-02-28T03:00+00:00", "2026-03-31T03:00+00:00"]),
        ("0 3 29 2 *", "2026-01-01T00:00:00Z", ["2028-02-29T03:00+00:00", "2032-02-29T03:00+00:00"]),
        ("0 3 29 2 *", "2096-03-01T00:00:00Z", ["2104-02-29T03:00+00:00", "2108-02-29T03:00+00:00"]),
        ("59 23 31 12 *", "2026-06-01T00:00:00Z", ["2026-12-31T23:59+00:00", "2027-12-31T23:59+00:00"]),
        // Day of month or day of week, as in cron.
        ("0 3 13 * FRI", "2026-11-01T00:00:00Z", ["2026-11-06T03:00+00:00", "2026-11-13T03:00+00:00"]),
        ("0 3 * * 2#2", "2026-11-01T00:00:00Z", ["2026-11-10T03:00+00:00", "2026-12-08T03:00+00:00"]),
        ("0 3 * * 7", "2026-11-01T12:00:00Z", ["2026-11-08T03:00+00:00", "2026-11-15T03:00+00:00"]),
    ] {
        assert_eq!(next(&cron(text, "UTC"), after, 2), expected, "{text}");
    }
}

#[test]
fn days_counted_from_a_weekday_of_the_month() {
    for (timing, after, expected) in [
        // Patch Tuesday and three days: the 11th is the second Tuesday of August 2026.
        (
            monthly(2, "Tuesday", 3, "03:00", "Europe/Berlin"),
            "2026-08-01T00:00:00Z",
            vec![
                "2026-08-14T03:00+02:00",
                "2026-09-11T03:00+02:00",
                "2026-10-16T03:00+02:00",
                "2026-11-13T03:00+01:00",
            ],
        ),
        // Into the month after, and asked for in it.
        (
            monthly(-1, "Friday", 5, "22:00", "UTC"),
            "2026-01-31T00:00:00Z",
            vec!["2026-02-04T22:00+00:00", "2026-03-04T22:00+00:00", "2026-04-01T22:00+00:00"],
        ),
        // Into the month before.
        (
            monthly(1, "Monday", -7, "22:00", "UTC"),
            "2026-01-01T00:00:00Z",
            vec!["2026-01-26T22:00+00:00", "2026-02-23T22:00+00:00", "2026-03-30T22:00+00:00"],
        ),
        // Months without a fifth one have none.
        (
            monthly(5, "Saturday", 0, "00:00", "UTC"),
            "2026-01-01T00:00:00Z",
            vec!["2026-01-31T00:00+00:00", "2026-05-30T00:00+00:00", "2026-08-29T00:00+00:00"],
        ),
        (
            monthly(1, "Sunday", -28, "00:00", "Pacific/Kiritimati"),
            "2026-01-01T00:00:00Z",
            vec!["2026-01-04T00:00+14:00", "2026-02-01T00:00+14:00"],
        ),
    ] {
        assert_eq!(next(&timing, after, expected.len()), expected, "{}", timing.words());
    }
}

#[test]
fn looking_back_finds_what_looking_forward_finds() {
    let zones =
        ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata"];
    let crons =
        ["30 2 * * *", "*/45 * * * *", "15 1-3 * * *", "0 0 * * *", "10,40 2 * * SUN", "0 */2 * * *", "30 1 L * *"];
    for zone in zones {
        let timings = crons.iter().map(|text| cron(text, zone));
        let months = [
            (-1, "Sunday", 0, "02:30"),
            (2, "Sunday", 0, "02:10"),
            (1, "Sunday", 0, "02:15"),
            (5, "Friday", 20, "01:30"),
        ];
        let timings =
            timings.chain(months.iter().map(|(week, day, offset, at)| monthly(*week, day, *offset, at, zone)));
        for timing in timings {
            for from in [
                "2026-03-07T00:00:00Z",
                "2026-03-28T00:00:00Z",
                "2026-10-03T00:00:00Z",
                "2026-10-24T00:00:00Z",
                "2026-10-31T00:00:00Z",
            ] {
                let mut moment = timing.next_after(at(from)).unwrap();
                for _ in 0..60 {
                    let following = timing.next_after(moment).unwrap();
                    assert!(following > moment, "{} after {moment}", timing.words());
                    for (seconds, expected) in [(0, moment), (1, moment)] {
                        assert_eq!(
                            timing.last_until(moment + seconds.seconds()),
                            Some(expected),
                            "{} until {moment} and {seconds} s",
                            timing.words()
                        );
                    }
                    assert_eq!(
                        timing.last_until(following - 1.second()),
                        Some(moment),
                        "{} before {following}",
                        timing.words()
                    );
                    moment = following;
                }
            }
        }
    }
}

#[test]
fn what_is_no_time_is_refused() {
    for (fields, zone, path, message) in [
        (json!({ "schedule": "30-10 * * * *" }), "UTC", "spec.schedule", "is not a cron schedule of five fields"),
        (json!({ "schedule": "* * * * * *" }), "UTC", "spec.schedule", "is not a cron schedule of five fields"),
        (json!({ "schedule": "@reboot" }), "UTC", "spec.schedule", "is not a cron schedule of five fields"),
        (json!({ "schedule": "0 0 30 2 *" }), "UTC", "spec.schedule", "never comes"),
        (json!({ "schedule": "0 0 31 4,6,9,11 *" }), "UTC", "spec.schedule", "never comes"),
        (
            json!({ "schedule": "0 0 * * *" }),
            "Europe/Berln",
            "spec.timeZone",
            "\"Europe/Berln\" is not a time zone of the IANA database",
        ),
        (
            json!({ "monthly": { "week": 0, "day": "Monday", "at": "03:00" } }),
            "UTC",
            "spec.monthly.week",
            "week must be",
        ),
        (
            json!({ "monthly": { "week": 1, "day": "Monday", "at": "3am" } }),
            "UTC",
            "spec.monthly.at",
            "is not a time of day",
        ),
        (json!({}), "UTC", "spec", "exactly one of"),
    ] {
        let problem = Timing::of(&spec(&fields, zone)).unwrap_err();
        assert_eq!(problem.path, path, "{problem}");
        assert!(problem.message.contains(message), "{problem}");
    }
}

#[test]
fn said_for_people() {
    for (timing, words) in [
        (cron("0 3 * * 6", "Europe/Berlin"), "0 3 * * 6 (Europe/Berlin)"),
        (monthly(2, "Tuesday", 3, "03:00", "UTC"), "3 days after the 2nd Tuesday, 03:00 (UTC)"),
        (monthly(-1, "Friday", 0, "22:00", "UTC"), "the last Friday, 22:00 (UTC)"),
        (monthly(1, "Monday", -1, "22:00", "UTC"), "the day before the 1st Monday, 22:00 (UTC)"),
        (monthly(5, "Monday", -2, "22:00", "UTC"), "2 days before the 5th Monday, 22:00 (UTC)"),
    ] {
        assert_eq!(timing.words(), words);
    }
}
