/**
 * What Cloud Hypervisor makes of its command line, as a JSON schema: the members, types, bounds and required members that
 * its published API has (vmm/src/api/openapi/cloud-hypervisor.yaml, `VmConfig`) in version 51 and since, of the devices that
 * are used here. It refuses names within an option that it does not know, and so does this.
 */
const path = { type: "string", pattern: "^/[^,\0]*$" } as const;
const mode = (...modes: string[]) => ({
  type: "object",
  additionalProperties: false,
  required: ["mode"],
  properties: { mode: { enum: modes }, file: path, socket: path },
});

export const CLOUD_HYPERVISOR_CONFIGURATION = {
  type: "object",
  additionalProperties: false,
  required: ["payload", "cpus", "memory"],
  properties: {
    payload: {
      type: "object",
      additionalProperties: false,
      required: ["kernel"],
      properties: { kernel: path, initramfs: path, cmdline: { type: "string", maxLength: 2047 } },
    },
    cpus: {
      type: "object",
      additionalProperties: false,
      required: ["boot_vcpus"],
      properties: {
        boot_vcpus: { type: "integer", minimum: 1, maximum: 255 },
        max_vcpus: { type: "integer", minimum: 1, maximum: 255 },
      },
    },
    memory: {
      type: "object",
      additionalProperties: false,
      required: ["size"],
      properties: { size: { type: "integer", minimum: 1 }, shared: { type: "boolean" } },
    },
    balloon: {
      type: "object",
      additionalProperties: false,
      required: ["size"],
      properties: {
        size: { type: "integer", minimum: 0 },
        deflate_on_oom: { type: "boolean" },
        free_page_reporting: { type: "boolean" },
      },
    },
    disks: {
      type: "array",
      items: {
        type: "object",
        additionalProperties: false,
        required: ["path"],
        properties: {
          path,
          readonly: { type: "boolean" },
          // virtio-blk's VIRTIO_BLK_ID_BYTES.
          serial: { type: "string", minLength: 1, maxLength: 20 },
          image_type: { enum: ["fixedvhd", "qcow2", "raw", "vhdx"] },
        },
      },
    },
    net: {
      type: "array",
      items: {
        type: "object",
        additionalProperties: false,
        required: ["tap"],
        properties: {
          tap: { type: "string", minLength: 1, maxLength: 15 },
          mac: { type: "string", pattern: "^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$" },
        },
      },
    },
    fs: {
      type: "array",
      items: {
        type: "object",
        additionalProperties: false,
        required: ["tag", "socket"],
        properties: {
          tag: { type: "string", minLength: 1, maxLength: 36 },
          socket: { ...path, maxLength: 107 },
        },
      },
    },
    vsock: {
      type: "object",
      additionalProperties: false,
      required: ["cid", "socket"],
      properties: {
        cid: { type: "integer", minimum: 3, maximum: 0xffff_ffff },
        socket: { ...path, maxLength: 107 },
      },
    },
    serial: mode("Off", "Null", "Pty", "Tty", "File", "Socket"),
    console: mode("Off", "Null", "Pty", "Tty", "File"),
  },
} as const;
