use serde_json::{Value, json};

use super::*;

fn spec(fields: &Value) -> WorkflowScheduleSpec {
    let mut all = json!({ "workflowRef": { "name": "w" }, "schedule": "0 3 * * *", "timeZone": "UTC" });
    for (key, value) in fields.as_object().unwrap() {
        all[key] = value.clone();
    }
    if all.get("monthly").is_some() {
        all.as_object_mut().unwrap().remove("schedule");
    }
    serde_json::from_value(all).unwrap()
}

fn at(text: &str) -> Timestamp {
    let text = if text.len() == 16 { format!("{text}:00Z") } else { text.to_owned() };
    text.parse().unwrap()
}

fn run(due: &str, state: State) -> Sibling {
    Sibling { name: format!("r-{due}"), due: at(due), state }
}

struct Case {
    what: &'static str,
    spec: Value,
    from: &'static str,
    last: Option<&'static str>,
    runs: Vec<Sibling>,
    now: &'static str,
    turn: Turn,
    passed: Option<(usize, &'static str)>,
    next: Option<&'static str>,
    again: Option<&'static str>,
}

#[allow(clippy::needless_pass_by_value)]
fn check(case: Case) {
    let spec = spec(&case.spec);
    let timing = Timing::of(&spec).unwrap();
    let known = Known { spec: &spec, counts_from: at(case.from), last_due: case.last.map(at), runs: &case.runs };
    let expected = Plan {
        turn: case.turn,
        passed: case.passed.map(|(count, last)| (count, at(last))),
        next: case.next.map(at),
        look_again: case.again.map(at),
    };
    assert_eq!(decide(&known, &timing, at(case.now)), expected, "{}", case.what);
}

/// Daily at 03:00 UTC, made on 1 November, yesterday's run made.
fn daily(what: &'static str, now: &'static str, turn: Turn) -> Case {
    Case {
        what,
        spec: json!({}),
        from: "2026-11-01T12:00",
        last: Some("2026-11-09T03:00"),
        runs: Vec::new(),
        now,
        turn,
        passed: None,
        next: Some("2026-11-11T03:00"),
        again: Some("2026-11-11T03:00"),
    }
}

#[test]
fn a_run_is_made_once_its_time_has_come() {
    let due = || at("2026-11-10T03:00");
    check(Case {
        next: Some("2026-11-10T03:00"),
        again: Some("2026-11-10T03:00"),
        ..daily("a second before", "2026-11-10T02:59:59Z", Turn::Rest)
    });
    check(daily("on the second", "2026-11-10T03:00", Turn::Start(due())));
    check(daily("within the deadline", "2026-11-10T04:00", Turn::Start(due())));
    check(daily("after the deadline", "2026-11-10T04:00:01Z", Turn::Miss(due(), Cause::Late)));
    check(Case { last: Some("2026-11-10T03:00"), ..daily("once", "2026-11-10T03:00:01Z", Turn::Rest) });
}

#[test]
fn restarts() {
    let due = || at("2026-11-10T03:00");
    // Killed between making the run and writing the status: whether it still runs or not.
    for state in [State::Active, State::Ended, State::EndedWell(None)] {
        check(Case {
            runs: vec![run("2026-11-10T03:00", state)],
            ..daily("made, not written", "2026-11-10T03:00:10Z", Turn::Made(due()))
        });
    }
    // The same, and found only after the deadline.
    check(Case {
        runs: vec![run("2026-11-10T03:00", State::Ended)],
        ..daily("found late", "2026-11-10T09:00", Turn::Made(due()))
    });
    // Away for three nights.
    check(Case {
        last: Some("2026-11-07T03:00"),
        passed: Some((2, "2026-11-09T03:00")),
        ..daily("away, back in time", "2026-11-10T03:30", Turn::Start(due()))
    });
    check(Case {
        last: Some("2026-11-07T03:00"),
        passed: Some((2, "2026-11-09T03:00")),
        ..daily("away, back too late", "2026-11-10T12:00", Turn::Miss(due(), Cause::Late))
    });
    // Away for years.
    check(Case {
        last: None,
        from: "2020-01-01T00:00",
        passed: Some((100, "2026-11-09T03:00")),
        ..daily("away for years", "2026-11-10T12:00", Turn::Miss(due(), Cause::Late))
    });
    // The status was lost, and the runs are there: those times are not missed.
    check(Case {
        last: None,
        runs: vec![run("2026-11-09T03:00", State::Ended), run("2026-11-08T03:00", State::Ended)],
        ..daily("status lost", "2026-11-10T03:10", Turn::Start(due()))
    });
}

#[test]
fn what_was_before_it_does_not_count() {
    check(Case {
        from: "2026-11-10T03:00:01Z",
        last: None,
        ..daily("made a second late", "2026-11-10T03:00:02Z", Turn::Rest)
    });
    check(Case {
        from: "2026-11-10T03:00",
        last: None,
        ..daily("made at that very moment", "2026-11-10T03:00:02Z", Turn::Rest)
    });
    // Resumed or changed at noon: what was due at three in the night does not start now.
    check(Case {
        from: "2026-11-10T12:00",
        last: Some("2026-11-02T03:00"),
        ..daily("resumed", "2026-11-10T12:00", Turn::Rest)
    });
}

#[test]
fn suspended() {
    check(Case {
        spec: json!({ "suspend": true }),
        next: None,
        again: None,
        ..daily("suspended", "2026-11-10T03:00", Turn::Rest)
    });
}

#[test]
fn clocks_that_jump() {
    // Put back by two hours after the run was made: not again, and the next one is tomorrow's… after today's has passed once more.
    check(Case {
        last: Some("2026-11-10T03:00"),
        next: Some("2026-11-10T03:00"),
        again: Some("2026-11-10T03:00"),
        ..daily("put back", "2026-11-10T02:00", Turn::Rest)
    });
    check(Case { last: Some("2026-11-10T03:00"), ..daily("and there again", "2026-11-10T03:00", Turn::Rest) });
    // Put forward by a month.
    check(Case {
        passed: Some((30, "2026-12-09T03:00")),
        next: Some("2026-12-11T03:00"),
        again: Some("2026-12-11T03:00"),
        ..daily("put forward", "2026-12-10T03:00:05Z", Turn::Start(at("2026-12-10T03:00")))
    });
}

#[test]
fn an_earlier_run_that_has_not_ended() {
    let due = || at("2026-11-10T03:00");
    let before = || vec![run("2026-11-09T03:00", State::Active)];
    let name = || "r-2026-11-09T03:00".to_owned();
    check(Case {
        spec: json!({ "concurrencyPolicy": "Allow" }),
        runs: before(),
        ..daily("Allow", "2026-11-10T03:00", Turn::Start(due()))
    });
    check(Case {
        runs: before(),
        again: Some("2026-11-10T04:00"),
        ..daily("Forbid is the default, and waits", "2026-11-10T03:00", Turn::Hold(due(), name()))
    });
    check(Case {
        runs: before(),
        ..daily("Forbid, for too long", "2026-11-10T04:00:01Z", Turn::Miss(due(), Cause::Overlap(name())))
    });
    check(Case {
        spec: json!({ "concurrencyPolicy": "Replace" }),
        runs: before(),
        again: Some("2026-11-10T04:00"),
        ..daily("Replace", "2026-11-10T03:00", Turn::Cancel(due(), vec![name()]))
    });
    check(Case {
        spec: json!({ "concurrencyPolicy": "Replace" }),
        runs: vec![run("2026-11-09T03:00", State::Cancelled)],
        again: Some("2026-11-10T04:00"),
        ..daily("Replace, while it is being cancelled", "2026-11-10T03:01", Turn::Hold(due(), name()))
    });
    for policy in ["Forbid", "Replace"] {
        check(Case {
            spec: json!({ "concurrencyPolicy": policy }),
            runs: vec![run("2026-11-09T03:00", State::Ended), run("2026-11-08T03:00", State::EndedWell(None))],
            ..daily("ended ones are not in the way", "2026-11-10T03:10", Turn::Start(due()))
        });
    }
    // Every minute, and the run before takes ten: the latest starts, the others are passed over.
    check(Case {
        spec: json!({ "schedule": "* * * * *" }),
        last: Some("2026-11-10T03:00"),
        runs: vec![run("2026-11-10T03:00", State::Active)],
        next: Some("2026-11-10T03:10"),
        again: Some("2026-11-10T03:10"),
        ..daily(
            "every minute, held",
            "2026-11-10T03:09:30Z",
            Turn::Hold(at("2026-11-10T03:09"), "r-2026-11-10T03:00".to_owned()),
        )
    });
    check(Case {
        spec: json!({ "schedule": "* * * * *" }),
        last: Some("2026-11-10T03:00"),
        runs: vec![run("2026-11-10T03:00", State::Ended)],
        passed: Some((8, "2026-11-10T03:08")),
        next: Some("2026-11-10T03:10"),
        again: Some("2026-11-10T03:10"),
        ..daily("every minute, freed", "2026-11-10T03:09:30Z", Turn::Start(at("2026-11-10T03:09")))
    });
}

#[test]
fn over_a_change_of_clocks_nothing_is_due_twice() {
    // 02:30 comes twice in Berlin on 25 October 2026: at 00:30 and at 01:30 UTC.
    let berlin = || json!({ "schedule": "30 2 * * *", "timeZone": "Europe/Berlin" });
    let case = |what, now, last, turn| Case {
        spec: berlin(),
        from: "2026-10-01T00:00",
        last: Some(last),
        next: Some("2026-10-26T01:30"),
        again: Some("2026-10-26T01:30"),
        ..daily(what, now, turn)
    };
    check(case("the first time", "2026-10-25T00:30", "2026-10-24T00:30", Turn::Start(at("2026-10-25T00:30"))));
    check(case("not the second", "2026-10-25T01:30", "2026-10-25T00:30", Turn::Rest));
    // Skipped on 29 March: due at 03:00 summer time, which is 01:00 UTC.
    check(Case {
        spec: berlin(),
        from: "2026-03-01T00:00",
        last: Some("2026-03-28T01:30"),
        next: Some("2026-03-30T00:30"),
        again: Some("2026-03-30T00:30"),
        ..daily("after the gap", "2026-03-29T01:00", Turn::Start(at("2026-03-29T01:00")))
    });
}

#[test]
fn months() {
    let patch = || json!({ "monthly": { "week": 2, "day": "Tuesday", "offsetDays": 3, "at": "03:00" }, "timeZone": "Europe/Berlin", "startingDeadline": "2d" });
    check(Case {
        spec: patch(),
        last: Some("2026-10-16T01:00"),
        next: Some("2026-12-11T02:00"),
        again: Some("2026-12-11T02:00"),
        ..daily("November's", "2026-11-14T12:00", Turn::Start(at("2026-11-13T02:00")))
    });
    check(Case {
        spec: json!({ "monthly": { "week": 5, "day": "Monday", "at": "00:00" } }),
        from: "2026-09-01T00:00",
        last: None,
        next: Some("2026-11-30T00:00"),
        again: Some("2026-11-30T00:00"),
        ..daily("no fifth Monday in September and October", "2026-11-29T23:59", Turn::Rest)
    });
}

#[test]
fn names_are_for_good() {
    // Whoever changes this makes what ran before the change run again.
    assert_eq!(run_name("patch", at("2026-11-13T02:00")), "patch-202611130200");
}

#[test]
fn history() {
    let runs = [
        run("2026-11-01T03:00", State::EndedWell(None)),
        run("2026-11-02T03:00", State::Ended),
        run("2026-11-03T03:00", State::EndedWell(None)),
        run("2026-11-04T03:00", State::Ended),
        run("2026-11-05T03:00", State::Active),
        run("2026-11-06T03:00", State::EndedWell(None)),
    ];
    let kept = |well: i32, otherwise: i32| {
        let limits = spec(&json!({ "successfulRunsHistoryLimit": well, "failedRunsHistoryLimit": otherwise }));
        surplus(&limits, &runs)
    };
    assert_eq!(kept(3, 3), Vec::<String>::new());
    assert_eq!(kept(1, 1), ["r-2026-11-01T03:00", "r-2026-11-02T03:00", "r-2026-11-03T03:00"]);
    assert_eq!(kept(0, 0).len(), 5, "one that runs is never deleted");
}
