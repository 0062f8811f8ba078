//! The strings of a process: its command line, the paths where its command may be, its environment and its working directory.

use crate::pb;
use crate::runtime::error::{Result, RuntimeError};
use crate::runtime::rights::user::User;

pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
pub const STRINGS_BYTES: usize = 1024 * 1024;
const STRINGS: usize = 16 * 1024;

/// Refuses strings that `execve` would reject.
pub fn check_strings(process: &pb::Process) -> Result<()> {
    if process.args.first().is_none_or(String::is_empty) {
        return Err(RuntimeError::InvalidSpec("a process needs a command in args".into()));
    }
    let strings = || process.args.iter().chain(&process.env);
    let bytes: usize = strings().map(String::len).sum();
    if bytes > STRINGS_BYTES || strings().count() > STRINGS {
        return Err(RuntimeError::InvalidSpec("args and env together are larger than 1 MiB or 16384 strings".into()));
    }
    if strings().any(|string| string.contains('\0')) {
        return Err(RuntimeError::InvalidSpec("args and env cannot contain NUL bytes".into()));
    }
    if process.env.iter().any(|entry| entry.find('=').is_none_or(|at| at == 0)) {
        return Err(RuntimeError::InvalidSpec("each env entry needs to be KEY=value".into()));
    }
    Ok(())
}

/// The environment, with PATH, HOSTNAME, HOME, and on a terminal TERM added if missing.
pub fn environment(process: &pb::Process, user: &User, hostname: &str) -> Vec<String> {
    let mut env = process.env.clone();
    let mut default = |key: &str, value: &str| {
        let set = |entry: &String| entry.strip_prefix(key).is_some_and(|rest| rest.starts_with('='));
        if !process.env.iter().any(set) {
            env.push(format!("{key}={value}"));
        }
    };
    default("PATH", DEFAULT_PATH);
    default("HOSTNAME", hostname);
    if process.terminal {
        default("TERM", "xterm");
    }
    default("HOME", &user.home);
    env
}

/// A command with a slash is a path; otherwise each directory of PATH is tried. An empty entry means the working
/// directory, as for a shell.
pub fn candidates(command: &str, search: &str) -> Vec<String> {
    if command.contains('/') {
        return vec![command.to_owned()];
    }
    let join = |directory: &str| match directory {
        "" => format!("./{command}"),
        directory => format!("{directory}/{command}"),
    };
    search.split(':').take(64).map(join).collect()
}

/// The working directory of a request; "/" if it names none.
pub fn working_directory(cwd: &str) -> Result<&str> {
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    if !cwd.starts_with('/') || cwd.len() > 4095 || cwd.contains('\0') {
        return Err(RuntimeError::InvalidSpec("cwd must be an absolute path of at most 4095 bytes".into()));
    }
    Ok(cwd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_without_a_slash_is_looked_up_in_each_directory_of_path() {
        assert_eq!(candidates("sh", "/a:/b:"), ["/a/sh", "/b/sh", "./sh"]);
        assert_eq!(candidates("./sh", "/a"), ["./sh"]);
    }

    #[test]
    fn the_environment_gets_missing_variables_and_keeps_given_ones() {
        let user = User { uid: 5, gid: 5, groups: vec![], home: "/home/x".into() };
        let mut process = pb::Process { env: vec!["HOME=/mine".into(), "A=b".into()], ..Default::default() };
        let expected = ["HOME=/mine", "A=b", &format!("PATH={DEFAULT_PATH}"), "HOSTNAME=h"];
        assert_eq!(environment(&process, &user, "h"), expected);
        process.terminal = true;
        assert!(environment(&process, &user, "h").contains(&"TERM=xterm".into()));
    }
}
