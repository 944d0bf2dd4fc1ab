//! The image that nodes and routers run from: the recipe in `docker/Dockerfile` and two static programs.
//!
//! It is named by a hash of all that is in it, so an image that is there is never built again and never stale.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use crate::backend::BackendError;
use crate::programs::{ProgramChoice, Programs, find};
use crate::progress::Progress;

/// Repository name of every image of the testbed.
pub const REPOSITORY: &str = "butter-testbed";
/// Label of every image of the testbed; its value is the hash of the content.
pub const LABEL: &str = "butter.image";
/// Images that stay when a new one is built: other checkouts on the same engine keep theirs.
const IMAGES_KEPT: usize = 4;

const RECIPE: &str = include_str!("../../../../docker/Dockerfile");

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Name with a hash: `butter-testbed:0123456789ab`.
    pub tag: String,
    /// Whether it had to be built.
    pub built: bool,
}

/// Finds or builds the programs, and then the image: what `harness image` does.
///
/// # Errors
/// If there is no engine, a program cannot be had, or the engine refuses.
pub async fn build(choice: &ProgramChoice, progress: &mut dyn Progress) -> Result<Image, BackendError> {
    let engine = crate::backend::docker::connect().await?;
    let programs = find(choice, progress).await?;
    ensure(&engine.docker, &programs, progress).await
}

/// Builds the image with these programs, unless it is there.
///
/// # Errors
/// If a program cannot be read or the engine refuses.
pub async fn ensure(docker: &Docker, programs: &Programs, progress: &mut dyn Progress) -> Result<Image, BackendError> {
    let programs = programs.clone();
    let content =
        tokio::task::spawn_blocking(move || Content::read(&programs)).await.context("reading the programs")??;
    let hash = content.hash();
    let tag = format!("{REPOSITORY}:{}", &hash[..12]);
    match docker.inspect_image(&tag).await {
        Ok(_) => return Ok(Image { tag, built: false }),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => return Err(anyhow!(error).context("asking the engine for its images").into()),
    }
    progress.begin("building the image", 0);
    send(docker, &content, &hash, &tag, progress).await?;
    remove_old(docker, &tag, progress).await?;
    Ok(Image { tag, built: true })
}

/// All that goes into an image.
struct Content {
    node: Vec<u8>,
    harness: Vec<u8>,
}

impl Content {
    fn read(programs: &Programs) -> anyhow::Result<Self> {
        let read = |path: &Path| fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
        Ok(Content { node: read(&programs.node)?, harness: read(&programs.harness)? })
    }

    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for part in [RECIPE.as_bytes(), &self.node, &self.harness] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The build context. Equal contents give equal bytes.
    fn tar(&self) -> std::io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::with_capacity(self.node.len() + self.harness.len() + (8 << 10)));
        let mut append = |name: &str, kind: tar::EntryType, mode: u32, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes)
        };
        append("Dockerfile", tar::EntryType::Regular, 0o644, RECIPE.as_bytes())?;
        append("store", tar::EntryType::Directory, 0o700, &[])?;
        append("butter", tar::EntryType::Regular, 0o755, &self.node)?;
        append("harness", tar::EntryType::Regular, 0o755, &self.harness)?;
        tar.into_inner()
    }
}

async fn send(
    docker: &Docker,
    content: &Content,
    hash: &str,
    tag: &str,
    progress: &mut dyn Progress,
) -> Result<(), BackendError> {
    let context = content.tar().context("packing the programs")?;
    let labels = HashMap::from([(LABEL, hash)]);
    let options =
        BuildImageOptionsBuilder::default().dockerfile("Dockerfile").t(tag).rm(true).forcerm(true).labels(&labels);
    let mut steps = docker.build_image(options.build(), None, Some(bollard::body_full(Bytes::from(context))));
    while let Some(step) = steps.next().await {
        let BuildInfo { stream, .. } = step.context("the engine could not build the image")?;
        progress.advance(u64::from(stream.is_some_and(|line| line.starts_with("Step "))));
    }
    Ok(())
}

/// Removes all but the newest images of the testbed. One that is in use stays; whatever else keeps one is noted, as it costs
/// nothing but room.
async fn remove_old(docker: &Docker, newest: &str, progress: &mut dyn Progress) -> anyhow::Result<()> {
    let filters = HashMap::from([("label", vec![LABEL])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let mut images = docker.list_images(Some(options)).await.context("asking the engine for its images")?;
    images.retain(|image| !image.repo_tags.iter().any(|tag| tag == newest));
    images.sort_by_key(|image| std::cmp::Reverse(image.created));
    for image in images.iter().skip(IMAGES_KEPT - 1) {
        let name = image.repo_tags.iter().find(|tag| tag.starts_with(REPOSITORY)).unwrap_or(&image.id);
        match docker.remove_image(name, Some(RemoveImageOptionsBuilder::default().build()), None).await {
            Ok(_) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
            Err(error) => progress.note(&format!("the old image {name} cannot be removed: {error}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(node: &[u8], harness: &[u8]) -> Content {
        Content { node: node.to_vec(), harness: harness.to_vec() }
    }

    #[test]
    fn the_name_follows_the_content() {
        let hash = content(b"node", b"harness").hash();
        assert_eq!(hash, content(b"node", b"harness").hash());
        assert_ne!(hash, content(b"nodeh", b"arness").hash());
        assert_ne!(hash, content(b"node", b"harnesz").hash());
        assert_eq!(hash.len(), 64);
    }

    #[test]
    fn the_build_context_holds_what_the_recipe_names() {
        let packed = content(b"node", b"harness").tar().unwrap();
        let mut tar = tar::Archive::new(packed.as_slice());
        let names: Vec<_> =
            tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(names, ["Dockerfile", "store", "butter", "harness"]);
        assert!(RECIPE.contains("COPY butter harness /") && RECIPE.contains("store /store"));
        assert_eq!(packed, content(b"node", b"harness").tar().unwrap());
    }
}
