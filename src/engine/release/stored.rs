//! A chart as Helm keeps it inside a release record.
//!
//! Start with [`stored_chart`]. Source: helm pkg/chart/v2/chart.go (the fields that are written).

use base64::Engine as _;
use serde_json::{Map, Value, json};

use crate::engine::chart::{Chart, ChartFile};

/// The chart as it goes into a record. `values` are the defaults, those of the charts within included.
pub fn stored_chart(chart: &Chart, values: &Map<String, Value>) -> Value {
    let engine = &base64::engine::general_purpose::STANDARD;
    let files = |files: &[ChartFile]| -> Value {
        if files.is_empty() {
            return Value::Null;
        }
        files.iter().map(|file| json!({"name": file.path, "data": engine.encode(&file.bytes)})).collect()
    };
    json!({
        "metadata": chart.metadata.to_json(),
        "lock": null,
        "templates": files(&chart.templates),
        "values": values,
        "schema": chart.schema.as_ref().map(|schema| engine.encode(schema)),
        "schemamodtime": "0001-01-01T00:00:00Z",
        "files": files(&chart.files),
    })
}
