//! Compiles a table of rules, one per system call number, to BPF.
//!
//! At each exec the kernel evaluates the new filter once for every known system call, to cache which are always allowed: with a
//! chain of comparisons that takes milliseconds under software emulation. So neighbours with the same rule become one range, and
//! a binary search finds the range.

use super::policy::Rule;

const ARCH_X86_64: u32 = 0xC000_003E;
const X32_BIT: u32 = 0x4000_0000;
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARG0_LOW: u32 = 16;

const ALLOW: u32 = 0x7FFF_0000;
const ERRNO: u32 = 0x0005_0000;

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_BITS: u16 = 0x45;
const RETURN: u16 = 0x06;

fn op(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

fn fail(errno: i32) -> libc::sock_filter {
    op(RETURN, 0, 0, ERRNO | errno as u32)
}

/// Compiles `rules`, indexed by system call number. Higher numbers, and other ABIs, answer ENOSYS: a libc then falls back to an
/// older call.
pub(super) fn compile(rules: &[Rule]) -> Vec<libc::sock_filter> {
    let mut ranges: Vec<(u32, &Rule)> = Vec::new();
    for (number, rule) in (0u32..).zip(rules) {
        if ranges.last().is_none_or(|(_, last)| *last != rule) {
            ranges.push((number, rule));
        }
    }
    let beyond = Rule::Fail(libc::ENOSYS);
    ranges.push((rules.len() as u32, &beyond));
    let mut program = vec![
        op(LOAD, 0, 0, OFFSET_ARCH),
        op(JUMP_IF_EQUAL, 1, 0, ARCH_X86_64),
        fail(libc::ENOSYS),
        op(LOAD, 0, 0, OFFSET_NUMBER),
        op(JUMP_IF_AT_LEAST, 0, 1, X32_BIT),
        fail(libc::ENOSYS),
    ];
    program.extend(search(&ranges));
    program
}

fn search(ranges: &[(u32, &Rule)]) -> Vec<libc::sock_filter> {
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let (Some((_, only)), true) = (right.first(), left.is_empty()) else {
        return branch(left, right);
    };
    leaf(only)
}

fn branch(left: &[(u32, &Rule)], right: &[(u32, &Rule)]) -> Vec<libc::sock_filter> {
    let pivot = right.first().map_or(0, |(start, _)| *start);
    let (left, right) = (search(left), search(right));
    let mut block = match u8::try_from(left.len()) {
        Ok(skip) => vec![op(JUMP_IF_AT_LEAST, skip, 0, pivot)],
        Err(_) => vec![op(JUMP_IF_AT_LEAST, 0, 1, pivot), op(JUMP, 0, 0, left.len() as u32)],
    };
    block.extend(left);
    block.extend(right);
    block
}

fn leaf(rule: &Rule) -> Vec<libc::sock_filter> {
    match rule {
        Rule::Allow => vec![op(RETURN, 0, 0, ALLOW)],
        Rule::Fail(errno) => vec![fail(*errno)],
        Rule::FailIfFirstArgumentHas(bits) => vec![
            op(LOAD, 0, 0, OFFSET_ARG0_LOW),
            op(JUMP_IF_BITS, 0, 1, *bits),
            fail(libc::EPERM),
            op(RETURN, 0, 0, ALLOW),
        ],
        Rule::AllowFirstArgument(values) => by_first_argument(values, ALLOW, ERRNO | libc::EPERM as u32),
        Rule::FailFirstArgument(values) => by_first_argument(values, ERRNO | libc::EPERM as u32, ALLOW),
    }
}

fn by_first_argument(values: &[u32], listed: u32, otherwise: u32) -> Vec<libc::sock_filter> {
    let mut block = vec![op(LOAD, 0, 0, OFFSET_ARG0_LOW)];
    for value in values {
        block.push(op(JUMP_IF_EQUAL, 0, 1, *value));
        block.push(op(RETURN, 0, 0, listed));
    }
    block.push(op(RETURN, 0, 0, otherwise));
    block
}

#[cfg(test)]
mod tests {
    use super::super::policy::{Rule, rules};
    use super::*;
    use crate::runtime::rights::capabilities::CapabilitySet;

    /// Interprets the instructions that the compiler uses. Returns the action and the number of steps.
    fn run(program: &[libc::sock_filter], arch: u32, number: u32, arg0: u32) -> (u32, usize) {
        let (mut at, mut accumulator) = (0usize, 0u32);
        for steps in 1.. {
            let instruction = program[at];
            let k = instruction.k;
            let taken = match instruction.code {
                LOAD => {
                    accumulator = match k {
                        OFFSET_ARCH => arch,
                        OFFSET_NUMBER => number,
                        OFFSET_ARG0_LOW => arg0,
                        other => panic!("loads offset {other}"),
                    };
                    0
                }
                JUMP => k as usize,
                JUMP_IF_EQUAL if accumulator == k => instruction.jt.into(),
                JUMP_IF_AT_LEAST if accumulator >= k => instruction.jt.into(),
                JUMP_IF_BITS if accumulator & k != 0 => instruction.jt.into(),
                JUMP_IF_EQUAL | JUMP_IF_AT_LEAST | JUMP_IF_BITS => instruction.jf.into(),
                RETURN => return (k, steps),
                other => panic!("executes {other:#x}"),
            };
            at += 1 + taken;
        }
        unreachable!()
    }

    fn expected(rule: &Rule, arg0: u32) -> u32 {
        let allow_if = |yes: bool| {
            if yes { ALLOW } else { ERRNO | libc::EPERM as u32 }
        };
        match rule {
            Rule::Allow => ALLOW,
            Rule::Fail(errno) => ERRNO | *errno as u32,
            Rule::FailIfFirstArgumentHas(bits) => allow_if(arg0 & bits == 0),
            Rule::AllowFirstArgument(values) => allow_if(values.contains(&arg0)),
            Rule::FailFirstArgument(values) => allow_if(!values.contains(&arg0)),
        }
    }

    #[test]
    fn the_program_follows_the_rules_for_every_call_and_argument() {
        for set in [CapabilitySet::DEFAULT, CapabilitySet::EMPTY, CapabilitySet::all(40)] {
            let rules = rules(set);
            let program = compile(&rules);
            for (number, rule) in (0u32..).zip(&rules) {
                for arg0 in [0, 1, 2, 8, 38, 40, 0x2_0000, 0x1000_0000, u32::MAX] {
                    let (action, steps) = run(&program, ARCH_X86_64, number, arg0);
                    assert_eq!(action, expected(rule, arg0), "call {number} argument {arg0:#x}");
                    assert!(steps <= 24, "call {number} takes {steps} steps");
                }
            }
        }
    }

    #[test]
    fn other_abis_and_unknown_calls_answer_enosys() {
        let program = compile(&rules(CapabilitySet::DEFAULT));
        let nosys = ERRNO | libc::ENOSYS as u32;
        assert_eq!(run(&program, 0x4000_0003, 1, 0).0, nosys, "i386");
        assert_eq!(run(&program, ARCH_X86_64, X32_BIT | 1, 0).0, nosys, "x32");
        assert_eq!(run(&program, ARCH_X86_64, 10_000, 0).0, nosys, "a call of a later kernel");
    }
}
