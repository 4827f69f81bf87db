"""Writes the wheel pytest-pidleak: the same bytes for the same parts. Standard library alone, and binutils.

Usage: build_wheel.py --version VERSION --machine x86_64 --strip STRIP --programs DIRECTORY
                      --library libpidleak.so.1 --adapters DIRECTORY --license FILE --output DIRECTORY
"""
import argparse
import base64
import hashlib
import os
import re
import subprocess
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ["pidleak", "pidleak-cli", "pidleak-subject", "pidleak-worker", "pidleak-fork-server", "pidleak-tracker"]
MOMENT = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can have

METADATA = """Metadata-Version: 2.1
Name: pytest-pidleak
Version: %s
Summary: A test that leaves a process behind fails, and says why the process is still there
License: %s
Classifier: Framework :: Pytest
Classifier: Operating System :: POSIX :: Linux
Requires-Python: >=3.8
Requires-Dist: pytest>=7.0
Description-Content-Type: text/markdown

%s"""


def tag_of(options):
    """By the newest version of glibc's symbols that the library needs."""
    versions = subprocess.run(["readelf", "--version-info", options.library], check=True, stdout=subprocess.PIPE).stdout.decode()
    newest = max(tuple(map(int, found)) for found in re.findall(r"GLIBC_(\d+)\.(\d+)", versions))
    return "py3-none-manylinux_%d_%d_%s" % (newest + (options.machine,))


def stripped(path, options):
    with tempfile.TemporaryDirectory() as directory:
        copy = os.path.join(directory, "stripped")
        subprocess.run([options.strip, "-o", copy, path], check=True)
        return read(copy)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def parts(options, tag):
    """Name, bytes, and whether it is a program, of everything but the list of it all."""
    for package in ("pidleak", "pytest_pidleak"):
        for name in sorted(os.listdir(os.path.join(HERE, package))):
            if name.endswith(".py"):
                yield "%s/%s" % (package, name), read(os.path.join(HERE, package, name)), False
    yield "pidleak/libpidleak.so.1", stripped(options.library, options), False
    for name in PROGRAMS:
        yield "pidleak/programs/" + name, stripped(os.path.join(options.programs, name), options), True
    for name in sorted(os.listdir(options.adapters)):
        if name.endswith((".py", ".js")):
            yield "pidleak/programs/adapters/" + name, read(os.path.join(options.adapters, name)), False
    about = "pytest_pidleak-%s.dist-info/" % options.version
    license_text = read(options.license)
    readme = read(os.path.join(HERE, "README.md")).decode()
    name_of_license = license_text.decode().split(" License", 1)[0]
    yield about + "METADATA", (METADATA % (options.version, name_of_license, readme)).encode(), False
    yield about + "WHEEL", ("Wheel-Version: 1.0\nGenerator: pidleak\nRoot-Is-Purelib: false\nTag: %s\n" % tag).encode(), False
    yield about + "entry_points.txt", b"[pytest11]\npidleak = pytest_pidleak.plugin\n", False
    yield about + "LICENSE", license_text, False


def main():
    parser = argparse.ArgumentParser()
    for name in ("version", "machine", "strip", "programs", "library", "adapters", "license", "output"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    tag = tag_of(options)
    os.makedirs(options.output, exist_ok=True)
    path = os.path.join(options.output, "pytest_pidleak-%s-%s.whl" % (options.version, tag))
    record = "pytest_pidleak-%s.dist-info/RECORD" % options.version
    lines = []
    with zipfile.ZipFile(path + ".new", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as wheel:

        def add(name, data, is_program):
            info = zipfile.ZipInfo(name, MOMENT)
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
            info.external_attr = (0o100755 if is_program else 0o100644) << 16
            wheel.writestr(info, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append("%s,sha256=%s,%d\n" % (name, digest, len(data)))

        for name, data, is_program in parts(options, tag):
            add(name, data, is_program)
        add(record, ("".join(lines) + record + ",,\n").encode(), False)
    os.replace(path + ".new", path)
    print(path)


if __name__ == "__main__":
    main()
