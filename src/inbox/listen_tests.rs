use std::collections::VecDeque;

use super::*;

/// Answers in their order; after the last it waits for ever.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Result<Vec<Letter>, AwsError>>>,
    deleted: Mutex<Vec<String>>,
    refuse_deletes: bool,
}

impl Mailbox for Script {
    async fn receive(&self, _wait: bool) -> Result<Vec<Letter>, AwsError> {
        let next = self.answers.lock().unwrap().pop_front();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    async fn delete(&self, letters: &[&Letter]) -> Result<(), AwsError> {
        self.deleted.lock().unwrap().extend(letters.iter().map(|letter| letter.id.clone()));
        if self.refuse_deletes { Err(failure(Class::Denied)) } else { Ok(()) }
    }
}

#[derive(Default)]
struct Notes {
    acted: Mutex<Vec<String>>,
    changes: Mutex<usize>,
    pauses: Mutex<Vec<Duration>>,
}

impl Desk for Notes {
    async fn act(&self, letters: &[Letter]) -> Vec<bool> {
        self.acted.lock().unwrap().extend(letters.iter().map(|letter| letter.id.clone()));
        letters.iter().map(|letter| letter.body != "later").collect()
    }

    fn changed(&self) {
        *self.changes.lock().unwrap() += 1;
    }

    fn real(&self, span: Duration) -> Duration {
        self.pauses.lock().unwrap().push(span);
        Duration::ZERO
    }
}

fn letter(id: &str, body: &str) -> Letter {
    Letter { id: id.into(), receipt: format!("r-{id}"), body: body.into(), received: 1 }
}

fn failure(class: Class) -> AwsError {
    AwsError {
        class,
        service: "sqs",
        operation: "ReceiveMessage",
        code: None,
        message: "no".into(),
        denied: None,
        object: None,
    }
}

/// Runs the loop until it waits for ever.
async fn told(script: &Script) -> (Notes, Pulse) {
    let (notes, pulse) = (Notes::default(), Pulse::default());
    let waiting = async {
        while !script.answers.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        // What follows the last answer.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = listen(script, &notes, &pulse) => {}
        () = waiting => {}
    }
    (notes, pulse)
}

fn script(answers: impl IntoIterator<Item = Result<Vec<Letter>, AwsError>>) -> Script {
    Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() }
}

#[tokio::test]
async fn what_was_acted_upon_is_deleted_and_the_rest_comes_again() {
    let script = script([Ok(vec![letter("a", ""), letter("b", "later")]), Ok(vec![letter("b", "")])]);
    let (notes, pulse) = told(&script).await;
    assert_eq!(*notes.acted.lock().unwrap(), ["a", "b", "b"]);
    assert_eq!(*script.deleted.lock().unwrap(), ["a", "b"]);
    assert_eq!((pulse.get(), *notes.changes.lock().unwrap()), (Health::Receiving, 1));
}

#[tokio::test]
async fn a_delete_that_fails_ends_nothing() {
    let script = Script { refuse_deletes: true, ..script([Ok(vec![letter("a", "")]), Ok(vec![letter("a", "")])]) };
    let (notes, pulse) = told(&script).await;
    assert_eq!(*notes.acted.lock().unwrap(), ["a", "a"]);
    assert_eq!(pulse.get(), Health::Receiving);
}

#[tokio::test]
async fn failures_rest_ever_longer_and_are_told_once() {
    let denied = || Err(failure(Class::Denied));
    let script = script((0..9).map(|_| denied()).chain([Ok(vec![]), denied()]));
    let (notes, pulse) = told(&script).await;
    let pauses: Vec<u64> = notes.pauses.lock().unwrap().iter().map(Duration::as_secs).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 1, 1], "and an empty answer takes a second at least");
    assert_eq!((pulse.get(), *notes.changes.lock().unwrap()), (Health::Failing(failure(Class::Denied)), 3));
}

#[tokio::test]
async fn what_passes_by_itself_is_not_spoken_of_at_once() {
    let away = || Err(failure(Class::Transient));
    let script = script([Ok(vec![]), away(), away(), Ok(vec![])]);
    let (notes, pulse) = told(&script).await;
    assert_eq!((pulse.get(), *notes.changes.lock().unwrap()), (Health::Receiving, 1));
}
