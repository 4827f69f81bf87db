"""The app of celery; as a program, what asks it: tasks.py PATH."""

import sys

import celery

import gate

app = celery.Celery("tasks", broker="redis://127.0.0.1:6379/0", backend="redis://127.0.0.1:6379/0")


@app.task(name="answer")
def answer(path):
    return gate.answer(path)


if __name__ == "__main__":
    sys.stdout.write(answer.delay(sys.argv[1]).get())
