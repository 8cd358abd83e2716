//! Sessions in accounts: clients, credentials, and the one way through which every call goes.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::clock::Clock;

use super::assume::RoleCredentials;
use super::error::{AwsError, Class};
use super::quota::{HeldBack, Quotas};
use super::settings::{AccountSettings, Bucket};

/// How long before their end credentials are renewed, at most (the SDK takes half of it to all of it).
const RENEW_BEFORE_END: Duration = Duration::from_mins(2);
/// How long one call may take. None of the operations used here waits for anything, but for SQS's.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a call to SQS may take: a receive waits up to 20 s for a message (`ReceiveMessage`, `WaitTimeSeconds`).
const LONG_POLL_TIMEOUT: Duration = Duration::from_secs(40);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Beyond so many, sessions that nobody uses are forgotten.
const SESSIONS_KEPT: usize = 256;

/// Is told of every call.
pub trait CallObserver: Send + Sync {
    /// A call was answered, or failed: `ok` or AWS's code.
    fn called(&self, account: &str, service: &'static str, operation: &'static str, outcome: &str, seconds: f64);
    /// A call waited for its operation's token bucket.
    fn waited(&self, account: &str, service: &'static str, operation: &'static str, seconds: f64);
}

/// Account, Region, endpoint and settings of quotas: who shares them shares AWS's buckets.
type Scope = (String, String, Option<String>, Vec<(String, Bucket)>);

/// Sessions by account.
pub struct Sessions {
    observer: Arc<dyn CallObserver>,
    clock: Clock,
    http: SharedHttpClient,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    sessions: HashMap<AccountSettings, Arc<Session>>,
    quotas: HashMap<Scope, Arc<Quotas>>,
}

impl Sessions {
    /// No sessions yet. `observer` is told of every call.
    #[must_use]
    pub fn new(observer: Arc<dyn CallObserver>) -> Self {
        Self::with_clock(observer, Clock::default())
    }

    /// The same, with quotas that refill by a clock of its own speed.
    #[must_use]
    pub fn with_clock(observer: Arc<dyn CallObserver>, clock: Clock) -> Self {
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https();
        Self { observer, clock, http, kept: Mutex::default() }
    }

    /// The session for some settings: the same settings give the same session, whose credentials are shared.
    pub async fn get(&self, settings: &AccountSettings) -> Arc<Session> {
        if let Some(session) = self.kept().sessions.get(settings) {
            return session.clone();
        }
        let calls = self.calls(settings);
        // No lock is held meanwhile: one account whose credentials are slow to find holds up no other.
        let made = Arc::new(Session::new(settings.clone(), calls, self.http.clone()).await);
        let mut kept = self.kept();
        if kept.sessions.len() >= SESSIONS_KEPT {
            kept.sessions.retain(|_, session| Arc::strong_count(session) > 1);
            kept.quotas.retain(|_, quotas| Arc::strong_count(quotas) > 1);
        }
        kept.sessions.entry(settings.clone()).or_insert(made).clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calls(&self, settings: &AccountSettings) -> Arc<Calls> {
        let set = settings.quotas.iter().map(|(operation, bucket)| (operation.clone(), *bucket)).collect();
        let scope = (settings.account_id.clone(), settings.region.clone(), settings.endpoint.clone(), set);
        let quotas = || Arc::new(Quotas::new(&settings.region, settings.quotas.clone(), self.clock));
        let quotas = self.kept().quotas.entry(scope).or_insert_with(quotas).clone();
        Arc::new(Calls { account: settings.name.clone(), observer: self.observer.clone(), quotas })
    }
}

/// The way through which every call of an account goes: within its quota, counted, its error sorted.
pub(super) struct Calls {
    account: String,
    observer: Arc<dyn CallObserver>,
    quotas: Arc<Quotas>,
}

impl Calls {
    /// Waits for the operation's quota. Errors: class Throttled when that would take long.
    pub(super) async fn admit(
        &self,
        service: &'static str,
        operation: &'static str,
        object: Option<&str>,
    ) -> Result<(), AwsError> {
        match self.quotas.take(service, operation).await {
            Ok(waited) if waited.is_zero() => Ok(()),
            Ok(waited) => {
                self.observer.waited(&self.account, service, operation, waited.as_secs_f64());
                Ok(())
            }
            Err(HeldBack) => Err(AwsError::held_back(service, operation, object)),
        }
    }

