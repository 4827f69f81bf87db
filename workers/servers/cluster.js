// The app of Node's cluster: cluster.js PORT WORKERS. A worker reads the driver's gate, a FIFO, to its end where it is
// asked to. The primary starts another worker for each that ends.
const cluster = require('cluster');
const fs = require('fs');
const http = require('http');

const directory = process.env.PIDLEAK_DIR;
const [port, workers] = process.argv.slice(2).map(Number);

if (cluster.isPrimary ?? cluster.isMaster) {
  for (let i = 0; i < workers; ++i) cluster.fork();
  cluster.on('exit', () => cluster.fork());
} else {
  const server = http.createServer((request, response) => {
    if (request.url.startsWith('/block')) fs.readFileSync(`${directory}/gate`);
    if (request.url === '/block-allocate') Buffer.alloc(384 << 20, 'x');
    response.end(`${process.pid}\n`);
  });
  server.listen(port, '127.0.0.1', () => fs.writeFileSync(`${directory}/started-${process.pid}`, ''));
}
