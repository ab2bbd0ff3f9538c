// The main job: a real redis, unmodified, as a virtual machine, asked over its network.
import { imageReference, startLoadedDocker } from "../tests/harness/loaded-docker.ts";
import { makeDist } from "./make-dist.ts";
import { installDebianPackages, requireRoot } from "./setup.ts";
import { fail, say } from "./terminal.ts";

requireRoot("npm start", ["build", "run", "test"]);
await installDebianPackages(["build", "run", "test"]);
await makeDist();

say("starting a Docker of its own, with the runtime urunc");
const docker = await startLoadedDocker("start", ["redis", "debian"]);
let failure: unknown;
try {
  await serve();
} catch (error) {
  failure = error;
} finally {
  await docker.stop();
}
if (failure !== undefined) fail(`redis did not serve: ${(failure as Error).message}`);

async function serve(): Promise<void> {
  say(`docker run --runtime urunc ${imageReference("redis")}`);
  const began = performance.now();
  const id = await docker.succeed(["run", "--detach", "--runtime", "urunc", imageReference("redis")]);
  const address = await docker.succeed([...["inspect", "--format", "{{.NetworkSettings.IPAddress}}", id]]);
  const answer = await ping(address);
  const milliseconds = Math.round(performance.now() - began);
  console.log(`redis at ${address}:6379 answers PING: ${answer}`);
  console.log(`from start to ready: ${(milliseconds / 1000).toFixed(2)} s`);
  // The image of redis has nothing else in it: another machine says what both run on.
  const uname = ["run", "--rm", "--runtime", "urunc", imageReference("debian"), "uname", "-a"];
  console.log(`a guest's uname -a: ${await docker.succeed(uname)}`);
  await docker.succeed(["stop", id]);
  console.log("stopped");
}

/** Asks until there is an answer: redis is ready some time after its machine has started. */
async function ping(address: string): Promise<string> {
  const end = performance.now() + 60_000;
  const ask = [
    "bash",
    "-c",
    `exec 3<>/dev/tcp/${address}/6379; printf 'PING\\r\\n' >&3; IFS= read -r -t 5 a <&3; echo "$a"`,
  ];
  for (;;) {
    const child = Bun.spawn(docker.inNetwork(ask), { stdout: "pipe", stderr: "ignore" });
    const answer = (await new Response(child.stdout).text()).trim();
    if (answer.startsWith("+")) return answer.slice(1);
    if (performance.now() > end) throw new Error("no answer to PING within a minute");
    await Bun.sleep(20);
  }
}
