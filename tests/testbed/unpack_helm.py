"""Takes the helm binary out of an installed AWS CDK kubectl layer.

    unpack_helm.py SITE_PACKAGES BIN

The package carries a jsii tarball, in it package/lib/layer.zip, in it helm/helm.
"""
import io
import pathlib
import sys
import tarfile
import zipfile


def main(site: str, target: str) -> None:
    tarballs = list(pathlib.Path(site).glob("aws_cdk/*/_jsii/*.tgz"))
    if len(tarballs) != 1:
        raise SystemExit(f"expected one jsii tarball under {site}, found {tarballs}")
    with tarfile.open(tarballs[0]) as tarball:
        layer = tarball.extractfile("package/lib/layer.zip")
        if layer is None:
            raise SystemExit(f"{tarballs[0]} has no package/lib/layer.zip")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as archive:
            helm = archive.read("helm/helm")
    binary = pathlib.Path(target) / "helm"
    binary.parent.mkdir(parents=True, exist_ok=True)
    binary.write_bytes(helm)
    binary.chmod(0o755)


main(*sys.argv[1:])
