/** A VM with two vCPUs and Paddock's kernel, emulated as sandboxes are. Its result is the output of its serial console. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { acceleratorArguments } from "@paddock/qemu";
import { repositoryRoot } from "./child-service.ts";

/** On an idle host no VM is silent for 10 s. With five times as much load as CPUs, some are silent for more than a minute. */
const SILENCE_MS = 240_000;

/** Runs the VM until it prints the line "END", and returns its output. `scratch` is a directory for the VM's files. */
export async function runBareGuest(initramfs: Buffer, scratch: string): Promise<string> {
  const image = join(scratch, "initramfs");
  writeFileSync(image, initramfs);
  const args = [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"],
    ...["-machine", "q35,sata=off,usb=off,smbus=off,hpet=off,vmport=off,smm=off", "-m", "1G", "-smp", "2"],
    ...[...acceleratorArguments({ accelerator: "tcg", vcpus: 2, maxVcpus: 2 }), "-cpu", "max"],
    ...["-kernel", join(repositoryRoot, "deploy/guest/out/vmlinux"), "-initrd", image],
    "-append",
    "console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests no_timer_check random.trust_cpu=on",
  ];
  const qemu = spawn("qemu-system-x86_64", args, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  const silence = setTimeout(() => {
    said += `\nthe VM printed nothing for ${SILENCE_MS} ms and was killed\n`;
    qemu.kill("SIGKILL");
  }, SILENCE_MS);
  qemu.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    silence.refresh();
    if (/^END\r?$/m.test(said)) qemu.kill("SIGKILL");
  });
  await once(qemu, "close");
  clearTimeout(silence);
  return said.replaceAll("\r", "");
}
