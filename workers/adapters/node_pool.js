// A pool of Node's child processes, as an engineer would write it, as a subject of pidleak.
//
// fork(3) of Node starts a new interpreter: its start method is spawn. A worker that dies is not replaced; shutdown asks
// each worker over its channel to leave, and waits until all have.
'use strict';
const { fork } = require('child_process');
const fs = require('fs');
const path = require('path');
const readline = require('readline');

// --- a worker ---------------------------------------------------------------------------------------------------------

/** Tells the driver where this process is, and does what it orders there. Blocks, as a task that computes would. */
function runTask(number, channel) {
  const report = (event) => fs.writeFileSync(path.join(channel, 'events'), JSON.stringify(event) + '\n', { flag: 'a' });
  report({ event: 'at', point: 'in-task', task: number, pid: process.pid });
  const gate = fs.openSync(path.join(channel, `gate-${number}`), 'r');
  const bytes = Buffer.alloc(64);
  let order = '';
  while (!order.includes('\n')) order += bytes.toString('utf8', 0, fs.readSync(gate, bytes));
  fs.closeSync(gate);
  const [what, size] = order.trim().split(' ');
  if (what === 'allocate') {
    Buffer.alloc(Number(size) << 20, 1);
    report({ event: 'survived', pid: process.pid });
  }
  return '.'.repeat(what === 'finish' && size ? Number(size) : 0);
}

function work() {
  process.on('message', (message) => {
    if (message.leave) process.exit(0);
    process.send({ done: message.task, result: runTask(message.task, message.channel) });
  });
}

// --- the pool ---------------------------------------------------------------------------------------------------------

class Pool {
  constructor(size) {
    this.waiting = [];
    this.workers = Array.from({ length: size }, () => this.start());
    this.leaving = false;
  }

  start() {
    const worker = fork(__filename, ['worker'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    worker.on('message', () => {
      worker.busy = false;
      this.dispatch();
    });
    worker.on('exit', (status, signal) => {
      worker.gone = true;
      say('worker_exited', { pid: worker.pid, ...(signal ? { signal: require('os').constants.signals[signal] } : { status }) });
      this.dispatch();
    });
    return worker;
  }

  submit(task) {
    this.waiting.push(task);
    this.dispatch();
  }

  dispatch() {
    for (const worker of this.workers) {
      if (worker.gone || worker.busy) continue;
      if (this.waiting.length > 0) {
        worker.busy = true;
        worker.send(this.waiting.shift());
      } else if (this.leaving) {
        worker.busy = true;
        worker.send({ leave: true });
      }
    }
    if (this.leaving && this.workers.every((worker) => worker.gone)) this.left();
  }

  shutDown() {
    return new Promise((resolve) => {
      this.left = resolve;
      this.leaving = true;
      this.dispatch();
    });
  }
}

// --- the subject ------------------------------------------------------------------------------------------------------

function say(event, fields = {}) {
  fs.writeSync(1, JSON.stringify({ event, ...fields }) + '\n');
}

function serve() {
  let pool, channel;
  say('hello', {
    protocol: 1,
    pool: 'child_process.fork',
    version: process.versions.node,
    start_methods: ['spawn'],
    dispositions: ['default', 'handler'], // Node can neither ignore nor block a signal
    runtime_handles_sigterm: true, // to restore the terminal
    handlers_registered: ['run-time'],
    allocates: true,
  });
  const commands = {
    create_pool(command) {
      if (command.sigterm === 'handler') process.on('SIGTERM', () => {});
      channel = command.channel;
      pool = new Pool(command.workers);
      say('pool_created', { workers: pool.workers.map((worker) => worker.pid) });
    },
    submit({ first_task, count }) {
      for (let task = first_task; task < first_task + count; ++task) pool.submit({ task, channel });
      say('submitted');
    },
    async shutdown() {
      say('shutdown_called');
      await pool.shutDown();
      say('shutdown_returned');
    },
    allocate({ mebibytes }) {
      Buffer.alloc(mebibytes << 20, 1);
    },
    exit() {
      process.exit(0);
    },
  };
  readline
    .createInterface({ input: process.stdin })
    .on('line', (line) => {
      const command = JSON.parse(line);
      commands[command.command](command);
    })
    .on('close', () => process.exit(0));
}

if (process.argv[2] === 'worker') work();
else serve();
