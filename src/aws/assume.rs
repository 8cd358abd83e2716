//! Assuming an account's role: short sessions, renewed before they end, each call counted as any other.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};

use super::error::{AwsError, Class};
use super::session::Calls;
use super::settings::AssumeRoleSettings;

const SERVICE: &str = "sts";
const OPERATION: &str = "AssumeRole";
/// Name of the sessions: part of the caller's ARN, in AWS's logs too.
const SESSION_NAME: &str = "windlass";
/// How long a session lasts: the shortest that STS gives.
const SESSION_LENGTH: Duration = Duration::from_mins(15);

/// Credentials of an assumed role.
pub(super) struct RoleCredentials {
    role_arn: String,
    inner: AssumeRoleProvider,
    calls: Arc<Calls>,
}

impl RoleCredentials {
    /// Credentials of a role that is assumed with the credentials, endpoint and Region of `ambient`.
    pub(super) async fn new(role: &AssumeRoleSettings, ambient: &SdkConfig, calls: Arc<Calls>) -> Self {
        let mut provider = AssumeRoleProvider::builder(&role.role_arn)
            .configure(ambient)
            .session_name(SESSION_NAME)
            .session_length(SESSION_LENGTH);
        if let Some(id) = &role.external_id {
            provider = provider.external_id(id);
        }
        Self { role_arn: role.role_arn.clone(), inner: provider.build().await, calls }
    }

    async fn assume(&self) -> Result {
        let role = Some(self.role_arn.as_str());
        self.calls.admit(SERVICE, OPERATION, role).await.map_err(CredentialsError::provider_error)?;
        let began = Instant::now();
        let result = self.inner.provide_credentials().await;
        let Err(error) = result else {
            self.calls.made(SERVICE, OPERATION, began, None);
            return result;
        };
        match AwsError::from_credentials(&self.role_arn, &error) {
            Some(sorted) => {
                // Without credentials of one's own no call was made.
                if sorted.class != Class::Denied || sorted.code.is_some() {
                    self.calls.made(SERVICE, OPERATION, began, Some(&sorted));
                }
                Err(CredentialsError::provider_error(sorted))
            }
            None => Err(error),
        }
    }
}

impl ProvideCredentials for RoleCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

impl fmt::Debug for RoleCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleCredentials").field("role_arn", &self.role_arn).finish_non_exhaustive()
    }
}
