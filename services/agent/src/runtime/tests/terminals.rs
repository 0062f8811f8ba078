use super::fixture::*;
use crate::runtime::*;

#[test]
fn an_exec_with_a_terminal_is_controlled_by_it() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let (master, slave) = container.0.open_pty().unwrap();
    let dup = || slave.try_clone().unwrap();
    let stdio = Stdio { stdin: dup(), stdout: dup(), stderr: dup(), terminal: true };
    drop(slave);
    let mut process = process(&["sh", "-c", "tty; echo $TERM; echo controlled > /dev/tty"]);
    process.terminal = true;
    let ExecOutcome::Running { pid } = container.0.exec("t", &process, stdio).unwrap() else { panic!() };
    assert_eq!(read_all(master), "/dev/pts/0\r\nxterm\r\ncontrolled\r\n");
    assert_eq!(reap(pid), 0);
}

#[test]
fn an_init_may_have_a_terminal_of_the_containers_own() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    let mut process = process(&["sh", "-c", "tty; echo hello"]);
    process.terminal = true;
    request.process = Some(process);
    let (container, master) = create(&fixture.layout, &fixture.sandbox, &request, None).unwrap();
    let container = Running(container);
    assert_eq!(container.0.start().unwrap(), Started::Running);
    assert_eq!(read_all(master.unwrap()), "/dev/pts/0\r\nhello\r\n");
}
