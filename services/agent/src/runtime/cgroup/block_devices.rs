//! Maps SCSI targets to block devices, from sysfs.

use std::path::{Path, PathBuf};

/// The sysfs directories to search.
pub(in crate::runtime) struct BlockDevices {
    scsi: PathBuf,
    block: PathBuf,
}

impl BlockDevices {
    /// The directories of this machine.
    pub(in crate::runtime) fn new() -> Self {
        Self { scsi: "/sys/bus/scsi/devices".into(), block: "/sys/dev/block".into() }
    }

    /// "major:minor" of the disk at a target, logical unit 0.
    pub(super) fn number(&self, target: u32) -> Option<String> {
        let suffix = format!(":0:{target}:0");
        self.disks().find(|(address, _)| address.ends_with(&suffix)).map(|(_, number)| number)
    }

    /// The target of a disk by its "major:minor".
    pub(super) fn target(&self, number: &str) -> Option<i32> {
        let (address, _) = self.disks().find(|(_, found)| found == number)?;
        address.split(':').nth(2)?.parse().ok()
    }

    /// The text of the device's `stat` file; empty when there is none.
    pub(super) fn stat(&self, number: &str) -> String {
        std::fs::read_to_string(self.block.join(number).join("stat")).unwrap_or_default()
    }

    /// Addresses ("host:channel:target:lun") and numbers.
    fn disks(&self) -> impl Iterator<Item = (String, String)> + use<> {
        let entries = std::fs::read_dir(&self.scsi).into_iter().flatten().flatten();
        entries.filter_map(|entry| {
            let number = number_of(&entry.path().join("block"))?;
            Some((entry.file_name().to_string_lossy().into_owned(), number))
        })
    }
}

fn number_of(block: &Path) -> Option<String> {
    let name = std::fs::read_dir(block).ok()?.flatten().next()?;
    let text = std::fs::read_to_string(name.path().join("dev")).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_and_its_device_number_map_to_each_other() {
        let dir = std::env::temp_dir().join(format!("paddock-block-{}", std::process::id()));
        for (address, name, number) in [("2:0:11:0", "sdb", "8:16\n"), ("2:0:1:0", "sda", "8:0\n")] {
            let block = dir.join(address).join("block").join(name);
            std::fs::create_dir_all(&block).unwrap();
            std::fs::write(block.join("dev"), number).unwrap();
        }
        let devices = BlockDevices { scsi: dir.clone(), block: dir.clone() };
        assert_eq!(devices.number(1).as_deref(), Some("8:0"));
        assert_eq!(devices.number(2), None);
        assert_eq!(devices.target("8:16"), Some(11));
        assert_eq!(devices.target("9:9"), None);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
