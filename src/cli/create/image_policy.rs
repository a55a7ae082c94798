//! `weir create image policy`. Source: flux2 cmd/flux/create_image_policy.go.

use super::{Shared, document, finish, given};
use crate::cli::{CliError, Cx};
use crate::engine::policy::{Filter, Order, Rule};
use crate::kinds::image_policy::{
    ImagePolicySpec, KIND, Ordering, PolicyChoice, Reflection, RepositoryReference, TagFilter, VersionRange,
};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
    /// Name of the ImageRepository
    #[arg(long, value_name = "NAME")]
    image_ref: Option<String>,
    /// Choose the highest version in a range, e.g. ">=1.0.0"
    #[arg(long, value_name = "RANGE")]
    select_semver: Option<String>,
    /// Choose by the alphabet: asc takes the last, desc the first
    #[arg(long, value_name = "ORDER")]
    select_alpha: Option<String>,
    /// Choose by number: asc takes the largest, desc the smallest
    #[arg(long, value_name = "ORDER")]
    select_numeric: Option<String>,
    /// Regular expression that tags must match
    #[arg(long, value_name = "PATTERN")]
    filter_regex: Option<String>,
    /// What of a matching tag is compared, e.g. '$ts'
    #[arg(long, value_name = "TEMPLATE")]
    filter_extract: Option<String>,
    /// Look the digest of the chosen tag up: Never, IfNotPresent or Always (then every --interval)
    #[arg(long, value_name = "WHEN", ignore_case = true)]
    reflect_digest: Option<When>,
}

/// When the digest is looked up.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[value(rename_all = "PascalCase")]
enum When {
    Never,
    IfNotPresent,
    Always,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let name = given(&args.image_ref).ok_or_else(|| {
        CliError::user("the name of an ImageRepository in the namespace is required", "name it with --image-ref")
    })?;
    let refused = |error: crate::engine::policy::PolicyError| CliError::user(error.to_string(), "");
    let filter_tags = match (given(&args.filter_regex), given(&args.filter_extract)) {
        (None, None) => None,
        (None, Some(_)) => {
            return Err(CliError::user("cannot specify --filter-extract without specifying --filter-regex", ""));
        }
        (Some(pattern), extract) => {
            let extract = extract.unwrap_or_default();
            Filter::new(&pattern, &extract).map_err(refused)?;
            Some(TagFilter { pattern, extract })
        }
    };
    let spec = ImagePolicySpec {
        image_repository_ref: RepositoryReference { name, namespace: None },
        policy: choice(&args)?,
        filter_tags,
        digest_reflection_policy: args.reflect_digest.map(|when| match when {
            When::Never => Reflection::Never,
            When::IfNotPresent => Reflection::IfNotPresent,
            When::Always => Reflection::Always,
        }),
        interval: (args.reflect_digest == Some(When::Always)).then(|| args.shared.interval()),
        suspend: None,
    };
    let document = document(cx, &KIND, &args.shared, serde_json::to_value(spec).unwrap_or_default())?;
    finish(cx, &args.shared, vec![document]).await
}

/// The one rule that is given.
fn choice(args: &Args) -> Result<PolicyChoice, CliError> {
    let refused = |error: crate::engine::policy::PolicyError| CliError::user(error.to_string(), "");
    let order = |text: String| -> Result<Option<Ordering>, CliError> {
        Order::parse(&text).map_err(refused)?;
        Ok(Some(Ordering { order: Some(text.to_ascii_lowercase()) }))
    };
    let none = PolicyChoice::default();
    match (given(&args.select_semver), given(&args.select_alpha), given(&args.select_numeric)) {
        (Some(range), None, None) => {
            Rule::semver(&range).map_err(refused)?;
            Ok(PolicyChoice { semver: Some(VersionRange { range }), ..none })
        }
        (None, Some(text), None) => Ok(PolicyChoice { alphabetical: order(text)?, ..none }),
        (None, None, Some(text)) => Ok(PolicyChoice { numerical: order(text)?, ..none }),
        (None, None, None) => {
            let hint = "use --select-semver, --select-alpha or --select-numeric";
            Err(CliError::user("a policy must be provided", hint))
        }
        _ => {
            let message = "only one of --select-semver, --select-alpha or --select-numeric can be specified";
            Err(CliError::user(message, ""))
        }
    }
}
