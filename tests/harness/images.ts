export async function ensureImage(name: string): Promise<{ archive: string; reference: string }> {
  if (name !== "busybox") throw new Error(`no image ${name} yet`);
  return { archive: "/tmp/bbarchive.tar", reference: "urunc-test/busybox:latest" };
}
