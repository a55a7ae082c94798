//! Helm charts in registries: which tag a version has, and which layer the chart is.
//!
//! Source: helm pkg/registry (media types, `+` written as `_`).

use super::{OciError, Registry, is_tag};
use crate::base::Text;

/// The media type of a chart in a registry.
pub const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// What the first versions of Helm called it.
const OLD_CHART_LAYER: &str = "application/tar+gzip";

impl Registry {
    /// The versions among the tags: `+` cannot be part of a tag, so Helm writes `_`.
    pub async fn chart_versions(&self) -> Result<Vec<String>, OciError> {
        Ok(self.tags().await?.into_iter().map(|tag| tag.replace('_', "+")).collect())
    }

    /// The packed chart of a version.
    ///
    /// Errors when there is no such tag, no chart behind it, or it is larger than `limit` bytes.
    pub async fn chart(&self, version: &str, limit: u64) -> Result<Vec<u8>, OciError> {
        let tag = version.replace('+', "_");
        if !is_tag(&tag) {
            return Err(self.content(Text::new(version).as_str(), "it cannot be a tag"));
        }
        let manifest = self.manifest(&self.resolve(&tag).await?).await?;
        let layer = manifest.layer(Some(CHART_LAYER)).or_else(|| manifest.layer(Some(OLD_CHART_LAYER)));
        match layer {
            Some(layer) => self.blob(layer, limit).await,
            None => Err(self.content(&tag, format!("it is no Helm chart: it has no layer of type {CHART_LAYER}"))),
        }
    }
}
