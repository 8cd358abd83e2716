//! Who the controller is, and what it is told when it is nobody.

use std::sync::Arc;

use windlass::aws::{AssumeRoleSettings, Bucket, Class, Sessions};

use super::bed::{ACCOUNT, Counter, World, calls, settings};
use super::declared::Declared;

#[tokio::test]
async fn the_role_is_assumed_once_for_all_services() {
    let world = World::new().await;
    let counter = Arc::new(Counter::default());
    let sessions = Sessions::new(counter.clone());
    let session = sessions.get(&settings()).await;
    let identity = session.caller_identity().await.unwrap();
    assert_eq!(identity.account, ACCOUNT);
    assert_eq!(identity.arn, format!("arn:aws:sts::{ACCOUNT}:assumed-role/windlass-controller/windlass"));
    windlass::aws::commands::executing(&session, &Declared::new().document_name()).await.unwrap();
    let again = sessions.get(&settings()).await;
    assert!(Arc::ptr_eq(&session, &again), "the same settings give the same session");
    again.caller_identity().await.unwrap();
    let expected = [("sts:AssumeRole", 1), ("sts:GetCallerIdentity", 2), ("ssm:ListCommands", 1)];
    assert_eq!(counter.take(), calls(&expected));
    drop(world);
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_named_with_what_to_do() {
    let world = World::new().await;
    let counter = Arc::new(Counter::default());
    let mut wrong = settings();
    let role = wrong.assume_role.take().unwrap().role_arn;
    wrong.assume_role = Some(AssumeRoleSettings { role_arn: role.clone(), external_id: Some("guessed".into()) });
    let error = Sessions::new(counter.clone()).get(&wrong).await.caller_identity().await.unwrap_err();
    assert_eq!((error.class, error.service, error.operation), (Class::Denied, "sts", "AssumeRole"), "{error}");
    let denied = error.denied.as_deref().unwrap();
    assert_eq!((denied.action.as_str(), denied.resource.as_ref()), ("sts:AssumeRole", Some(&role)));
    assert!(error.to_string().contains("the role's trust policy name that identity and the external id"), "{error}");
    assert!(!format!("{error:?}").contains("guessed"));
    assert_eq!(counter.take(), calls(&[("sts:AssumeRole", 1)]));
    drop(world);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_transient() {
    let world = World::new().await;
    let mut nowhere = settings();
    // A port that was free a moment ago, and that nobody listens at.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    nowhere.endpoint = Some(format!("http://{free}"));
    let error = Sessions::new(world.counter.clone()).get(&nowhere).await.caller_identity().await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Transient, None), "{error}");
}

#[tokio::test]
async fn quotas_are_kept_and_shared_by_who_shares_the_account() {
    let world = World::new().await;
    let counter = Arc::new(Counter::default());
    let sessions = Sessions::new(counter.clone());
    let mut tight = settings();
    tight.quotas = [("sts:GetCallerIdentity".to_owned(), Bucket { bucket: 2, refill_per_second: 50 })].into();
    let session = sessions.get(&tight).await;
    tight.assume_role = None;
    let ambient = sessions.get(&tight).await;
    assert!(!Arc::ptr_eq(&session, &ambient));
    session.caller_identity().await.unwrap();
    let began = std::time::Instant::now();
    let several = std::iter::repeat_with(|| ambient.caller_identity()).take(20);
    for result in futures::future::join_all(several).await {
        result.unwrap();
    }
    // One token was left, and what came back since: the rest wait for theirs, 20 ms each.
    assert!(counter.take_waits().len() >= 15);
    assert!(began.elapsed().as_millis() >= 300, "{:?}", began.elapsed());

    let mut never = settings();
    never.quotas = [("sts:GetCallerIdentity".to_owned(), Bucket { bucket: 1, refill_per_second: 1 })].into();
    let session = sessions.get(&never).await;
    let several = std::iter::repeat_with(|| session.caller_identity()).take(8);
    let results = futures::future::join_all(several).await;
    let held =
        results.iter().filter(|result| result.as_ref().is_err_and(|error| error.class == Class::Throttled)).count();
    assert_eq!(held, 2, "one goes at once and five wait up to five seconds");
    drop(world);
}
