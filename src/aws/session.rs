//! Sessions in accounts: clients, credentials, quotas, and the one way through which every call goes.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::sync::Mutex;

use super::error::{AwsError, Class};
use super::quota::{HeldBack, Quotas};
use super::settings::AccountSettings;

/// How long the controller's own role sessions last: the shortest that STS gives, renewed before they run out.
const SESSION_LENGTH: Duration = Duration::from_secs(900);
/// How long one call may take. None of the operations used here waits for anything.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How many accounts' sessions are kept when settings change.
const SESSIONS_KEPT: usize = 512;

/// Is told of every call.
pub trait CallObserver: Send + Sync {
    /// A call was answered, or failed: `ok` or AWS's code.
    fn called(&self, account: &str, service: &'static str, operation: &'static str, outcome: &str, seconds: f64);
    /// A call waited for its operation's token bucket.
    fn waited(&self, account: &str, service: &'static str, operation: &'static str, seconds: f64);
}

/// Sessions by account.
pub struct Sessions {
    observer: Arc<dyn CallObserver>,
    http: SharedHttpClient,
    sessions: Mutex<HashMap<AccountSettings, Arc<Session>>>,
}

impl Sessions {
    /// No sessions yet. `observer` is told of every call.
    #[must_use]
    pub fn new(observer: Arc<dyn CallObserver>) -> Self {
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https();
        Self { observer, http, sessions: Mutex::default() }
    }

    /// The session for some settings: the same settings give the same session, whose quotas and credentials are shared.
    pub async fn get(&self, settings: &AccountSettings) -> Arc<Session> {
        let mut all = self.sessions.lock().await;
        if let Some(session) = all.get(settings) {
            return session.clone();
        }
        if all.len() >= SESSIONS_KEPT {
            all.clear();
        }
        let session = Arc::new(Session::new(settings.clone(), self.observer.clone(), self.http.clone()).await);
        all.insert(settings.clone(), session.clone());
        session
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
    observer: Arc<dyn CallObserver>,
    quotas: Quotas,
    pub(super) iam: aws_sdk_iam::Client,
    pub(super) ssm: aws_sdk_ssm::Client,
    pub(super) states: aws_sdk_sfn::Client,
    sts: aws_sdk_sts::Client,
}

impl Session {
    async fn new(settings: AccountSettings, observer: Arc<dyn CallObserver>, http: SharedHttpClient) -> Self {
        let base = config(&settings, http).load().await;
        let config = match &settings.assume_role {
            None => base,
            Some(role) => {
                let mut provider = AssumeRoleProvider::builder(&role.role_arn)
                    .configure(&base)
                    .session_name("windlass")
                    .session_length(SESSION_LENGTH);
                if let Some(id) = &role.external_id {
                    provider = provider.external_id(id);
                }
                let provider = provider.build().await;
                base.into_builder()
                    .credentials_provider(aws_sdk_sts::config::SharedCredentialsProvider::new(provider))
                    .build()
            }
        };
        Self {
            quotas: Quotas::new(&settings),
            iam: aws_sdk_iam::Client::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            states: aws_sdk_sfn::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            settings,
            observer,
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
    /// [`AwsError`]; class Denied when the role cannot be assumed.
    pub async fn caller_identity(&self) -> Result<Identity, AwsError> {
        const OPERATION: &str = "GetCallerIdentity";
        let object = self.settings.assume_role.as_ref().map(|role| role.role_arn.as_str());
        let answer = self.call("sts", OPERATION, object, || self.sts.get_caller_identity().send()).await?;
        let what = object.unwrap_or("the controller");
        let missing = |field| AwsError::incomplete("sts", OPERATION, what, field);
        Ok(Identity {
            account: answer.account.ok_or_else(|| missing("Account"))?,
            arn: answer.arn.ok_or_else(|| missing("Arn"))?,
        })
    }

    /// Makes a call: within its quota, counted, and with its error sorted. Never made twice: what is worth another try is tried by the object's own backoff.
    pub(super) async fn call<T, E, F>(
        &self,
        service: &'static str,
        operation: &'static str,
        object: Option<&str>,
        request: impl FnOnce() -> F,
    ) -> Result<T, AwsError>
    where
        E: StdError + ProvideErrorMetadata + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let waited = self
            .quotas
            .take(service, operation)
            .await
            .map_err(|HeldBack| AwsError::held_back(service, operation, object))?;
        self.observer.waited(&self.settings.name, service, operation, waited.as_secs_f64());
        let began = Instant::now();
        let result = request().await.map_err(|error| AwsError::from_sdk(service, operation, object, &error));
        let seconds = began.elapsed().as_secs_f64();
        let outcome = result.as_ref().map_or_else(AwsError::outcome, |_| "ok");
        self.observer.called(&self.settings.name, service, operation, outcome, seconds);
        match &result {
            Err(error) if error.class == Class::Throttled => self.quotas.throttled(service, operation),
            _ => self.quotas.answered(service, operation),
        }
        result
    }
}

fn config(settings: &AccountSettings, http: SharedHttpClient) -> aws_config::ConfigLoader {
    let timeouts =
        TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).connect_timeout(Duration::from_secs(5)).build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .http_client(http)
        .timeout_config(timeouts)
        // Every attempt goes through the quota and is counted, so attempts are ours to make.
        .retry_config(RetryConfig::disabled());
    match &settings.endpoint {
        Some(endpoint) => loader.endpoint_url(endpoint),
        None => loader,
    }
}
