//! The report of a process to the agent before `execve`: nothing if that succeeds (the descriptor closes), otherwise the step
//! that failed. Eight bytes, which are written without allocation and read at once.

use rustix::io::Errno;

use crate::pb;
use crate::runtime::error::RuntimeError;
use crate::runtime::filesystem::in_root::directory_failure;

macro_rules! steps {
    ($($variant:ident $number:literal $text:literal,)*) => {
        /// A step of the launch.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Step { $($variant = $number,)* }

        impl Step {
            fn parse(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

steps! {
    Stage 1 "execute the agent's stage",
    Signals 2 "reset signals",
    OomScore 3 "set the OOM score",
    Namespaces 4 "join the container's namespaces",
    Session 5 "start a session",
    Stdio 6 "install the standard streams",
    Terminal 7 "take the controlling terminal",
    Descriptors 8 "mark descriptors for closing",
    WorkingDirectory 9 "enter the working directory",
    Rlimits 10 "set resource limits",
    Capabilities 11 "set capabilities",
    NoNewPrivileges 12 "set no_new_privs",
    Seccomp 13 "install the system call filter",
    User 14 "change the user",
    Execute 15 "execute the command",
    ExecuteDirectory 16 "execute the command",
    Birth 17 "create the process",
}

/// Marks a report among a stage's other messages.
pub const TAG: u8 = b'L';

/// A failed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    step: Step,
    errno: i32,
}

/// The meaning of a report.
#[derive(Debug)]
pub enum Meaning {
    /// The command cannot be executed: exit code 126 or 127 and why.
    CannotExecute { code: i32, reason: String },
    /// The container's init has exited.
    Gone,
    /// Anything else.
    Failed(RuntimeError),
}

/// Command and working directory of a process, for messages.
pub struct Subject {
    command: String,
    directory: String,
}

impl Subject {
    pub fn of(process: &pb::Process) -> Self {
        let shown = |text: &str| text.chars().take(256).collect();
        Self { command: shown(process.args.first().map_or("", String::as_str)), directory: shown(&process.cwd) }
    }
}

impl Report {
    pub fn new(step: Step, errno: i32) -> Self {
        Self { step, errno }
    }

    pub fn encode(self) -> [u8; 8] {
        let [a, b, c, d] = self.errno.to_le_bytes();
        [TAG, self.step as u8, 0, 0, a, b, c, d]
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [TAG, step, 0, 0, a, b, c, d] => {
                Some(Self { step: Step::parse(*step)?, errno: i32::from_le_bytes([*a, *b, *c, *d]) })
            }
            _ => None,
        }
    }

    fn is_execute(self) -> bool {
        matches!(self.step, Step::Execute | Step::ExecuteDirectory)
    }

    /// The exit code of the process, as in a shell.
    pub fn exit_code(self) -> i32 {
        match (self.is_execute(), self.errno) {
            (true, libc::ENOENT | libc::ENOTDIR) => 127,
            _ => 126,
        }
    }

    /// The meaning of the report for a process. A working directory or limit that cannot be set is the request's fault.
    pub fn meaning(self, subject: &Subject) -> Meaning {
        let errno = Errno::from_raw_os_error(self.errno);
        let command = &subject.command;
        if self.is_execute() && !matches!(self.errno, libc::ENOMEM | libc::EAGAIN) {
            let why = match (self.step, self.errno) {
                (Step::ExecuteDirectory, _) => "is a directory".to_owned(),
                (_, libc::ENOENT | libc::ENOTDIR) => "not found".to_owned(),
                (_, libc::EACCES | libc::EPERM) => "permission denied".to_owned(),
                (_, libc::ENOEXEC) => "exec format error".to_owned(),
                _ => errno.to_string(),
            };
            let reason = format!("{command}: {why}");
            return Meaning::CannotExecute { code: self.exit_code(), reason };
        }
        match (self.step, self.errno) {
            (Step::Namespaces, libc::ESRCH) => Meaning::Gone,
            (Step::WorkingDirectory, _) => {
                Meaning::Failed(RuntimeError::InvalidSpec(directory_failure(&subject.directory, errno)))
            }
            (Step::Rlimits, _) => {
                Meaning::Failed(RuntimeError::InvalidSpec(format!("{} of {command}: {errno}", self.step.text())))
            }
            _ => Meaning::Failed(RuntimeError::system(format!("{} for {command}", self.step.text()), errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoded_report_is_the_encoded_one() {
        let report = Report::new(Step::Execute, libc::EACCES);
        assert_eq!(Report::decode(&report.encode()), Some(report));
        assert_eq!(Report::decode(b"L\xff\0\0\0\0\0\0"), None);
        assert_eq!(Report::decode(b""), None);
    }

    #[test]
    fn a_command_not_found_exits_with_127_and_one_not_executable_with_126() {
        assert_eq!(Report::new(Step::Execute, libc::ENOENT).exit_code(), 127);
        assert_eq!(Report::new(Step::Execute, libc::EACCES).exit_code(), 126);
        assert_eq!(Report::new(Step::Execute, libc::ENOEXEC).exit_code(), 126);
    }
}
