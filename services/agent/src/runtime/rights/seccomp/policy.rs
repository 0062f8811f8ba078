//! The system calls that a container may make.
//!
//! An allow-list: a call that is not listed is refused. Calls are grouped by purpose, so that a new one has an obvious place. A
//! call that needs a capability is allowed together with that capability, so that the filter does not take away what, for
//! example, CAP_SYS_ADMIN grants.

#![allow(non_upper_case_globals)]

use libc::*;

use crate::runtime::rights::capabilities::{Capability, CapabilitySet};

/// The action for one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// It is allowed.
    Allow,
    /// It answers this errno.
    Fail(i32),
    /// It answers EPERM if its first argument has any of these bits.
    FailIfFirstArgumentHas(u32),
    /// It answers EPERM unless its first argument is one of these.
    AllowFirstArgument(&'static [u32]),
    /// It answers EPERM if its first argument is one of these.
    FailFirstArgument(&'static [u32]),
}

/// One more than the highest number with a rule; higher calls answer ENOSYS.
const NUMBERS: usize = 470;

/// CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}. clone(2) cannot request CLONE_NEWTIME.
const NEW_NAMESPACES: u32 = 0x7E02_0000;

/// Execution domains that a program may request: Linux, UNAME26 and the like, and the query.
const PERSONALITIES: &[u32] = &[0, 0x8, 0x2_0000, 0x2_0008, u32::MAX];

/// AF_VSOCK leads to the host; AF_ALG is a way into kernel code that programs do not need.
const REFUSED_SOCKET_FAMILIES: &[u32] = &[AF_VSOCK as u32, AF_ALG as u32];

/// The rules, indexed by number, for a process whose bounding set is `capabilities`.
pub(super) fn rules(capabilities: CapabilitySet) -> Vec<Rule> {
    let mut rules = vec![Rule::Fail(EPERM); NUMBERS];
    let mut set = |number: c_long, rule: Rule| {
        if let Some(slot) = usize::try_from(number).ok().and_then(|at| rules.get_mut(at)) {
            *slot = rule;
        }
    };
    for group in [FILES, DESCRIPTORS, EVENTS, MEMORY, PROCESSES, IDENTITY, SIGNALS, TIME, SOCKETS, IPC, SYSTEM] {
        group.iter().for_each(|number| set(*number, Rule::Allow));
    }
    set(SYS_clone, Rule::FailIfFirstArgumentHas(NEW_NAMESPACES));
    // Its flags are in memory, where a filter cannot read them. glibc falls back to clone.
    set(SYS_clone3, Rule::Fail(ENOSYS));
    set(SYS_personality, Rule::AllowFirstArgument(PERSONALITIES));
    set(SYS_socket, Rule::FailFirstArgument(REFUSED_SOCKET_FAMILIES));
    for (capability, numbers) in WITH_CAPABILITY {
        if capabilities.contains(*capability) {
            numbers.iter().for_each(|number| set(*number, Rule::Allow));
        }
    }
    rules
}

// Calls that the libc crate does not name yet.
const SYS_io_pgetevents: c_long = 333;
const SYS_cachestat: c_long = 451;
const SYS_map_shadow_stack: c_long = 453;
const SYS_futex_wake: c_long = 454;
const SYS_futex_wait: c_long = 455;
const SYS_futex_requeue: c_long = 456;

#[rustfmt::skip]
const FILES: &[c_long] = &[
    SYS_access, SYS_chdir, SYS_chmod, SYS_chown, SYS_creat, SYS_faccessat, SYS_faccessat2, SYS_fadvise64, SYS_fallocate,
    SYS_fchdir, SYS_fchmod, SYS_fchmodat, SYS_fchmodat2, SYS_fchown, SYS_fchownat, SYS_fdatasync, SYS_fgetxattr,
    SYS_flistxattr, SYS_flock, SYS_fremovexattr, SYS_fsetxattr, SYS_fstat, SYS_fstatfs, SYS_fsync, SYS_ftruncate,
    SYS_futimesat, SYS_getcwd, SYS_getdents, SYS_getdents64, SYS_getxattr, SYS_lchown, SYS_lgetxattr, SYS_link,
    SYS_linkat, SYS_listxattr, SYS_llistxattr, SYS_lremovexattr, SYS_lseek, SYS_lsetxattr, SYS_lstat, SYS_mkdir,
    SYS_mkdirat, SYS_mknod, SYS_mknodat, SYS_name_to_handle_at, SYS_newfstatat, SYS_open, SYS_openat, SYS_openat2,
    SYS_pread64, SYS_preadv, SYS_preadv2, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_read, SYS_readahead,
    SYS_readlink, SYS_readlinkat, SYS_readv, SYS_removexattr, SYS_rename, SYS_renameat, SYS_renameat2, SYS_rmdir,
    SYS_sendfile, SYS_setxattr, SYS_splice, SYS_stat, SYS_statfs, SYS_statx, SYS_symlink, SYS_symlinkat, SYS_sync,
    SYS_sync_file_range, SYS_syncfs, SYS_tee, SYS_truncate, SYS_umask, SYS_unlink, SYS_unlinkat, SYS_utime,
    SYS_utimensat, SYS_utimes, SYS_vmsplice, SYS_write, SYS_writev, SYS_copy_file_range,
];

#[rustfmt::skip]
const DESCRIPTORS: &[c_long] = &[
    SYS_close, SYS_close_range, SYS_dup, SYS_dup2, SYS_dup3, SYS_fcntl, SYS_ioctl, SYS_pipe, SYS_pipe2,
    SYS_io_cancel, SYS_io_destroy, SYS_io_getevents, SYS_io_pgetevents, SYS_io_setup, SYS_io_submit,
];

#[rustfmt::skip]
const EVENTS: &[c_long] = &[
    SYS_epoll_create, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_ctl_old, SYS_epoll_pwait, SYS_epoll_pwait2,
    SYS_epoll_wait, SYS_epoll_wait_old, SYS_eventfd, SYS_eventfd2, SYS_fanotify_mark, SYS_inotify_add_watch,
    SYS_inotify_init, SYS_inotify_init1, SYS_inotify_rm_watch, SYS_poll, SYS_ppoll, SYS_pselect6, SYS_select,
    SYS_signalfd, SYS_signalfd4, SYS_timerfd_create, SYS_timerfd_gettime, SYS_timerfd_settime,
];

#[rustfmt::skip]
const MEMORY: &[c_long] = &[
    SYS_brk, SYS_madvise, SYS_membarrier, SYS_memfd_create, SYS_memfd_secret, SYS_mincore, SYS_mlock, SYS_mlock2,
    SYS_mlockall, SYS_mmap, SYS_mprotect, SYS_mremap, SYS_mseal, SYS_msync, SYS_munlock, SYS_munlockall, SYS_munmap,
    SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect, SYS_process_mrelease, SYS_remap_file_pages, SYS_cachestat,
    SYS_map_shadow_stack,
];

#[rustfmt::skip]
const PROCESSES: &[c_long] = &[
    SYS_arch_prctl, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_fork, SYS_futex, SYS_futex_waitv,
    SYS_get_robust_list, SYS_get_thread_area, SYS_getcpu, SYS_getpgid, SYS_getpgrp, SYS_getpid, SYS_getppid,
    SYS_getpriority, SYS_getrlimit, SYS_getrusage, SYS_getsid, SYS_gettid, SYS_ioprio_get, SYS_ioprio_set,
    SYS_modify_ldt, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_prctl, SYS_prlimit64, SYS_process_vm_readv,
    SYS_process_vm_writev, SYS_ptrace, SYS_restart_syscall, SYS_rseq, SYS_sched_get_priority_max,
    SYS_sched_get_priority_min, SYS_sched_getaffinity, SYS_sched_getattr, SYS_sched_getparam,
    SYS_sched_getscheduler, SYS_sched_rr_get_interval, SYS_sched_setaffinity, SYS_sched_setattr,
    SYS_sched_setparam, SYS_sched_setscheduler, SYS_sched_yield, SYS_seccomp, SYS_set_robust_list,
    SYS_set_thread_area, SYS_set_tid_address, SYS_setpgid, SYS_setpriority, SYS_setrlimit, SYS_setsid, SYS_times,
    SYS_vfork, SYS_wait4, SYS_waitid, SYS_futex_wake, SYS_futex_wait, SYS_futex_requeue,
];

#[rustfmt::skip]
const IDENTITY: &[c_long] = &[
    SYS_capget, SYS_capset, SYS_getegid, SYS_geteuid, SYS_getgid, SYS_getgroups, SYS_getresgid, SYS_getresuid,
    SYS_getuid, SYS_landlock_add_rule, SYS_landlock_create_ruleset, SYS_landlock_restrict_self, SYS_setfsgid,
    SYS_setfsuid, SYS_setgid, SYS_setgroups, SYS_setregid, SYS_setresgid, SYS_setresuid, SYS_setreuid, SYS_setuid,
];

#[rustfmt::skip]
const SIGNALS: &[c_long] = &[
    SYS_alarm, SYS_kill, SYS_pause, SYS_rt_sigaction, SYS_rt_sigpending, SYS_rt_sigprocmask, SYS_rt_sigqueueinfo,
    SYS_rt_sigreturn, SYS_rt_sigsuspend, SYS_rt_sigtimedwait, SYS_rt_tgsigqueueinfo, SYS_sigaltstack, SYS_tgkill,
    SYS_tkill,
];

#[rustfmt::skip]
const TIME: &[c_long] = &[
    SYS_adjtimex, SYS_clock_adjtime, SYS_clock_getres, SYS_clock_gettime, SYS_clock_nanosleep, SYS_getitimer,
    SYS_gettimeofday, SYS_nanosleep, SYS_setitimer, SYS_time, SYS_timer_create, SYS_timer_delete,
    SYS_timer_getoverrun, SYS_timer_gettime, SYS_timer_settime,
];

#[rustfmt::skip]
const SOCKETS: &[c_long] = &[
    SYS_accept, SYS_accept4, SYS_bind, SYS_connect, SYS_getpeername, SYS_getsockname, SYS_getsockopt, SYS_listen,
    SYS_recvfrom, SYS_recvmmsg, SYS_recvmsg, SYS_sendmmsg, SYS_sendmsg, SYS_sendto, SYS_setsockopt, SYS_shutdown,
    SYS_socketpair,
];

#[rustfmt::skip]
const IPC: &[c_long] = &[
    SYS_mq_getsetattr, SYS_mq_notify, SYS_mq_open, SYS_mq_timedreceive, SYS_mq_timedsend, SYS_mq_unlink, SYS_msgctl,
    SYS_msgget, SYS_msgrcv, SYS_msgsnd, SYS_semctl, SYS_semget, SYS_semop, SYS_semtimedop, SYS_shmat, SYS_shmctl,
    SYS_shmdt, SYS_shmget,
];

#[rustfmt::skip]
const SYSTEM: &[c_long] = &[SYS_getrandom, SYS_sysinfo, SYS_uname];

#[rustfmt::skip]
const WITH_CAPABILITY: &[(Capability, &[c_long])] = &[
    (
        Capability::CAP_SYS_ADMIN,
        &[
            SYS_bpf, SYS_clone, SYS_clone3, SYS_fanotify_init, SYS_fsconfig, SYS_fsmount, SYS_fsopen, SYS_fspick,
            SYS_lookup_dcookie, SYS_mount, SYS_mount_setattr, SYS_move_mount, SYS_open_tree, SYS_perf_event_open,
            SYS_pivot_root, SYS_quotactl, SYS_quotactl_fd, SYS_setdomainname, SYS_sethostname, SYS_setns, SYS_syslog,
            SYS_umount2, SYS_unshare,
        ],
    ),
    (Capability::CAP_BPF, &[SYS_bpf]),
    (Capability::CAP_DAC_READ_SEARCH, &[SYS_open_by_handle_at]),
    (Capability::CAP_PERFMON, &[SYS_perf_event_open]),
    (Capability::CAP_SYS_BOOT, &[SYS_reboot, SYS_kexec_load, SYS_kexec_file_load]),
    (Capability::CAP_SYS_CHROOT, &[SYS_chroot]),
    (Capability::CAP_SYS_MODULE, &[SYS_init_module, SYS_finit_module, SYS_delete_module]),
    (
        Capability::CAP_SYS_NICE,
        &[
            SYS_get_mempolicy, SYS_mbind, SYS_migrate_pages, SYS_move_pages, SYS_set_mempolicy,
            SYS_set_mempolicy_home_node,
        ],
    ),
    (Capability::CAP_SYS_PACCT, &[SYS_acct]),
    (Capability::CAP_SYS_PTRACE, &[SYS_kcmp, SYS_pidfd_getfd, SYS_process_madvise]),
    (Capability::CAP_SYS_RAWIO, &[SYS_iopl, SYS_ioperm]),
    (Capability::CAP_SYS_TIME, &[SYS_clock_settime, SYS_settimeofday]),
    (Capability::CAP_SYS_TTY_CONFIG, &[SYS_vhangup]),
    (Capability::CAP_SYSLOG, &[SYS_syslog]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(set: CapabilitySet, number: c_long) -> Rule {
        rules(set)[number as usize].clone()
    }

    #[test]
    fn privileged_calls_are_refused_by_default() {
        #[rustfmt::skip]
        let dangerous = [
            SYS_mount, SYS_umount2, SYS_pivot_root, SYS_kexec_load, SYS_kexec_file_load, SYS_bpf, SYS_keyctl,
            SYS_add_key, SYS_request_key, SYS_unshare, SYS_setns, SYS_reboot, SYS_swapon, SYS_swapoff,
            SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_iopl, SYS_ioperm, SYS_perf_event_open,
            SYS_userfaultfd, SYS_open_by_handle_at, SYS_io_uring_setup, SYS_settimeofday, SYS_acct, SYS_quotactl,
            SYS_fsopen, SYS_move_mount, SYS_open_tree, SYS_mount_setattr, SYS_syslog, SYS_sethostname,
        ];
        for number in dangerous {
            assert_eq!(rule(CapabilitySet::DEFAULT, number), Rule::Fail(EPERM), "call {number}");
        }
        assert_eq!(rule(CapabilitySet::DEFAULT, SYS_clone3), Rule::Fail(ENOSYS));
    }

    #[test]
    fn a_capability_allows_the_calls_that_need_it() {
        let admin = CapabilitySet::of(&[Capability::CAP_SYS_ADMIN]);
        assert_eq!(rule(admin, SYS_mount), Rule::Allow);
        assert_eq!(rule(admin, SYS_clone3), Rule::Allow);
        assert_eq!(rule(admin, SYS_reboot), Rule::Fail(EPERM));
        assert_eq!(rule(CapabilitySet::DEFAULT, SYS_chroot), Rule::Allow);
        assert_eq!(rule(CapabilitySet::EMPTY, SYS_chroot), Rule::Fail(EPERM));
    }

    #[test]
    fn the_calls_of_the_launch_after_the_filter_is_installed_are_allowed() {
        #[rustfmt::skip]
        let needed = [
            SYS_setresuid, SYS_setresgid, SYS_setgroups, SYS_capset, SYS_prctl, SYS_rt_sigprocmask, SYS_execve,
            SYS_newfstatat, SYS_write, SYS_exit_group,
        ];
        for number in needed {
            assert_eq!(rule(CapabilitySet::EMPTY, number), Rule::Allow, "call {number}");
        }
    }
}
