//! The test bed, seen from a test: an empty account, a session of the controller's, the account's administrator, faults and counts.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use serde_json::{Value, json};
use windlass::api::owned::OwnedObject;
use windlass::aws::engine::{self, Depth, Ledger, LedgerError, Request, SyncError, Synced};
use windlass::aws::executions::{self, Execution, Status};
use windlass::aws::{AccountSettings, AssumeRoleSettings, CallObserver, Session, Sessions};
use windlass::compile::Blueprint;

pub const ACCOUNT: &str = "111122223333";
pub const REGION: &str = "eu-west-1";

/// The endpoint has faults and counts of its own, which tests that run at the same time would share.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run these tests by `pytest tests/reconcile`"))
}

/// How often something is looked at that nothing tells of, and how many times.
const PACE: Duration = Duration::from_millis(20);
const LOOKS: usize = 600;

/// Waits for what `look` looks at, which AWS tells nobody of. Until it is there `look` says what there is instead.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut pace = tokio::time::interval(PACE);
    let mut last = String::new();
    for _ in 0..LOOKS {
        pace.tick().await;
        match look().await {
            Ok(found) => return found,
            Err(other) => last = other,
        }
    }
    panic!("waited for {what}: {last}")
}

/// Waits for an execution to end.
pub async fn ended(world: &World, arn: &str) -> Execution {
    let look = async || match executions::describe(&world.session, arn).await.unwrap() {
        found if found.status == Status::Running => Err("it runs".to_owned()),
        found => Ok(found),
    };
    until(&format!("{arn} to end"), look).await
}

/// Calls by operation, as in `iam:CreateRole`.
pub type Calls = BTreeMap<String, usize>;

pub fn calls(of: &[(&str, usize)]) -> Calls {
    of.iter().map(|(operation, count)| ((*operation).to_owned(), *count)).collect()
}

#[derive(Default)]
pub struct Counter {
    calls: Mutex<Calls>,
    waited: Mutex<Vec<String>>,
}

impl CallObserver for Counter {
    fn called(&self, account: &str, service: &'static str, operation: &'static str, _outcome: &str, seconds: f64) {
        assert_eq!(account, "test");
        assert!(seconds >= 0.0);
        *self.calls.lock().unwrap().entry(format!("{service}:{operation}")).or_default() += 1;
    }

    fn waited(&self, _account: &str, service: &'static str, operation: &'static str, _seconds: f64) {
        self.waited.lock().unwrap().push(format!("{service}:{operation}"));
    }
}

impl Counter {
    /// What was called since the last time.
    pub fn take(&self) -> Calls {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// Who waited for a quota since the last time.
    pub fn take_waits(&self) -> Vec<String> {
        std::mem::take(&mut self.waited.lock().unwrap())
    }
}

/// What status would remember.
#[derive(Default)]
pub struct Memory {
    pub writes: Vec<Vec<OwnedObject>>,
    /// Calls that were made before the names were recorded.
    pub calls_before: Calls,
    counter: Arc<Counter>,
    pub fail: bool,
}

impl Ledger for Memory {
    async fn write(&mut self, owned: &[OwnedObject]) -> Result<(), LedgerError> {
        if self.fail {
            return Err("the API server is away".into());
        }
        self.calls_before.extend(self.counter.calls.lock().unwrap().clone());
        self.writes.push(owned.to_vec());
        Ok(())
    }
}

pub struct World {
    pub session: Arc<Session>,
    pub counter: Arc<Counter>,
    pub admin: Admin,
    pub control: Control,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

impl World {
    /// An empty account. The session's role is assumed already, so that what a test counts is its own.
    pub async fn new() -> Self {
        let alone = ALONE.lock().await;
        let control = Control(variable("WINDLASS_TEST_CONTROL"));
        control.send("POST", "/reset", &Value::Null);
        let counter = Arc::new(Counter::default());
        let session = Sessions::new(counter.clone()).get(&settings()).await;
        session.caller_identity().await.unwrap();
        counter.take();
        Self { session, counter, admin: Admin::new(), control, _alone: alone }
    }

    pub fn memory(&self) -> Memory {
        Memory { counter: self.counter.clone(), ..Memory::default() }
    }

    pub async fn sync(&self, blueprint: &Blueprint, owned: &[OwnedObject], depth: Depth) -> Result<Synced, SyncError> {
        let request = Request { blueprint, owned, depth, prune_policies: false };
        engine::sync(&self.session, request, &mut self.memory()).await
    }

    pub async fn prune(&self, blueprint: &Blueprint, owned: &[OwnedObject], depth: Depth) -> Synced {
        let request = Request { blueprint, owned, depth, prune_policies: true };
        engine::sync(&self.session, request, &mut self.memory()).await.unwrap()
    }

