//! The device files of a container: added at its creation and later, and removed.

use std::sync::PoisonError;

use super::Container;
use crate::pb;
use crate::runtime::cgroup::device_rules::{READ, Rule, WRITE};
use crate::runtime::error::{Result, RuntimeError};
use crate::runtime::filesystem::device_file::{DeviceFile, LIMIT};
use crate::runtime::filesystem::disks::Disks;

impl Container {
    /// Creates a device file, and allows processes to open the device. Repeating it succeeds.
    pub fn add_device(&self, device: &pb::ContainerDevice, timeout: Option<&prost_types::Duration>) -> Result<()> {
        self.add_device_file(DeviceFile::of(device, &mut Disks::new(timeout))?)
    }

    /// As [`Container::add_device`].
    pub(in crate::runtime) fn add_device_file(&self, file: DeviceFile) -> Result<()> {
        let root = self.root()?;
        let mut files = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed: Vec<_> = files.iter().filter(|each| each.path != file.path).cloned().collect();
        if changed.len() >= LIMIT {
            return Err(RuntimeError::InvalidSpec(format!("a container has at most {LIMIT} device files")));
        }
        if files.iter().any(|each| each.path == file.path && each.number != file.number) {
            return Err(RuntimeError::PathTaken(file.path));
        }
        changed.push(file.clone());
        // The file first: a rule without it would remain after a failure.
        file.create(&root)?;
        if let Err(error) = self.cgroup.allow_devices(&rules(&changed)) {
            file.remove(&root).ok();
            return Err(error);
        }
        *files = changed;
        Ok(())
    }

    /// Removes a device file, and forbids processes to open the device unless another file stands for it. Succeeds if there is no
    /// such device file.
    pub fn remove_device(&self, path: &str) -> Result<()> {
        let mut files = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = files.iter().find(|each| each.path == path).cloned() else { return Ok(()) };
        let left: Vec<_> = files.iter().filter(|each| each.path != path).cloned().collect();
        self.cgroup.allow_devices(&rules(&left))?;
        // The files of a container whose init has exited end with its last process.
        if let Ok(root) = self.root() {
            file.remove(&root)?;
        }
        *files = left;
        Ok(())
    }
}

fn rules(files: &[DeviceFile]) -> Vec<Rule> {
    let number = |file: &DeviceFile| (rustix::fs::major(file.number), rustix::fs::minor(file.number));
    let access = |file: &DeviceFile| if file.read_only { READ } else { READ | WRITE };
    files.iter().map(|file| Rule::block(number(file), access(file))).collect()
}
