"""A service whose requests are done by a ProcessPoolExecutor: executor.py PORT WORKERS."""

import http.server
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import gate

PORT, WORKERS = int(sys.argv[1]), int(sys.argv[2])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            body, status = pool.submit(gate.answer, self.path).result().encode(), 200
        except Exception as error:  # BrokenProcessPool
            body, status = repr(error).encode(), 500
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def meet(number):
    """Returns once as many workers are in it: the pool starts one only if none is idle."""
    gate.started()
    while gate.count_started() < number:
        time.sleep(0.01)


pool = ProcessPoolExecutor(WORKERS)
for future in [pool.submit(meet, WORKERS) for _ in range(WORKERS)]:
    future.result()
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
