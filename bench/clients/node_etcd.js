// node-etcd. The same talk as measure.py. Callbacks; as many calls at once as the order has workers.
"use strict";
const fs = require("fs");
const readline = require("readline");
const { createRequire } = require("module");

const home = process.argv[2];
const order = JSON.parse(process.argv[3]);
const load = createRequire(home + "/");
const Etcd = load("node-etcd");
const etcd = new Etcd(order.url, order.ca ? { ca: fs.readFileSync(order.ca) } : {});

// The clock of Python's time.monotonic_ns().
const since = (stamp) => Number(process.hrtime.bigint() - BigInt(stamp)) / 1e9;

function meter() {
  const start = process.hrtime.bigint();
  const before = process.cpuUsage();
  return (calls, more) => {
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    const used = process.cpuUsage(before);
    return { calls, seconds, cpu: (used.user + used.system) / 1e6, ...more };
  };
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

// `next` starts a call and returns false when there is nothing more to do.
function repeat(next, seconds, workers, done) {
  const stop = meter();
  const end = performance.now() + seconds * 1000;
  let calls = 0;
  let running = workers;
  const work = () => {
    const more = performance.now() < end && next((error, body) => {
      if (error) fail(error);
      calls += 1;
      work();
    });
    if (!more && --running === 0) done(stop(calls));
  };
  for (let i = 0; i < workers; i += 1) work();
}

function walk(node) {
  let leaves = 0;
  let length = 0;
  for (const child of node.nodes || []) {
    if (child.dir) {
      const below = walk(child);
      leaves += below[0];
      length += below[1];
    } else {
      leaves += 1;
      length += child.value.length;
    }
  }
  return [leaves, length];
}

function watch(said, done) {
  const stop = meter();
  const delays = [];
  const watcher = etcd.watcher(order.key, said.after + 1, { recursive: true });
  watcher.on("change", (change) => {
    delays.push(since(change.node.value));
    if (delays.length === said.events) {
      const figures = stop(delays.length, { delays });
      watcher.stop();
      done(figures);
    }
  });
  watcher.on("error", fail);
}

// Values are "number nanoseconds"; a number below 0 ends it. The watcher goes on by itself, also where events are lost.
function follow(said, done) {
  const stop = meter();
  const seen = [];
  const delays = [];
  let resyncs = 0;
  const watcher = etcd.watcher(order.key, said.after + 1, { recursive: true });
  watcher.on("resync", () => { resyncs += 1; });
  watcher.on("error", () => {});
  watcher.on("change", (change) => {
    const [number, stamp] = change.node.value.split(" ");
    if (Number(number) >= 0) {
      delays.push(since(stamp));
      seen.push(Number(number));
      if (seen.length !== said.events) return;
    }
    watcher.stop();
    done(stop(seen.length, { seen, delays, said: resyncs ? `${resyncs} x "resync", then it went on` : "" }));
  });
}

function measure(seconds, said, done) {
  const get = (callback) => { etcd.get(order.key, callback); return true; };
  switch (order.case) {
    case "get": case "tls": case "threads": case "async":
      return repeat(get, seconds, order.workers, done);
    case "set":
      return repeat((callback) => { etcd.set(order.key, order.value, callback); return true; }, seconds, 1, done);
    case "load": {
      let number = 0;
      return repeat((callback) => {
        if (number >= order.keys) return false;
        etcd.set(`${order.key}/k${String(number++).padStart(6, "0")}`, order.value, callback);
        return true;
      }, seconds, order.workers, done);
    }
    case "tree":
      return repeat((callback) => {
        etcd.get(order.key, { recursive: true }, (error, body) => {
          if (error) return callback(error);
          const [leaves, length] = walk(body.node);
          const right = leaves === order.keys && length === leaves * order.value.length;
          return callback(right ? null : new Error(`saw ${leaves} leaves with ${length} characters`));
        });
        return true;
      }, seconds, 1, done);
    case "delay": case "burst":
      return watch(said, done);
    case "loaded": case "complete": case "quiet":
      return follow(said, done);
    default:
      return fail(new Error(order.case));
  }
}

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

function serve() {
  const versions = { node: process.versions.node, "node-etcd": load("node-etcd/package.json").version };
  say({ ready: true, versions });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => measure(order.seconds, JSON.parse(line), say));
  lines.on("close", () => process.exit(0));
}

if (order.warm > 0) measure(order.warm, {}, serve);
else serve();
