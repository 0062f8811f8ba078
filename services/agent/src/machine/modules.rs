//! Kernel modules, in the order of `/modules/order`. Those up to `virtio_console` are loaded first, because the link needs them.
//! The others are loaded in the background, and the first container waits for them.

use std::ffi::CString;
use std::fs::File;
use std::path::Path;

use nix::kmod::{ModuleInitFlags, finit_module};
use tokio::sync::watch;

const DIR: &str = "/modules";
/// The module that drives the link's port.
const LINK_MODULE: &str = "virtio_console";
/// Device id of virtio-mem (virtio 1.2, section 5).
const VIRTIO_MEM: u32 = 24;

/// Loads the modules that the link needs, then the others in the background. The receiver becomes true at the end.
pub fn load() -> watch::Receiver<bool> {
    let (done, loaded) = watch::channel(false);
    let names = listed("order");
    let first = names.iter().position(|name| name == LINK_MODULE).map_or(0, |index| index + 1);
    names[..first].iter().for_each(|name| load_one(name));
    let rest = names[first..].to_vec();
    let loader = std::thread::Builder::new().name("modules".to_owned()).stack_size(64 * 1024);
    let spawned = loader.spawn(move || {
        yield_to_the_link();
        rest.iter().for_each(|name| load_one(name));
        crate::runtime::warm_up();
        let _ = done.send(true);
        // The first container does not wait for this one: memory is plugged in later.
        if has_virtio_device(VIRTIO_MEM) {
            load_on_demand("virtio_mem");
        }
    });
    if let Err(error) = spawned {
        crate::log::warn("modules", &format!("cannot load in the background: {error}"));
    }
    loaded
}

fn listed(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(DIR).join(file)).unwrap_or_default();
    let names = text.lines().map(module_name).filter(|name| is_name(name));
    names.map(str::to_owned).collect()
}

/// Whether the machine has a virtio device of this type.
fn has_virtio_device(kind: u32) -> bool {
    let devices = std::fs::read_dir("/sys/bus/virtio/devices").into_iter().flatten().flatten();
    devices.into_iter().any(|device| {
        let text = std::fs::read_to_string(device.path().join("device")).unwrap_or_default();
        u32::from_str_radix(text.trim().trim_start_matches("0x"), 16) == Ok(kind)
    })
}

/// Loads a module of `/modules/on-demand`. Each line there is a module, after its dependencies.
pub fn load_on_demand(name: &str) {
    if std::path::Path::new("/sys/module").join(name).exists() {
        return;
    }
    let text = std::fs::read_to_string(Path::new(DIR).join("on-demand")).unwrap_or_default();
    if let Some(names) = text.lines().find_map(|line| chain_of(line, name)) {
        names.into_iter().for_each(load_one);
    }
}

/// The modules of a line of `/modules/on-demand`, if it is the line of this module.
fn chain_of<'a>(line: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let names: Vec<&str> = line.split_whitespace().map(module_name).filter(|each| is_name(each)).collect();
    (names.last().copied() == Some(name)).then_some(names)
}

fn module_name(line: &str) -> &str {
    let line = line.trim();
    line.strip_suffix(".ko").unwrap_or(line)
}

/// Whether a line is a module name and not a path.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Lowers this thread's priority: with one CPU, loading must not delay the first answer on the link.
fn yield_to_the_link() {
    // None means the calling thread.
    let _ = rustix::process::setpriority_process(None, 10);
}

fn load_one(name: &str) {
    let path = Path::new(DIR).join(format!("{name}.ko"));
    let loaded = File::open(&path).map_err(|error| error.to_string()).and_then(|file| {
        match finit_module(&file, &CString::default(), ModuleInitFlags::empty()) {
            Ok(()) | Err(nix::Error::EEXIST) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    });
    if let Err(error) = loaded {
        crate::log::warn("modules", &format!("cannot load {name}: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_modules_on_demand_is_found_by_its_last_module_and_keeps_the_order() {
        assert_eq!(chain_of("fuse.ko virtiofs.ko", "virtiofs"), Some(vec!["fuse", "virtiofs"]));
        assert_eq!(chain_of("fuse.ko virtiofs.ko", "fuse"), None);
        assert_eq!(chain_of("fuse.ko", "fuse"), Some(vec!["fuse"]));
        assert_eq!(chain_of("", "fuse"), None);
        assert_eq!(chain_of("../../evil.ko fuse.ko", "fuse"), Some(vec!["fuse"]));
    }
}
