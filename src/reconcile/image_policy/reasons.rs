//! Why a policy chooses what it chooses: over the tags that the last scan found, else over a list that is fetched for this.
//!
//! Start with [`reasons`].

use super::super::image_repository::{canonical, list, repository};
use super::super::{Cause, Context, Failure};
use super::{failed, policy, refused, source};
use crate::base::{Id, Value};
use crate::engine::policy::{Policy, Reasons};
use crate::kinds::{ImagePolicy, ImageRepository};

/// What became of every tag under a policy.
///
/// Errors when the policy cannot be read, or its tags cannot be had.
pub async fn reasons(cx: &Context, id: &Id) -> Result<Reasons, Cause> {
    let told = async {
        let (source, policy) = read(cx, id).await?;
        let tags = match kept(cx, &source).await? {
            Some(tags) => tags,
            None => list(cx, &source.spec, source.metadata.namespace.as_deref().unwrap_or_default()).await?,
        };
        let image = source.spec.image.clone();
        let told = tokio::task::spawn_blocking(move || Reasons::of(&policy, image, &tags)).await;
        told.map_err(|error| failed("Failure", error.to_string()))
    };
    told.await.map_err(|failure: Failure| failure.cause().clone())
}

/// Why the policy chose its tag, in one line; `None` where the tags are not kept here.
pub async fn reasoning(cx: &Context, id: &Id) -> Option<String> {
    let (source, policy) = read(cx, id).await.ok()?;
    let tags = kept(cx, &source).await.ok()??;
    tokio::task::spawn_blocking(move || Reasons::of(&policy, String::new(), &tags).summary()).await.ok()
}

async fn read(cx: &Context, id: &Id) -> Result<(ImageRepository, Policy), Failure> {
    let found = cx.cluster.get(id).await.map_err(|error| failed("Failure", error.to_string()))?;
    let document: Value = found.ok_or_else(|| failed("Failure", format!("{id} not found")))?;
    let object: ImagePolicy =
        serde_json::from_value(document).map_err(|error| failed("Failure", format!("{id}: {error}")))?;
    let source = source(cx, &object, &id.namespace).await?;
    Ok((source, policy(&object.spec).map_err(|error| refused(&error))?))
}

/// The tags of the last scan, if this weir made it.
async fn kept(cx: &Context, source: &ImageRepository) -> Result<Option<Vec<String>>, Failure> {
    let image = canonical(&repository(&source.spec.image)?);
    let (namespace, name) = (source.metadata.namespace.as_deref(), source.metadata.name.as_deref());
    let listed = cx.tags.get(namespace.unwrap_or_default(), name.unwrap_or_default(), &image).await;
    Ok(listed.map(|listed| listed.tags.clone()).filter(|tags| !tags.is_empty()))
}
