// A webhook receiver on 127.0.0.1: node server.mjs probot|octokit PORT SECRET KEY_FILE. Its app wants new comments only.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const [, , kind, port, secret, keyFile] = process.argv;
const path = "/webhooks/github";

async function probot() {
  const { Probot, Server } = await import("probot");
  const privateKey = readFileSync(keyFile, "utf8");
  const server = new Server({
    Probot: Probot.defaults({ appId: 1, privateKey, secret, logLevel: process.env.LOG_LEVEL }),
    host: "127.0.0.1",
    port: Number(port),
    webhookPath: path,
  });
  await server.load((app) => app.on("issue_comment.created", () => {}));
  await server.start();
}

async function octokit() {
  const { Webhooks, createNodeMiddleware } = await import("@octokit/webhooks");
  const webhooks = new Webhooks({ secret });
  webhooks.on("issue_comment.created", () => {});
  createServer(createNodeMiddleware(webhooks, { path })).listen(Number(port), "127.0.0.1");
}

await { probot, octokit }[kind]();
