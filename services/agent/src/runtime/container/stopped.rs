//! The files of a container that has stopped.
//!
//! Its mounts ended with its last process. So its root is mounted again, for as long as something uses it: in a mount namespace
//! that ends at once, so that only the descriptor keeps the file systems mounted, and no undo is needed. Other mounts of the
//! container are not there.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::filesystem::rootfs;
use crate::runtime::filesystem::spec::FilesystemSpec;

/// The root of a stopped container. All users share one mount: two overlays must not have the same writable layer.
pub struct StoppedRoot {
    spec: FilesystemSpec,
    mounted: Mutex<Weak<OwnedFd>>,
}

impl StoppedRoot {
    /// Keeps only what the root needs, not the content of files.
    pub fn new(spec: FilesystemSpec) -> Self {
        let FilesystemSpec { directory, lower, upper, read_only, .. } = spec;
        let spec = FilesystemSpec { directory, lower, upper, read_only, ..Default::default() };
        Self { spec, mounted: Mutex::default() }
    }

    /// Opens the root. The container must have no process.
    pub fn open(&self, id: &str) -> Result<Arc<OwnedFd>> {
        if self.spec.upper.is_none() && !self.spec.read_only {
            return Err(RuntimeError::LayerGone(id.to_owned()));
        }
        let mut mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = mounted.upgrade() {
            return Ok(root);
        }
        let root = std::thread::scope(|scope| {
            let mount = std::thread::Builder::new().name("mount".to_owned()).spawn_scoped(scope, || mount(&self.spec));
            let mount = mount.attempt(|| "start a thread")?;
            mount.join().unwrap_or_else(|_| Err(RuntimeError::Stage("cannot mount: internal error".to_owned())))
        })?;
        let root = Arc::new(root);
        *mounted = Arc::downgrade(&root);
        Ok(root)
    }
}

/// Mounts the root, in a mount namespace that ends with the calling thread.
fn mount(spec: &FilesystemSpec) -> Result<OwnedFd> {
    // SAFETY: the thread gets its own root and working directory, which no other thread relies on.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.attempt(|| "create a mount namespace")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).attempt(|| "make mounts private")?;
    let root = rootfs::mount(spec)?;
    if spec.read_only {
        rootfs::make_read_only(&root)?;
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::filesystem::spec::Layer;
    use rustix::fs::{Mode, OFlags};

    #[test]
    fn a_stopped_container_has_its_image_and_its_writable_layer() {
        let directory = std::env::temp_dir().join(format!("paddock-stopped-{}", std::process::id()));
        for name in ["image", "layer/data", "layer/work", "c/layers/lower", "c/layers/upper", "c/root"] {
            std::fs::create_dir_all(directory.join(name)).unwrap();
        }
        std::fs::write(directory.join("image/below"), "image").unwrap();
        std::fs::write(directory.join("layer/data/above"), "layer").unwrap();
        let at = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let layer = |name: &str| Layer { source: at(name), fstype: String::new() };
        let spec = FilesystemSpec {
            directory: at("c"),
            lower: layer("image"),
            upper: Some(layer("layer")),
            ..Default::default()
        };
        let root = StoppedRoot::new(spec);
        let open = root.open("c1").unwrap();
        let again = root.open("c1").unwrap();
        assert!(Arc::ptr_eq(&open, &again), "all users share one mount");
        for name in ["below", "above"] {
            rustix::fs::openat(&*open, name, OFlags::RDONLY, Mode::empty()).unwrap();
        }
        let create = OFlags::WRONLY | OFlags::CREATE;
        rustix::fs::openat(&*open, "new", create, Mode::from_raw_mode(0o644)).unwrap();
        drop((open, again));
        assert!(directory.join("layer/data/new").exists());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&at("c")), "the mounts are in no namespace");
        root.open("c1").unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_layer_that_was_in_memory_is_gone() {
        let refused = StoppedRoot::new(FilesystemSpec::default()).open("c1").err().unwrap();
        assert!(matches!(refused, RuntimeError::LayerGone(_)), "{refused}");
    }
}
