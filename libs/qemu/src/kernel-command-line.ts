/**
 * Arguments of the guest kernel. Each has a reason, which was measured or follows from how QEMU is run. The figures are in
 * deploy/guest/README.md.
 */
export function kernelCommandLine(options: { verbose?: boolean; extra?: readonly string[] } = {}): string {
  return [
    // The serial ports are evidence after a crash; see command-line.ts. Each byte costs an exit to QEMU, so only errors are printed.
    // The last console named is /dev/console.
    "console=ttyS1",
    "console=ttyS0",
    options.verbose === true ? "loglevel=7" : "quiet",
    // A panic resets the machine at once. QEMU pauses it until the evidence has been read.
    "panic=-1",
    "reboot=t",
    // Cipher self-tests take a tenth of the boot time under emulation.
    "cryptomgr.notests",
    // The emulated timer is correct, and checking it waits for real ticks.
    "no_timer_check",
    // RDRAND seeds the pool; virtio-rng keeps feeding it. Without it early readers may block.
    "random.trust_cpu=on",
    // Plugged memory lies above 4 GiB, for which the kernel reserves 64 MiB of bounce buffers. No device needs them: all are virtio
    // without an IOMMU.
    "swiotlb=noforce",
    ...(options.extra ?? []),
  ].join(" ");
}