    /// Tells what came of a call that began at `began`.
    pub(super) fn made(
        &self,
        service: &'static str,
        operation: &'static str,
        began: Instant,
        error: Option<&AwsError>,
    ) {
        let outcome = error.map_or("ok", AwsError::outcome);
        self.observer.called(&self.account, service, operation, outcome, began.elapsed().as_secs_f64());
        match error.map(|error| error.class) {
            Some(Class::Throttled) => self.quotas.throttled(service, operation),
            _ => self.quotas.answered(service, operation),
        }
    }
}

/// Who AWS says that the controller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Account id.
    pub account: String,
    /// ARN of the caller.
    pub arn: String,
}

/// A session in one account and Region.
pub struct Session {
    settings: AccountSettings,
    calls: Arc<Calls>,
    pub(super) events: aws_sdk_eventbridge::Client,
    pub(super) iam: aws_sdk_iam::Client,
    pub(super) sqs: aws_sdk_sqs::Client,
    pub(super) ssm: aws_sdk_ssm::Client,
    pub(super) states: aws_sdk_sfn::Client,
    sts: aws_sdk_sts::Client,
}

impl Session {
    async fn new(settings: AccountSettings, calls: Arc<Calls>, http: SharedHttpClient) -> Self {
        let mut config = ambient(&settings, http).await;
        if let Some(role) = &settings.assume_role {
            let credentials = RoleCredentials::new(role, &config, calls.clone()).await;
            config = config.into_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build();
        }
        Self {
            calls,
            events: aws_sdk_eventbridge::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            sqs: aws_sdk_sqs::Client::from_conf(
                aws_sdk_sqs::config::Builder::from(&config).timeout_config(timeouts(LONG_POLL_TIMEOUT)).build(),
            ),
            ssm: aws_sdk_ssm::Client::new(&config),
            states: aws_sdk_sfn::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            settings,
        }
    }

    /// The settings that this session was made with.
    #[must_use]
    pub fn settings(&self) -> &AccountSettings {
        &self.settings
    }

    /// Who AWS says that the controller is here.
    ///
    /// # Errors
    /// [`AwsError`]; class Denied when the role cannot be assumed or there are no credentials.
    pub async fn caller_identity(&self) -> Result<Identity, AwsError> {
        const OPERATION: &str = "GetCallerIdentity";
        let answer = self.call("sts", OPERATION, None, || self.sts.get_caller_identity().send()).await?;
        let missing = |field| AwsError::incomplete("sts", OPERATION, "the controller", field);
        Ok(Identity {
            account: answer.account.ok_or_else(|| missing("Account"))?,
            arn: answer.arn.ok_or_else(|| missing("Arn"))?,
        })
    }

    /// Makes a call: within its quota, counted, its error sorted. Never made twice: what is worth another try is tried by the object's own backoff.
    pub(super) async fn call<T, E, F>(
        &self,
        service: &'static str,
        operation: &'static str,
        object: Option<&str>,
        request: impl FnOnce() -> F,
    ) -> Result<T, AwsError>
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        self.calls.admit(service, operation, object).await?;
        let began = Instant::now();
        let result = request().await.map_err(|error| AwsError::from_sdk(service, operation, object, &error));
        // A role that could not be assumed is another operation's failure, and counted there: this call was not made.
        if result.as_ref().err().is_none_or(|error| (error.service, error.operation) == (service, operation)) {
            self.calls.made(service, operation, began, result.as_ref().err());
        }
        result
    }
}

/// The controller's own identity: the default chain of the SDK (environment, web identity, ECS and EKS Pod Identity, instance profile).
async fn ambient(settings: &AccountSettings, http: SharedHttpClient) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .http_client(http)
        .timeout_config(timeouts(CALL_TIMEOUT))
        .identity_cache(IdentityCache::lazy().buffer_time(RENEW_BEFORE_END).build())
        // Every attempt goes through the quota and is counted, so attempts are ours to make.
        .retry_config(RetryConfig::disabled());
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Ok(name) = AppName::new("windlass") {
        loader = loader.app_name(name);
    }
    loader.load().await
}

fn timeouts(whole: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_timeout(whole).connect_timeout(CONNECT_TIMEOUT).build()
}
