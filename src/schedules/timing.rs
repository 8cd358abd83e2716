//! The moments that a schedule names.
//!
//! A time zone's clocks go forward and back. The rules are those of Vixie's cron, for both forms of a schedule: a time of day that is skipped is due at the first moment after
//! the gap, one that comes twice is due the first time; a cron schedule that goes by intervals (`*` or a step of it as minute or hour) has nothing to make up for in a gap and is due in both
//! hours. `croner` by itself takes lists and ranges for intervals, too, so that `0 2,14 * * *` would leave a day's first run out: it is asked for civil times, and the zone is seen to here.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, DateTime, Time, Weekday as Day};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};

use crate::api::WorkflowScheduleSpec;
use crate::api::schedule::{Monthly, Weekday};
use crate::compile::Problem;

/// How many months are looked through for the next or last time. A fifth weekday comes every third month or oftener; more is only a guard.
const MONTHS: i32 = 36;
/// No clock was ever put back by more: a place that crosses the date line repeats a day.
const LONGEST_REPEAT: SignedDuration = SignedDuration::from_hours(25);

/// The moments that a schedule names.
#[derive(Clone, Debug)]
pub struct Timing {
    rule: Rule,
    zone: TimeZone,
    words: String,
}

#[derive(Clone, Debug)]
enum Rule {
    /// Times of day: neither minute nor hour is `*` or a step of it.
    Fixed(Box<Cron>),
    /// Intervals.
    Intervals(Box<Cron>),
    Monthly {
        week: i8,
        day: Day,
        offset: i64,
        at: Time,
    },
}

impl Timing {
    /// What a manifest says.
    ///
    /// # Errors
    /// A [`Problem`] for a cron expression or time zone that is none, and for a time that never comes.
    pub fn of(spec: &WorkflowScheduleSpec) -> Result<Self, Problem> {
        let zone = TimeZone::get(&spec.time_zone).map_err(|_| {
            let message = format!(
                "\"{}\" is not a time zone of the IANA database: write one as in Europe/Berlin or UTC",
                spec.time_zone
            );
            Problem::new("spec.timeZone", message)
        })?;
        let (rule, words, path) = match (&spec.schedule, &spec.monthly) {
            (Some(text), None) => (cron(text)?, text.clone(), "spec.schedule"),
            (None, Some(monthly)) => (self::monthly(monthly)?, describe(monthly), "spec.monthly"),
            _ => return Err(Problem::new("spec", "a schedule needs exactly one of: schedule, monthly")),
        };
        let words = format!("{words} ({})", spec.time_zone);
        let timing = Self { rule, zone, words };
        // No year is part of a schedule: what does not come after one moment never comes.
        if timing.next_after(Timestamp::UNIX_EPOCH).is_none() {
            return Err(Problem::new(path, "this time never comes: there is no such day in any year"));
        }
        Ok(timing)
    }

