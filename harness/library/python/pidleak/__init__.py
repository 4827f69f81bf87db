"""Which processes has this one left behind, and why are they still there? libpidleak.so.1, for Python 3.8 and newer.

    with pidleak.Session(grace=1.0) as session, session.mark("the pool") as mark:
        run_the_pool()
        findings = mark.check()
        if findings.leaked:
            print(findings.text)
            mark.end()

`python -m pidleak VERB ...` runs the programs: see `python -m pidleak --help`. For pytest there is pytest_pidleak.
"""
from .library import Error, Findings, Mark, Session, note_child, version

__all__ = ["Error", "Findings", "Mark", "Session", "note_child", "version"]
