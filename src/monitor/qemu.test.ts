import { expect, test } from "bun:test";
import { kernelCommandLine, qemu, quoteOption } from "./qemu.ts";
import type { VmSpec, VmTap } from "./vm-spec.ts";
import { vmSpec } from "./vm-spec-samples.ts";

const SPEC = vmSpec("/usr/bin/qemu-system-x86_64", {
  vcpus: 1,
  acceleration: { kind: "tcg", tscKhz: 2_400_000 },
  share: { kind: "9p", path: "/share", tag: "root", readOnly: false },
});

const argv = (change: Partial<VmSpec> = {}) => qemu.plan({ ...SPEC, ...change }).argv;

/** The word behind each time that a flag occurs. */
function valuesOf(words: readonly string[], flag: string): string[] {
  return words.flatMap((word, index) => (word === flag ? [words[index + 1] ?? ""] : []));
}

function taps(count: number): VmTap[] {
  return Array.from({ length: count }, (_, n) => ({ tap: `utap${n}`, mac: "02:42:ac:11:00:02", mtu: 1500 }));
}

test("a machine under emulation with a shared root: the whole command line", () => {
  expect(argv({ kernelArguments: ["init=/urunit"] })).toEqual([
    "/usr/bin/qemu-system-x86_64",
    ...["-name", "box"],
    ...["-no-user-config", "-nodefaults", "-no-reboot"],
    ...["-display", "none"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-M", "microvm,acpi=on,pit=off,pic=off,rtc=on,auto-kernel-cmdline=off,ioapic2=off"],
    ...["-global", "virtio-mmio.force-legacy=false"],
    ...["-accel", "tcg,tb-size=128", "-cpu", "max"],
    ...["-smp", "1"],
    ...["-m", "256M"],
    ...["-kernel", "/urunc/vmlinux"],
    ...["-initrd", "/urunc/initramfs.cpio"],
    "-append",
    "console=ttyS0 reboot=t pci=off panic=-1 quiet noreplace-smp rcupdate.rcu_expedited=1 " +
      "tsc_early_khz=2400000 tsc=reliable no_timer_check lapic_timer_khz=1000000 keep_initmem init=/urunit",
    ...["-chardev", "socket,id=console,fd=4"],
    ...["-serial", "chardev:console"],
    ...["-fsdev", "local,id=share,path=/share,security_model=passthrough,multidevs=remap"],
    ...["-device", "virtio-9p-device,fsdev=share,mount_tag=root"],
    ...["-chardev", "socket,id=agent,fd=3"],
    ...["-device", "virtio-serial-device,max_ports=2"],
    ...["-device", "virtserialport,chardev=agent,name=urunc.agent.0"],
    ...["-device", "virtio-balloon-device,free-page-reporting=on,deflate-on-oom=on"],
  ]);
});

test("a machine for another kernel than ours: a PC with PCI, and its init's ports", () => {
  const direct = { words: ["root=fs0", "init=/app", "--"], commandsFd: 6, controlFd: 7 };
  const { initrd: _, ...spec } = SPEC;
  const drives = [{ path: "/disks/root", serial: "root", readOnly: false }];
  const share = { kind: "9p", path: "/share", tag: "fs0", readOnly: false } as const;
  const network = { kind: "tap", taps: taps(1) } as const;
  expect(qemu.plan({ ...spec, direct, drives, share, network }).argv).toEqual([
    "/usr/bin/qemu-system-x86_64",
    ...["-name", "box"],
    ...["-no-user-config", "-nodefaults", "-no-reboot"],
    ...["-display", "none"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-M", "q35,smm=off,vmport=off,sata=off,smbus=off"],
    ...["-accel", "tcg,tb-size=128", "-cpu", "max"],
    ...["-smp", "1"],
    ...["-m", "256M"],
    ...["-kernel", "/urunc/vmlinux"],
    "-append",
    "panic=-1 console=ttyS0 quiet tsc_early_khz=2400000 tsc=reliable no_timer_check root=fs0 init=/app --",
    ...["-chardev", "socket,id=console,fd=4", "-serial", "chardev:console"],
    ...["-chardev", "socket,id=commands,fd=6", "-serial", "chardev:commands"],
    ...["-chardev", "socket,id=reports,fd=3", "-device", "isa-debugcon,chardev=reports,iobase=0xe9"],
    ...["-chardev", "socket,id=control,fd=7", "-mon", "chardev=control,mode=control"],
    ...["-fsdev", "local,id=share,path=/share,security_model=passthrough,multidevs=remap"],
    ...["-device", "virtio-9p-pci,fsdev=share,mount_tag=fs0"],
    "-blockdev",
    "driver=raw,node-name=disk-root,read-only=off,discard=unmap,file.driver=file,file.filename=/disks/root",
    ...["-device", "virtio-blk-pci,drive=disk-root,serial=root"],
    ...["-device", "virtio-balloon-pci,free-page-reporting=on,deflate-on-oom=on"],
    ...["-netdev", "tap,id=net0,ifname=utap0,script=no,downscript=no"],
    ...["-device", "virtio-net-pci,romfile=,netdev=net0,mac=02:42:ac:11:00:02,host_mtu=1500,ctrl_vlan=off"],
  ]);
  const long = { ...direct, words: ["x".repeat(2000)] };
  expect(() => qemu.plan({ ...spec, direct: long })).toThrow("leave com.urunc.unikernel.binary away");
});

test("the clock's rate is told under emulation only", () => {
  expect(kernelCommandLine(SPEC).split(" ")).toContain("tsc_early_khz=2400000");
  expect(kernelCommandLine({ ...SPEC, acceleration: { kind: "kvm" } })).not.toContain("tsc");
});

test("the kernel's command line is refused from 2,048 bytes on, counted as bytes", () => {
  const base = Buffer.byteLength(kernelCommandLine({ ...SPEC, kernelArguments: [""] }));
  const fits = "x".repeat(2047 - base);
  expect(Buffer.byteLength(kernelCommandLine({ ...SPEC, kernelArguments: [fits] }))).toBe(2047);
  expect(() => kernelCommandLine({ ...SPEC, kernelArguments: [`${fits}x`] })).toThrow(
    "would have 2048 bytes",
  );
  const wide = "ü".repeat(Math.ceil((2048 - base) / 2));
  expect(wide.length).toBeLessThan(fits.length);
  expect(() => argv({ kernelArguments: [wide] })).toThrow("and the kernel keeps 2047 of them");
});

test("commas in values are doubled, so that they add no options", () => {
  expect(quoteOption("a,b,,c")).toBe("a,,b,,,,c");
  const words = argv({
    share: { kind: "9p", path: "/s,readonly=on", tag: "t,g", readOnly: false },
    network: { kind: "tap", taps: [{ tap: "u,script=/x", mac: "02:42:ac:11:00:02", mtu: 1500 }] },
  });
  expect(valuesOf(words, "-fsdev")[0]).toStartWith("local,id=share,path=/s,,readonly=on,security_model=");
  expect(valuesOf(words, "-device")).toContain("virtio-9p-device,fsdev=share,mount_tag=t,,g");
  expect(valuesOf(words, "-netdev")).toEqual(["tap,id=net0,ifname=u,,script=/x,script=no,downscript=no"]);
});

test("a name keeps only what cannot be an option", () => {
  expect(valuesOf(argv({ name: "a.b_c-9,debug-threads=on é/" }), "-name")).toEqual([
    "a.b_c-9debug-threadson",
  ]);
});

test("a root that is read-only is so at the host's end", () => {
  const readOnly = argv({ share: { kind: "9p", path: "/share", tag: "root", readOnly: true } });
  expect(valuesOf(readOnly, "-fsdev")[0]).toEndWith(",readonly=on");
  expect(valuesOf(argv(), "-fsdev")[0]).not.toContain("readonly");
});

test("a machine that is all initrd has no share and needs no capability", () => {
  const plan = qemu.plan({ ...SPEC, share: { kind: "none" } });
  expect(valuesOf(plan.argv, "-fsdev")).toEqual([]);
  expect(plan.argv.join(" ")).not.toContain("9p");
  expect(plan.capabilities).toEqual([]);
});

const VIRTIOFS: VmSpec["share"] = {
  kind: "virtiofs",
  path: "/share",
  tag: "ro,ot",
  server: { program: "/usr/lib/qemu/virtiofsd", dialect: "qemu" },
  listenFd: 3,
  connectedFd: 5,
  socketPath: "/run/urunc/share.sock",
};

test("a root by virtiofs is a device with a connected socket, and memory that is shared with the server", () => {
  const plan = qemu.plan({ ...SPEC, share: VIRTIOFS });
  expect(valuesOf(plan.argv, "-fsdev")).toEqual([]);
  expect(valuesOf(plan.argv, "-chardev")).toContain("socket,id=share,fd=5");
  expect(valuesOf(plan.argv, "-device")).toContain(
    "vhost-user-fs-device,chardev=share,tag=ro,,ot,queue-size=1024,event_idx=off",
  );
  expect(valuesOf(plan.argv, "-object")).toEqual(["memory-backend-memfd,id=memory,size=256M,share=on"]);
  expect(valuesOf(plan.argv, "-M")[0]).toEndWith(",memory-backend=memory");
  expect(plan.fileServer?.slice(0, 3)).toEqual(["/usr/lib/qemu/virtiofsd", "-f", "--fd=3"]);
  expect(qemu.plan(SPEC).fileServer).toBeUndefined();
});

test("the server of a root by virtiofs has capabilities, and takes memory of its own", () => {
  const plan = qemu.plan({ ...SPEC, share: VIRTIOFS });
  const names = "CHOWN DAC_OVERRIDE FOWNER FSETID MKNOD SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split(" ");
  expect([...plan.capabilities].sort()).toEqual(names.map((name) => `CAP_${name}`));
  expect(plan.overheadMiB).toBeGreaterThan(qemu.plan(SPEC).overheadMiB);
});

test("without an initrd there is no such flag", () => {
  const { initrd: _, ...bare } = SPEC;
  expect(qemu.plan(bare).argv).not.toContain("-initrd");
});

test("acting for the guest's users takes these capabilities and no other", () => {
  expect([...qemu.plan(SPEC).capabilities].sort()).toEqual([
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_MKNOD",
    "CAP_SETFCAP",
  ]);
});

test("each tap is a device with its MAC and MTU", () => {
  const words = argv({
    network: {
      kind: "tap",
      taps: [
        { tap: "utap2", mac: "02:42:ac:11:00:02", mtu: 1450 },
        { tap: "utap7", mac: "02:42:ac:11:00:03", mtu: 9000 },
      ],
    },
  });
  expect(valuesOf(words, "-netdev")).toEqual([
    "tap,id=net0,ifname=utap2,script=no,downscript=no",
    "tap,id=net1,ifname=utap7,script=no,downscript=no",
  ]);
  expect(valuesOf(words, "-device").filter((device) => device.startsWith("virtio-net"))).toEqual([
    "virtio-net-device,netdev=net0,mac=02:42:ac:11:00:02,host_mtu=1450,ctrl_vlan=off",
    "virtio-net-device,netdev=net1,mac=02:42:ac:11:00:03,host_mtu=9000,ctrl_vlan=off",
  ]);
});

test("the monitor's own network takes no device of the host", () => {
  const plan = qemu.plan({ ...SPEC, network: { kind: "user", mac: "52:55:0a:00:02:0f" } });
  expect(valuesOf(plan.argv, "-netdev")).toEqual(["user,id=net0"]);
  expect(valuesOf(plan.argv, "-device")).toContain("virtio-net-device,netdev=net0,mac=52:55:0a:00:02:0f");
  expect(plan.devices).toEqual([]);
});

// Besides the network: the root, the agent's port and the balloon.
test.each([
  [5, "off"],
  [6, "on"],
  [21, "on"],
])("with %d interfaces the second interrupt controller is %s", (count, state) => {
  const words = argv({ network: { kind: "tap", taps: taps(count) } });
  expect(valuesOf(words, "-M")[0]).toEndWith(`,ioapic2=${state}`);
  expect(valuesOf(words, "-netdev")).toHaveLength(count);
});

test("more devices than slots are refused", () => {
  expect(() => argv({ network: { kind: "tap", taps: taps(22) } })).toThrow(
    "would have 25 devices, and QEMU's microvm has 24 slots",
  );
});

test("the devices are those that are used", () => {
  const network = { kind: "tap", taps: taps(1) } as const;
  const kvm = { path: "/dev/kvm", major: 10, minor: 232 };
  const tun = { path: "/dev/net/tun", major: 10, minor: 200 };
  expect(qemu.plan(SPEC).devices).toEqual([]);
  expect(qemu.plan({ ...SPEC, network }).devices).toEqual([tun]);
  expect(qemu.plan({ ...SPEC, network, acceleration: { kind: "kvm" } }).devices).toEqual([kvm, tun]);
});

test("KVM runs the host's processor, and needs no room for translated code", () => {
  const plan = qemu.plan({ ...SPEC, acceleration: { kind: "kvm" } });
  expect(valuesOf(plan.argv, "-accel")).toEqual(["kvm"]);
  expect(valuesOf(plan.argv, "-cpu")).toEqual(["host"]);
  const translation = Number(/tb-size=(\d+)/.exec(argv().join(" "))?.[1]);
  expect(plan.overheadMiB).toBeGreaterThan(0);
  expect(qemu.plan(SPEC).overheadMiB - plan.overheadMiB).toBe(translation);
});

test.each([0, -1, 1.5, 256, Number.NaN])("%p processors are refused", (vcpus) => {
  expect(() => argv({ vcpus })).toThrow("1 to 255 processors");
});

test.each([0, -5, 0.5, Number.NaN])("%p MiB are refused", (memoryMiB) => {
  expect(() => argv({ memoryMiB })).toThrow(expect.objectContaining({ code: "memory-too-small" }));
});

test("size and processors are those asked for", () => {
  const words = argv({ memoryMiB: 4096, vcpus: 255 });
  expect(valuesOf(words, "-m")).toEqual(["4096M"]);
  expect(valuesOf(words, "-smp")).toEqual(["255"]);
});

test("a disk is named by its serial, and its format is said", () => {
  const words = argv({
    drives: [
      { path: "/disks/a,b", serial: "lower", readOnly: true },
      { path: "/disks/upper", serial: "upper", readOnly: false },
    ],
  });
  expect(valuesOf(words, "-blockdev")).toEqual([
    "driver=raw,node-name=disk-lower,read-only=on,discard=unmap,file.driver=file,file.filename=/disks/a,,b",
    "driver=raw,node-name=disk-upper,read-only=off,discard=unmap,file.driver=file,file.filename=/disks/upper",
  ]);
  expect(valuesOf(words, "-device").filter((device) => device.startsWith("virtio-blk"))).toEqual([
    "virtio-blk-device,drive=disk-lower,serial=lower",
    "virtio-blk-device,drive=disk-upper,serial=upper",
  ]);
});

test("a directory of firmware is where it is looked for first", () => {
  const { argv } = qemu.plan({ ...SPEC, firmware: "/usr/share/x" });
  expect(argv.slice(argv.indexOf("-L"), argv.indexOf("-L") + 2)).toEqual(["-L", "/usr/share/x"]);
  expect(qemu.plan(SPEC).argv).not.toContain("-L");
});

test("a disk is opened as the file or the device that it is", () => {
  const drive = { path: "/dev/disk-root", serial: "root", readOnly: false };
  const driver = (isDevice: boolean) =>
    valuesOf(
      argv({ drives: [{ ...drive, ...(isDevice ? { isDevice: true as const } : {}) }] }),
      "-blockdev",
    )[0];
  expect(driver(true)).toContain("file.driver=host_device,file.filename=/dev/disk-root");
  expect(driver(false)).toContain("file.driver=file,");
});

test("without the agent a kernel without virtio on PCI has a microvm, whose devices stand on its command line", () => {
  const { initrd: _, ...bare } = SPEC;
  const direct = {
    words: ["root=fs0", "init=/x", "--", "a"],
    commandsFd: 6,
    controlFd: 7,
    mmio: true,
  } as const;
  const words = qemu.plan({ ...bare, direct }).argv;
  expect(valuesOf(words, "-M")[0]).toBe("microvm,acpi=off,auto-kernel-cmdline=off,rtc=off,ioapic2=off");
  expect(valuesOf(words, "-append")[0]).toEndWith(
    " virtio_mmio.device=512@0xfeb00c00:11 virtio_mmio.device=512@0xfeb00e00:12 root=fs0 init=/x -- a",
  );
  const devices = valuesOf(words, "-device").filter((device) => device.startsWith("virtio"));
  expect(devices.length).toBeGreaterThan(1);
  for (const [slot, device] of devices.entries()) {
    expect(device).toMatch(/^virtio-\w+-device,/);
    expect(device).toEndWith(`,bus=virtio-mmio-bus.${slot}`);
  }
  expect(valuesOf(words, "-device")).toContain("isa-serial,chardev=commands,index=1");
});