    /// For people, with the time zone.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// The first moment after `at`.
    #[must_use]
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Fixed(cron) => {
                let mut civil = at.to_zoned(self.zone.clone()).datetime();
                let mut inclusive = true;
                loop {
                    civil = cron.find_next_occurrence(&civil, inclusive).ok()?;
                    inclusive = false;
                    // Not after it: in the second of two hours, where what is due was due in the first.
                    match moment(&self.zone, civil) {
                        Some(moment) if moment > at => return Some(moment),
                        _ => {}
                    }
                }
            }
            Rule::Intervals(cron) => {
                let found = cron.find_next_occurrence(&at.to_zoned(self.zone.clone()), false).ok()?;
                Some(found.timestamp())
            }
            Rule::Monthly { .. } => self.months(at, 1).find(|moment| *moment > at),
        }
    }

    /// The last moment that is not after `at`.
    #[must_use]
    pub fn last_until(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Fixed(cron) => {
                let here = at.to_zoned(self.zone.clone()).datetime();
                let mut civil = here.checked_add(LONGEST_REPEAT).ok()?;
                loop {
                    civil = cron.find_previous_occurrence(&civil, false).ok()?;
                    match moment(&self.zone, civil) {
                        Some(moment) if moment <= at => return Some(moment),
                        _ => {}
                    }
                }
            }
            Rule::Intervals(cron) => {
                let found = cron.find_previous_occurrence(&at.to_zoned(self.zone.clone()), true).ok()?;
                Some(found.timestamp())
            }
            Rule::Monthly { .. } => self.months(at, -1).find(|moment| *moment <= at),
        }
    }

    /// The moments of the months from about `at`, forward or back.
    fn months(&self, at: Timestamp, direction: i32) -> impl Iterator<Item = Timestamp> + '_ {
        let here = at.to_zoned(self.zone.clone()).date().first_of_month();
        // Days may lead into the month after, and time zones over midnight: begin two months off.
        (-2..MONTHS).filter_map(move |step| {
            let month = here.checked_add(Span::new().months(step * direction)).ok()?;
            self.moment_in(month)
        })
    }

    fn moment_in(&self, month: Date) -> Option<Timestamp> {
        let Rule::Monthly { week, day, offset, at } = &self.rule else { return None };
        let date = month.nth_weekday_of_month(*week, *day).ok()?;
        let date = date.checked_add(Span::new().days(*offset)).ok()?;
        moment(&self.zone, date.to_datetime(*at))
    }
}

/// A time of day in a zone. One that is skipped gives the first moment after the gap, one that comes twice the first.
fn moment(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { after, .. } => {
            // By the clock as it will be, the skipped time lies before the change.
            let before_the_change = after.to_timestamp(civil).ok()?;
            zone.following(before_the_change).next().map(|change| change.timestamp())
        }
    }
}

fn cron(text: &str) -> Result<Rule, Problem> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| {
        Problem::new(
            "spec.schedule",
            format!("\"{text}\" is not a cron schedule of five fields (minute, hour, day of month, month, day of week): {error}"),
        )
    })?;
    // Of the nicknames only @hourly goes by intervals.
    let intervals = text.split_whitespace().take(2).any(|field| field.contains('*')) || text == "@hourly";
    Ok(if intervals { Rule::Intervals(Box::new(cron)) } else { Rule::Fixed(Box::new(cron)) })
}

fn monthly(monthly: &Monthly) -> Result<Rule, Problem> {
    let at = Time::strptime("%H:%M", &monthly.at).map_err(|_| {
        Problem::new("spec.monthly.at", format!("\"{}\" is not a time of day: write it as in 03:00", monthly.at))
    })?;
    let week = i8::try_from(monthly.week)
        .ok()
        .filter(|week| matches!(week, -1 | 1..=5))
        .ok_or_else(|| Problem::new("spec.monthly.week", "week must be 1 to 5, or -1 for the last one of the month"))?;
    Ok(Rule::Monthly { week, day: day(monthly.day), offset: i64::from(monthly.offset_days), at })
}

fn day(day: Weekday) -> Day {
    match day {
        Weekday::Monday => Day::Monday,
        Weekday::Tuesday => Day::Tuesday,
        Weekday::Wednesday => Day::Wednesday,
        Weekday::Thursday => Day::Thursday,
        Weekday::Friday => Day::Friday,
        Weekday::Saturday => Day::Saturday,
        Weekday::Sunday => Day::Sunday,
    }
}

/// As in `3 days after the 2nd Tuesday, 03:00`.
fn describe(monthly: &Monthly) -> String {
    let which = match monthly.week {
        -1 => "last".to_owned(),
        1 => "1st".to_owned(),
        2 => "2nd".to_owned(),
        3 => "3rd".to_owned(),
        nth => format!("{nth}th"),
    };
    let weekday = format!("the {which} {:?}", monthly.day);
    let day = match monthly.offset_days {
        0 => weekday,
        1 => format!("the day after {weekday}"),
        -1 => format!("the day before {weekday}"),
        days if days > 0 => format!("{days} days after {weekday}"),
        days => format!("{} days before {weekday}", -days),
    };
    format!("{day}, {}", monthly.at)
}

#[cfg(test)]
#[path = "timing_tests.rs"]
mod tests;
