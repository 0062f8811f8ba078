//! System calls without a libc.
//!
//! Between `clone3` and `execve` a new process shares the agent's memory, including its thread-local storage. libc's wrappers
//! store `errno` there, so code in between must not call them, allocate or panic. It uses this module.

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the agent's process creation is written for x86_64 guests");

/// Issues one system call with up to six arguments, and returns the kernel's value, a negative errno on failure.
///
/// # Safety That of the system call: pointers must be valid for the kernel's use of them.
#[inline(always)]
pub(super) unsafe fn syscall6(number: libc::c_long, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's calling convention for x86_64; the caller vouches for the arguments.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Issues a system call. Omitted arguments are zero.
macro_rules! sys {
    ($number:expr $(, $argument:expr)*) => {
        $crate::runtime::raw::syscall6($number, $crate::runtime::raw::padded([$($argument as usize),*]))
    };
}
pub(super) use sys;

/// Pads the arguments with zeros.
#[inline(always)]
pub(super) const fn padded<const COUNT: usize>(given: [usize; COUNT]) -> [usize; 6] {
    let (mut all, mut at) = ([0; 6], 0);
    while at < COUNT {
        all[at] = given[at];
        at += 1;
    }
    all
}
