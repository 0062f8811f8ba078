//! The machine that the agent runs on. As PID 1 the agent owns it: it mounts, loads modules, sets the clock, powers off. When
//! tests start it on a host, it does none of that.

pub mod boot;
pub mod cpus;
pub mod facts;
pub mod identity;
pub mod modules;

use std::path::{Path, PathBuf};

use nix::sys::reboot::{RebootMode, reboot};
use tokio::sync::watch;

use crate::runtime::Layout;

/// Files that the agent creates for containers.
const STATE_DIR: &str = "/run/paddock";

/// Which actions the agent may take on its machine.
pub struct Machine {
    owned: bool,
    modules: watch::Receiver<bool>,
    state: PathBuf,
    /// Where containers are created.
    pub layout: Layout,
}

impl Machine {
    /// The machine that the agent booted. `modules` becomes true when all modules are loaded.
    pub fn owned(modules: watch::Receiver<bool>) -> Self {
        Self { owned: true, modules, state: PathBuf::from(STATE_DIR), layout: Layout::default() }
    }

    /// A machine that is set up already. The directory `rootfs` replaces every image.
    pub fn borrowed(state: &Path, cgroup: &Path, rootfs: String) -> Self {
        Self {
            owned: false,
            modules: watch::channel(true).1,
            state: state.to_owned(),
            layout: Layout::new(state.join("containers"), cgroup).with_image(rootfs),
        }
    }

    /// Whether the agent may change the machine itself, such as its clock.
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    /// Waits until the modules that containers need are loaded.
    pub async fn modules_loaded(&self) {
        let mut modules = self.modules.clone();
        // An error means that the loader has ended: no more modules are loaded.
        let _ = modules.wait_for(|loaded| *loaded).await;
    }

    /// Loads ext4 unless it is loaded; most sandboxes never need it. Blocks.
    pub fn load_ext4(&self) {
        if self.owned {
            modules::load_on_demand("ext4");
        }
    }

    /// Loads virtiofs unless it is loaded; only sandboxes with directories of the host need it. Blocks.
    pub fn load_virtiofs(&self) {
        if self.owned {
            modules::load_on_demand("virtiofs");
        }
    }

    /// The most memory for held output: an eighth of the machine's, at least 8 MiB.
    pub fn output_budget_bytes(&self) -> usize {
        let eighth = facts::memory().total_bytes / 8;
        (eighth as usize).max(8 * 1024 * 1024)
    }

    /// The tmpfs that containers see as /dev/shm.
    pub fn shm_dir(&self) -> PathBuf {
        self.state.join("shm")
    }

    /// The parent of the directories that containers share.
    pub fn shared_root(&self) -> PathBuf {
        self.state.join("shared")
    }

    /// Powers off at once. On a borrowed machine only the agent exits.
    pub fn power_off(&self) {
        if !self.owned {
            std::process::exit(0);
        }
        nix::unistd::sync();
        let Err(error) = reboot(RebootMode::RB_POWER_OFF);
        crate::log::warn("machine", &format!("cannot power off: {error}"));
    }
}
