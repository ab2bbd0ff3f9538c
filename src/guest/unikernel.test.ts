import { expect, test } from "bun:test";
import { unikernelWords } from "./unikernel.ts";

const ADDRESS = { address: "172.17.0.2", prefixLength: 16, gateway: "172.17.0.1", device: "eth0" };
const UNIKRAFT = { type: "unikraft", args: ["/nginx", "-c", "a b"], hasInitrd: false } as const;

test("unikraft gets its address as its release wants it, its root, and behind dashes the command", () => {
  expect(unikernelWords({ ...UNIKRAFT, address: ADDRESS, hasInitrd: true }).join(" ")).toBe(
    'netdev.ip=172.17.0.2/16:172.17.0.1::: vfs.fstab=[ "initrd0:/:extract::ramfs=1:" ] -- /nginx -c "a b"',
  );
  const old = { ...UNIKRAFT, version: "0.15.0", hasInitrd: true };
  expect(unikernelWords({ ...old, address: ADDRESS }).join(" ")).toBe(
    "netdev.ipv4_addr=172.17.0.2 netdev.ipv4_gw_addr=172.17.0.1 netdev.ipv4_subnet_mask=255.255.0.0 " +
      'vfs.rootfs=initrd -- /nginx -c "a b"',
  );
  for (const version of ["0.16.1", "v0.18", "1"])
    expect(unikernelWords({ ...UNIKRAFT, version, address: ADDRESS })[0]).toStartWith("netdev.ip=");
  expect(unikernelWords({ ...UNIKRAFT, version: "0.16.0", address: ADDRESS })[0]).toContain("ipv4_addr");
  expect(unikernelWords(UNIKRAFT).slice(0, 2)).toEqual(["--", "/nginx"]);
});

test("the image's own command line stands for the word that Docker makes one write", () => {
  const own = { ...UNIKRAFT, commandLine: "nginx -c /etc/nginx.conf" };
  expect(unikernelWords({ ...own, args: ["unikernel"] }).at(-1)).toBe("nginx -c /etc/nginx.conf");
  expect(unikernelWords(own)).not.toContain("nginx -c /etc/nginx.conf");
  expect(unikernelWords({ ...UNIKRAFT, args: ["unikernel"] }).at(-1)).toBe("unikernel");
});

test("mewz gets its address and its gateway", () => {
  const mewz = { type: "mewz", args: ["unikernel"], hasInitrd: false } as const;
  expect(unikernelWords({ ...mewz, address: ADDRESS })).toEqual(["ip=172.17.0.2/16", "gateway=172.17.0.1"]);
  expect(unikernelWords(mewz)).toEqual([]);
});

test("what does not fit is refused", () => {
  expect(() => unikernelWords({ ...UNIKRAFT, args: ['a"b'] })).toThrow("leave its quotes");
  expect(() => unikernelWords({ ...UNIKRAFT, args: ["x".repeat(3000)] })).toThrow("room for 2047");
});
