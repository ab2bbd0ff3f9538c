/**
 * What Firecracker takes as its configuration file, as a JSON schema: the members, types, bounds and required members that
 * its published API has (src/firecracker/swagger/firecracker.yaml, `FullVmConfiguration`) in version 1.7 and since, of the
 * devices that are used here. Firecracker refuses members that it does not know within each of them, and so does this;
 * what else it demands of them is in its documents, and named beside.
 */
const rateLimiter = false;

/** What Firecracker takes for an id of a device. */
const id = { type: "string", pattern: "^[A-Za-z0-9_]+$" } as const;
const path = { type: "string", pattern: "^/[^\0]*$" } as const;

export const FIRECRACKER_CONFIGURATION = {
  type: "object",
  additionalProperties: false,
  // Without an API there is nobody to give the first two later.
  required: ["boot-source", "drives", "machine-config"],
  properties: {
    "boot-source": {
      type: "object",
      additionalProperties: false,
      required: ["kernel_image_path"],
      properties: {
        kernel_image_path: path,
        initrd_path: path,
        boot_args: { type: "string", maxLength: 2047 },
      },
    },
    drives: {
      type: "array",
      items: {
        type: "object",
        additionalProperties: false,
        required: ["drive_id", "is_root_device", "is_read_only", "path_on_host"],
        properties: {
          drive_id: id,
          partuuid: { type: "string" },
          is_root_device: { type: "boolean" },
          cache_type: { enum: ["Unsafe", "Writeback"] },
          is_read_only: { type: "boolean" },
          path_on_host: path,
          io_engine: { enum: ["Sync", "Async"] },
          rate_limiter: rateLimiter,
        },
      },
    },
    "machine-config": {
      type: "object",
      additionalProperties: false,
      required: ["mem_size_mib", "vcpu_count"],
      properties: {
        vcpu_count: { type: "integer", minimum: 1, maximum: 32 },
        mem_size_mib: { type: "integer", minimum: 1 },
        smt: { type: "boolean" },
        track_dirty_pages: { type: "boolean" },
        huge_pages: { enum: ["None", "2M"] },
        cpu_template: { enum: ["C3", "T2", "T2S", "T2CL", "T2A", "V1N1", "None"] },
      },
    },
    "network-interfaces": {
      type: "array",
      items: {
        type: "object",
        additionalProperties: false,
        required: ["host_dev_name", "iface_id"],
        properties: {
          iface_id: id,
          // IFNAMSIZ, with its end.
          host_dev_name: { type: "string", minLength: 1, maxLength: 15 },
          guest_mac: { type: "string", pattern: "^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$" },
          rx_rate_limiter: rateLimiter,
          tx_rate_limiter: rateLimiter,
        },
      },
    },
    vsock: {
      type: "object",
      additionalProperties: false,
      required: ["guest_cid", "uds_path"],
      properties: {
        guest_cid: { type: "integer", minimum: 3, maximum: 0xffff_ffff },
        uds_path: { ...path, maxLength: 107 },
        vsock_id: { type: "string" },
      },
    },
  },
} as const;
