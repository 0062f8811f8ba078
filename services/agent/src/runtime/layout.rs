//! The directories of the runtime. The guest has one layout; tests use their own.

use std::path::{Path, PathBuf};

use super::error::{Result, RuntimeError};

/// Directories of the runtime.
#[derive(Clone, Debug)]
pub struct Layout {
    state_root: PathBuf,
    cgroup_root: PathBuf,
    image: Option<String>,
}

impl Default for Layout {
    /// The guest's layout.
    fn default() -> Self {
        Self::new("/run/paddock/containers", "/sys/fs/cgroup")
    }
}

impl Layout {
    /// A layout with the given directory for containers and mount point of the cgroup v2 hierarchy.
    pub fn new(state_root: impl Into<PathBuf>, cgroup_root: impl Into<PathBuf>) -> Self {
        Self { state_root: state_root.into(), cgroup_root: cgroup_root.into(), image: None }
    }

    /// The same, with a directory in place of the images of all containers; for tests on a host.
    pub fn with_image(self, directory: String) -> Self {
        Self { image: Some(directory), ..self }
    }

    /// The directory in place of all images.
    pub fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }

    /// The container's own directory. `id` must have passed [`check_id`].
    pub fn container_dir(&self, id: &str) -> PathBuf {
        self.state_root.join(id)
    }

    /// Mount point of the cgroup v2 hierarchy.
    pub fn cgroup_root(&self) -> &Path {
        &self.cgroup_root
    }

    /// The container's cgroup. `id` must have passed [`check_id`].
    pub fn cgroup_dir(&self, id: &str) -> PathBuf {
        self.cgroup_root.join("paddock").join(id)
    }
}

/// Refuses a text that is not an id, because ids become part of paths.
pub fn check_id(what: &str, id: &str) -> Result<()> {
    let bytes = id.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let good = (1..=128).contains(&bytes.len())
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(plain);
    if good {
        return Ok(());
    }
    Err(RuntimeError::InvalidSpec(format!(
        "{what} is not an id: 1 to 128 of a-z, A-Z, 0-9, '_', '.', '-', beginning with a letter or digit"
    )))
}

#[cfg(test)]
mod tests {
    use super::check_id;

    #[test]
    fn an_id_never_leaves_its_directory() {
        for bad in ["", ".", "..", "../x", "a/b", "-a", "a\0", "ä", &"a".repeat(129)] {
            assert!(check_id("container id", bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a.b-c_d", "0", &"a".repeat(128)] {
            assert!(check_id("container id", good).is_ok(), "{good:?}");
        }
    }
}
