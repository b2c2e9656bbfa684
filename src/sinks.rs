//! What a sink's row means: an address and a secret, checked when it is written and read again for each request.

use std::path::Path;
use std::sync::Arc;

use oncall_domain::delivery::{Format, Secret, SecretIs};
use oncall_model::check_address;
use oncall_model::egress::AllowedHosts;

use crate::authorities;
use crate::secrets;
use crate::settings;

/// What of the settings a sink depends on. Read on the main thread, used on any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The hosts that may be contacted.
    pub allowed: AllowedHosts,
    /// Where the secrets are; empty for nowhere.
    pub secret_directory: String,
    /// The authorities that count, in PEM; none for the public ones.
    pub ca_pem: Option<Arc<[u8]>>,
}

impl Surroundings {
    /// As the settings are now.
    pub fn now() -> Result<Self, String> {
        let allowed = AllowedHosts::parse(&settings::allowed_hosts())
            .map_err(|error| format!("oncall.allowed_hosts cannot be used: {error}"))?;
        let ca_pem = authorities::now()?.map(Arc::from);
        Ok(Self { allowed, secret_directory: settings::secret_directory(), ca_pem })
    }
}

/// Where to post, and with which secret.
#[derive(Debug)]
pub struct Opened {
    /// The address, before what the format adds to it.
    pub url: String,
    /// The secret, where there is one; the address itself, where that is the secret.
    pub secret: Option<Secret>,
}

/// The address and the secret of a sink. An error says what is wrong with the row, and shows nothing of the secret.
pub fn open(
    format: Format,
    url: Option<&str>,
    secret_file: Option<&str>,
    surroundings: &Surroundings,
) -> Result<Opened, String> {
    let secret = secret_file.map(|file| read_secret(file, &surroundings.secret_directory)).transpose()?;
    let name = format.as_str();
    let url = match (format.secret_is(), url, &secret) {
        (SecretIs::Address, None, Some(secret)) => secret.reveal().to_owned(),
        (SecretIs::Address, Some(url), None) | (SecretIs::Optional, Some(url), _) => url.to_owned(),
        (SecretIs::Key, Some(url), Some(_)) => url.to_owned(),
        (SecretIs::Address, None, None) => {
            return Err(format!("a sink of format {name} needs a secret_file, which holds its URL"));
        }
        (SecretIs::Address, Some(_), Some(_)) => {
            return Err(format!("a sink of format {name} has its URL in secret_file or in url, not in both"));
        }
        (SecretIs::Key, Some(_), None) => {
            return Err(format!("a sink of format {name} needs a secret_file with its key"));
        }
        (SecretIs::Key | SecretIs::Optional, None, _) => return Err(format!("a sink of format {name} needs a url")),
    };
    // Whatever the address, this sentence holds nothing of it but its host.
    check_address(&url, &surroundings.allowed).map_err(|error| format!("its URL cannot be used: {error}"))?;
    if format == Format::Opsgenie && url.contains(['?', '#']) {
        return Err("its URL cannot be used: it is what /v2/alerts follows, so it has no query".to_owned());
    }
    Ok(Opened { url: url.trim_end_matches('/').to_owned(), secret })
}

fn read_secret(file: &str, directory: &str) -> Result<Secret, String> {
    // A name and no path: who may write sinks must not be able to send any file of the server's somewhere.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if file.is_empty() || file.starts_with('.') || !file.chars().all(plain) {
        return Err("secret_file is the name of a file in oncall.secret_directory, without its path".to_owned());
    }
    if directory.is_empty() {
        return Err("oncall.secret_directory is not set, so there is no secret_file".to_owned());
    }
    let text = secrets::read(&Path::new(directory).join(file))
        .map_err(|error| format!("the secret_file \"{file}\" {error}"))?;
    Secret::new(&text).map_err(|error| format!("the secret_file \"{file}\" is no secret: {error}"))
}
