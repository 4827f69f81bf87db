"""The app of the WSGI servers."""

import gate

gate.started()


def app(environ, start_response):
    body = gate.answer(environ["PATH_INFO"]).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


application = app  # as uWSGI calls it
