"""The example of pidleak(3), through the package pidleak."""
import subprocess

import pidleak

with pidleak.Session(grace=0.2) as session, session.mark("the step") as mark:
    child = subprocess.Popen(["sleep", "600"])
    findings = mark.check()
    assert findings.leaked and [process["pid"] for process in findings.processes] == [child.pid]
    print(findings.text)
    assert mark.end() and not mark.check().leaked
    child.wait()
try:
    pidleak.Session(grace=-1)
    raise AssertionError("a negative grace was taken")
except pidleak.Error as error:
    assert error.code == 1 and "grace_ms" in str(error), error