    /// Makes everything and answers what is owned then.
    pub async fn made(&self, blueprint: &Blueprint) -> Vec<OwnedObject> {
        let made = self.sync(blueprint, &[], Depth::Recorded).await.unwrap();
        self.counter.take();
        made.owned
    }

    /// In words, what a sync at full depth changes.
    pub async fn mended(&self, blueprint: &Blueprint, owned: &[OwnedObject]) -> (Vec<String>, Vec<OwnedObject>) {
        let synced = self.sync(blueprint, owned, Depth::Full).await.unwrap();
        (synced.changes.iter().map(ToString::to_string).collect(), synced.owned)
    }
}

pub fn settings() -> AccountSettings {
    AccountSettings {
        name: "test".into(),
        account_id: ACCOUNT.into(),
        region: REGION.into(),
        endpoint: Some(variable("WINDLASS_TEST_ENDPOINT")),
        assume_role: Some(AssumeRoleSettings {
            role_arn: variable("WINDLASS_TEST_ROLE_ARN"),
            external_id: Some(variable("WINDLASS_TEST_EXTERNAL_ID")),
        }),
        quotas: BTreeMap::new(),
    }
}

/// What is recorded of a type.
pub fn entry<'a>(owned: &'a [OwnedObject], type_: &str) -> &'a OwnedObject {
    owned.iter().find(|entry| entry.type_.ends_with(type_)).unwrap_or_else(|| panic!("no {type_} in {owned:?}"))
}

/// The account's administrator, who arranges what a test finds.
pub struct Admin {
    pub events: aws_sdk_eventbridge::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub iam: aws_sdk_iam::Client,
    pub ssm: aws_sdk_ssm::Client,
    pub states: aws_sdk_sfn::Client,
}

impl Admin {
    fn new() -> Self {
        let credentials = Credentials::new(ACCOUNT, "admin", None, None, "test");
        let config = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(variable("WINDLASS_TEST_ENDPOINT"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Self {
            events: aws_sdk_eventbridge::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            states: aws_sdk_sfn::Client::new(&config),
        }
    }

    /// Tags of a state machine.
    pub async fn machine_tags(&self, arn: &str) -> BTreeMap<String, String> {
        let found = self.states.list_tags_for_resource().resource_arn(arn).send().await.unwrap();
        found.tags.unwrap_or_default().into_iter().map(|tag| (tag.key.unwrap(), tag.value.unwrap())).collect()
    }

    /// The definition that a state machine, or a version of one, has.
    pub async fn definition(&self, arn: &str) -> Value {
        let found = self.states.describe_state_machine().state_machine_arn(arn).send().await.unwrap();
        serde_json::from_str(&found.definition).unwrap()
    }

    /// Names of roles under Windlass's path, documents and state machines: everything that could have been made.
    pub async fn inventory(&self) -> Vec<String> {
        let roles = self.iam.list_roles().path_prefix("/windlass/").send().await.unwrap();
        let own = aws_sdk_ssm::types::DocumentKeyValuesFilter::builder().key("Owner").values("Self").build();
        let documents = self.ssm.list_documents().filters(own).send().await.unwrap();
        let machines = self.states.list_state_machines().send().await.unwrap();
        let roles = roles.roles.into_iter().map(|role| format!("role {}", role.role_name));
        let documents = documents.document_identifiers.unwrap_or_default().into_iter();
        let documents = documents.map(|document| format!("document {}", document.name.unwrap()));
        let machines = machines.state_machines.into_iter().map(|machine| format!("state machine {}", machine.name));
        roles.chain(documents).chain(machines).collect()
    }
}

/// The bed's control endpoint.
pub struct Control(String);

impl Control {
    /// Adds a fault that hits the next call of an operation (`states:CreateStateMachine`).
    pub fn fault(&self, kind: &str, operation: &str) {
        let (service, operation) = operation.split_once(':').unwrap();
        self.send(
            "POST",
            "/faults",
            &json!({ "kind": kind, "service": service, "operation": operation, "caller": "windlass-controller" }),
        );
    }

    pub fn eventual(&self, setting: &str, virtual_seconds: f64) {
        self.send("POST", "/eventual", &json!({ setting: virtual_seconds }));
    }

    /// Adds a Windows node.
    pub fn node(&self, id: &str, tags: &Value, rules: &Value) {
        let node = json!({
            "computerName": id.to_uppercase(), "platform": "Windows", "ping": "Online", "agentVersion": "3.3.2299.0",
            "ip": "10.0.0.1", "tags": tags, "rules": rules,
        });
        self.send("PUT", &format!("/nodes/{id}"), &node);
    }

    pub fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let host = self.0.strip_prefix("http://").expect("a plain HTTP address");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(host).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }
}
