/**
 * Guest kernel arguments. Each is here for a reason that was measured or that follows from how QEMU is run;
 * figures are in deploy/guest/README.md.
 */
export function kernelCommandLine(options: { verbose?: boolean; extra?: readonly string[] } = {}): string {
  return [
    // The serial ports are evidence after a crash, see command-line.ts. Every byte costs an exit to QEMU, so only trouble is
    // printed. The last one named is /dev/console.
    "console=ttyS1",
    "console=ttyS0",
    options.verbose === true ? "loglevel=7" : "quiet",
    // A panic ends the machine at once; QEMU keeps it, stopped, until the evidence has been read.
    "panic=-1",
    "reboot=t",
    // Self-tests of ciphers nobody uses here cost a tenth of the boot under emulation.
    "cryptomgr.notests",
    // The emulated timer is right by construction; checking it waits for real ticks.
    "no_timer_check",
    // RDRAND seeds the pool; virtio-rng keeps feeding it. Without it early readers may block.
    "random.trust_cpu=on",
    // Memory that may be plugged in lies above 4 GiB, for which the kernel sets 64 MiB of bounce buffers aside. No device here
    // needs them: all are virtio without an IOMMU.
    "swiotlb=noforce",
    ...(options.extra ?? []),
  ].join(" ");
}
