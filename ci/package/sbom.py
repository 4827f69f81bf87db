"""Writes the SBOM of a release, SPDX 2.3 as JSON: its files with their checksums, and what is linked into them, in the
versions that this machine has.

    python3 ci/package/sbom.py VERSION COMMIT SHA256SUMS
"""

import datetime
import hashlib
import json
import os
import subprocess
import sys

LINKED = {  # Debian's package: name, licence
    "libboost1.81-dev": ("Boost", "BSL-1.0"),
    "libcli11-dev": ("CLI11", "BSD-3-Clause"),
    "libfmt-dev": ("fmt", "MIT"),
    "nlohmann-json3-dev": ("nlohmann_json", "MIT"),
    "libstdc++-12-dev": ("libstdc++", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    "libc6-dev": ("glibc", "LGPL-2.1-or-later"),
}


def version_of(package):
    return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], check=True, capture_output=True,
                          text=True).stdout


def package(name, version, licence):
    return {"SPDXID": f"SPDXRef-{name.replace('_', '-').replace('+', 'x')}", "name": name, "versionInfo": version,
            "licenseConcluded": licence, "licenseDeclared": licence, "copyrightText": "NOASSERTION",
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False}


def file(name, checksum):
    return {"SPDXID": f"SPDXRef-File-{name.replace('_', '-')}", "fileName": f"./{name}",
            "checksums": [{"algorithm": "SHA256", "checksumValue": checksum}], "licenseConcluded": "NOASSERTION",
            "copyrightText": "NOASSERTION"}


def relation(one, kind, other):
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def main(version, commit, sums):
    with open(sums) as lines:
        text = lines.read()
    files = [file(name, checksum) for checksum, name in (line.split() for line in text.splitlines())]
    own = package("pidleak", f"{version} ({commit})", "MIT")
    linked = [package(name, version_of(debian), licence) for debian, (name, licence) in LINKED.items()]
    when = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    json.dump({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"pidleak-{version}",
        "documentNamespace": f"https://spdx.org/spdxdocs/pidleak-{version}-{hashlib.sha256(text.encode()).hexdigest()}",
        "creationInfo": {"created": when.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Organization: The pidleak authors"]},
        "packages": [own, *linked],
        "files": files,
        "relationships": [relation("SPDXRef-DOCUMENT", "DESCRIBES", own["SPDXID"]),
                          *(relation(own["SPDXID"], "STATIC_LINK", one["SPDXID"]) for one in linked),
                          *(relation(own["SPDXID"], "GENERATES", one["SPDXID"]) for one in files)],
    }, sys.stdout, indent=2)
    print()


main(*sys.argv[1:])
