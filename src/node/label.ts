import { readFileSync } from "node:fs";
import { join } from "node:path";
import { UruncError } from "../errors.ts";

/** What the RuntimeClass chooses nodes by. */
export const NODE_LABEL = "com.urunc/ready";

/** Where Kubernetes puts a pod's token and its authority's certificate. */
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * Sets the label of the node that this pod is on (`NODE_NAME`), or takes it away, by the API of Kubernetes as a pod
 * reaches it.
 *
 * @throws UruncError `usage`: this is no pod; `network`: the API does not do it
 */
export async function labelNode(
  ready: boolean,
  environment: NodeJS.ProcessEnv = process.env,
  account = ACCOUNT,
): Promise<void> {
  const {
    NODE_NAME: node,
    KUBERNETES_SERVICE_HOST: host,
    KUBERNETES_SERVICE_PORT: port = "443",
  } = environment;
  if (!node || !host) {
    throw new UruncError(
      "usage",
      "--label works in a pod of Kubernetes whose NODE_NAME is the node's name: elsewhere use kubectl label node",
    );
  }
  const address = host.includes(":") ? `[${host}]` : host;
  const url = `https://${address}:${port}/api/v1/nodes/${encodeURIComponent(node)}`;
  const answer = await answerOf(url, account, {
    metadata: { labels: { [NODE_LABEL]: ready ? "true" : null } },
  });
  if (answer.ok) return;
  const why = (await answer.text()).slice(0, 300);
  throw new UruncError("network", `the node ${node} cannot be labelled: ${answer.status} ${why}`);
}

async function answerOf(url: string, account: string, patch: unknown): Promise<Response> {
  try {
    return await fetch(url, {
      method: "PATCH",
      headers: {
        authorization: `Bearer ${readFileSync(join(account, "token"), "utf8").trim()}`,
        "content-type": "application/merge-patch+json",
      },
      body: JSON.stringify(patch),
      tls: { ca: readFileSync(join(account, "ca.crt"), "utf8") },
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UruncError("network", `the API of Kubernetes at ${url} does not answer: ${why}`, { cause });
  }
}
