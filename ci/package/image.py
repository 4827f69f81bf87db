"""Makes an OCI image layout of a release's programs: image-spec 1.1, one layer an architecture.

    python3 ci/package/image.py DIRECTORY-OF-THE-RELEASE DIRECTORY-OF-THE-LAYOUT

The same release gives the same bytes.
"""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}  # ours, and the specification's
MEDIA = "application/vnd.oci.image."


def programs_of(archive):
    """What the archive has of each program, its bytes, and the first name that these had: some have several."""
    with tarfile.open(archive) as release:
        return [(m, release.extractfile(m).read(), os.path.basename(m.linkname)) for m in release
                if not m.isdir() and re.search(r"/(bin|libexec/pidleak)/pidleak[a-z-]*$", m.name)]


def layer_of(programs):
    """Below /, so that `COPY --from=pidleak /pidleak* /` takes them all, and `/pidleak` is enough for an init."""
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w", format=tarfile.USTAR_FORMAT) as layer:
        for member, data, linked in programs:
            entry = tarfile.TarInfo(os.path.basename(member.name))
            entry.mode, entry.mtime = 0o755, member.mtime
            if member.islnk():
                entry.type, entry.linkname = tarfile.LNKTYPE, linked
            else:
                entry.size = len(data)
            layer.addfile(entry, io.BytesIO(data))
    return text.getvalue()


class Layout:
    def __init__(self, directory):
        shutil.rmtree(directory, ignore_errors=True)
        self.blobs = os.path.join(directory, "blobs", "sha256")
        os.makedirs(self.blobs)
        self.directory = directory

    def blob(self, media, data):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.blobs, digest), "wb") as file:
            file.write(data)
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    def document(self, media, content):
        return self.blob(media, json.dumps(content, sort_keys=True).encode())

    def write(self, name, content):
        with open(os.path.join(self.directory, name), "w") as file:
            json.dump(content, file, indent=2)


def main(release, directory):
    layout, manifests = Layout(directory), []
    for name in sorted(os.listdir(release)):
        archive = re.fullmatch(r"pidleak-([0-9.]+)-linux-(\w+)\.tar\.gz", name)
        if not archive:
            continue
        version, architecture = archive[1], ARCHITECTURES[archive[2]]
        plain = layer_of(programs_of(os.path.join(release, name)))
        layer = layout.blob(f"{MEDIA}layer.v1.tar+gzip", gzip.compress(plain, 9, mtime=0))
        config = layout.document(f"{MEDIA}config.v1+json", {
            "architecture": architecture, "os": "linux",
            "config": {"Entrypoint": ["/pidleak"], "Cmd": ["--help"],
                       "Labels": {"org.opencontainers.image.title": "pidleak",
                                  "org.opencontainers.image.version": version,
                                  "org.opencontainers.image.licenses": "MIT"}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]}})
        manifest = layout.document(f"{MEDIA}manifest.v1+json", {
            "schemaVersion": 2, "mediaType": f"{MEDIA}manifest.v1+json", "config": config, "layers": [layer]})
        manifests.append({**manifest, "platform": {"architecture": architecture, "os": "linux"}})
        print(f"{architecture}: {layer['size'] / 1e6:.1f} MB", file=sys.stderr)
    if not manifests:
        sys.exit(f"image.py: there is no pidleak-VERSION-linux-ARCH.tar.gz in {release}: ci/release makes them")
    index = layout.document(f"{MEDIA}index.v1+json", {
        "schemaVersion": 2, "mediaType": f"{MEDIA}index.v1+json", "manifests": manifests})
    layout.write("index.json", {"schemaVersion": 2, "manifests": [
        {**index, "annotations": {"org.opencontainers.image.ref.name": "pidleak"}}]})
    layout.write("oci-layout", {"imageLayoutVersion": "1.0.0"})


if len(sys.argv) != 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
