"""The app of the ASGI servers. It blocks as a handler does that forgets to await."""

import gate

gate.started()


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = gate.answer(scope["path"]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
