//! The flags of signature verification, which charts and OCI artifacts share. Source: flux2 cmd/flux/create_source_oci.go.

use super::given;
use crate::cli::CliError;
use crate::kinds::helm_chart::OidcIdentity;
use crate::kinds::meta::LocalReference;

/// Whose signature must be good.
#[derive(clap::Args, Debug)]
pub struct Verification {
    /// cosign or notation
    #[arg(long, value_name = "PROVIDER")]
    verify_provider: Option<String>,
    /// Name of a Secret that has the public keys
    #[arg(long, value_name = "NAME")]
    verify_secret_ref: Option<String>,
    /// Pattern for the subject of a certificate
    #[arg(long, value_name = "PATTERN")]
    verify_subject: Option<String>,
    /// Pattern for the issuer of a certificate
    #[arg(long, value_name = "PATTERN")]
    verify_issuer: Option<String>,
}

/// What the flags say together.
pub struct Wanted {
    pub provider: String,
    pub secret_ref: Option<LocalReference>,
    pub identities: Vec<OidcIdentity>,
}

impl Verification {
    /// Reads the flags; `None` when no verification is wanted.
    ///
    /// Errors when a key or an identity is given without a provider, or the provider is not known.
    pub fn wanted(&self) -> Result<Option<Wanted>, CliError> {
        let secret_ref = given(&self.verify_secret_ref).map(|name| LocalReference { name });
        let (issuer, subject) = (given(&self.verify_issuer), given(&self.verify_subject));
        let identities = match (&issuer, &subject) {
            (None, None) => Vec::new(),
            _ => vec![OidcIdentity { issuer: issuer.unwrap_or_default(), subject: subject.unwrap_or_default() }],
        };
        let hint = "add --verify-provider=cosign";
        match given(&self.verify_provider) {
            Some(provider) if matches!(provider.as_str(), "cosign" | "notation") => {
                Ok(Some(Wanted { provider, secret_ref, identities }))
            }
            Some(other) => {
                Err(CliError::user(format!("--verify-provider {other:?} is not known"), "use cosign or notation"))
            }
            None if secret_ref.is_some() => {
                Err(CliError::user("--verify-secret-ref needs a verification provider", hint))
            }
            None if !identities.is_empty() => {
                Err(CliError::user("--verify-issuer and --verify-subject need a verification provider", hint))
            }
            None => Ok(None),
        }
    }
}
