//! What a manifest says: its layers and annotations, or, for an index, which manifest is meant.
//!
//! Layers that lie elsewhere by their own `urls` are never fetched from there: only the registry is asked.
//!
//! Source: OCI image specification 1.1, docker's image manifest version 2, schema 2.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::base::Digest;

/// The forms that are asked for.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Layers, and manifests of an index, that are looked at.
const ENTRIES: usize = 256;

/// A blob as a manifest names it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    #[serde(deserialize_with = "digest")]
    pub digest: Digest,
    pub size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

/// An artifact.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub config: Option<Descriptor>,
    pub layers: Vec<Descriptor>,
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// The first layer of a media type, or of any.
    pub fn layer(&self, media_type: Option<&str>) -> Option<&Descriptor> {
        self.layers.iter().find(|layer| media_type.is_none_or(|wanted| layer.media_type == wanted))
    }
}

/// What the bytes turned out to be.
#[derive(Debug)]
pub(super) enum Read {
    Manifest(Manifest),
    /// An index, and the manifest in it that is meant.
    Index(Digest),
}

/// Reads the bytes of a manifest.
///
/// Errors in words when they are none, or have more entries than anybody needs.
pub(super) fn read(header: &str, bytes: &[u8]) -> Result<Read, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        #[serde(default)]
        schema_version: u32,
        #[serde(default)]
        media_type: Option<String>,
        #[serde(default)]
        config: Option<Descriptor>,
        #[serde(default)]
        layers: Option<Vec<Descriptor>>,
        #[serde(default)]
        manifests: Option<Vec<Descriptor>>,
        #[serde(default)]
        annotations: Option<BTreeMap<String, String>>,
    }
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| format!("it is not a manifest: {error}"))?;
    if raw.schema_version != 2 {
        return Err("it is not a manifest of schema version 2".into());
    }
    if let Some(own) = raw.media_type.as_deref().filter(|own| !header.is_empty() && *own != header) {
        return Err(format!("it says that it is {own}, and the registry that it is {header}"));
    }
    let entries = raw.layers.as_ref().or(raw.manifests.as_ref()).map_or(0, Vec::len);
    if entries > ENTRIES {
        return Err(format!("it has more than {ENTRIES} entries"));
    }
    match (raw.layers, raw.manifests) {
        (Some(_), Some(_)) => Err("it is a manifest and an index at once".into()),
        (Some(layers), None) => Ok(Read::Manifest(Manifest {
            config: raw.config,
            layers,
            annotations: raw.annotations.unwrap_or_default(),
        })),
        (None, Some(manifests)) => {
            let is_meant = |entry: &&Descriptor| {
                entry.platform.as_ref().is_none_or(|it| it.os == "linux" && it.architecture == "amd64")
            };
            let meant = manifests.iter().find(is_meant).map(|entry| entry.digest.clone());
            meant.map(Read::Index).ok_or_else(|| "the index has nothing for linux/amd64".into())
        }
        (None, None) => Err("it has neither layers nor manifests".into()),
    }
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn layers_are_found_by_media_type() {
        let text = format!(
            r#"{{"schemaVersion": 2, "layers": [{{"mediaType": "a", "digest": "sha256:{HEX}", "size": 1,
                "urls": ["http://169.254.169.254/"]}}, {{"mediaType": "b", "digest": "sha256:{HEX}", "size": 2}}],
                "annotations": {{"k": "v"}}}}"#
        );
        let Read::Manifest(manifest) = read("", text.as_bytes()).unwrap() else { panic!("an index") };
        assert_eq!(manifest.layer(None).unwrap().size, 1);
        assert_eq!(manifest.layer(Some("b")).unwrap().size, 2);
        assert!(manifest.layer(Some("c")).is_none());
        assert_eq!(manifest.annotations["k"], "v");
    }

    #[test]
    fn an_index_means_its_linux_manifest() {
        let text = format!(
            r#"{{"schemaVersion": 2, "manifests": [
                {{"digest": "sha256:00", "size": 1, "platform": {{"os": "windows", "architecture": "amd64"}}}},
                {{"digest": "sha256:{HEX}", "size": 1, "platform": {{"os": "linux", "architecture": "amd64"}}}}]}}"#
        );
        assert!(matches!(read("", text.as_bytes()), Ok(Read::Index(digest)) if digest.hex == HEX));
    }

    #[test]
    fn other_documents_are_refused() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"schemaVersion": 1, "layers": []}"#,
            r#"{"schemaVersion": 2}"#,
            r#"{"schemaVersion": 2, "layers": [], "manifests": []}"#,
            r#"{"schemaVersion": 2, "manifests": []}"#,
            r#"{"schemaVersion": 2, "layers": [{"digest": "x", "size": 1}]}"#,
            r#"{"schemaVersion": 2, "layers": [{"digest": "sha256:00", "size": -1}]}"#,
            r#"{"schemaVersion": 2, "mediaType": "b", "layers": []}"#,
        ] {
            assert!(read("a", bad.as_bytes()).is_err(), "{bad}");
        }
        let many = vec![r#"{"digest": "sha256:00", "size": 1}"#; 257].join(",");
        assert!(read("", format!(r#"{{"schemaVersion": 2, "layers": [{many}]}}"#).as_bytes()).is_err());
    }
}
