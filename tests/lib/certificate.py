"""Certificates for tests, made by the real openssl."""

import os
import subprocess


class Certificate:
    """One for localhost and 127.0.0.1, signed by itself, in `NAME.pem` and `NAME.key`."""

    def __init__(self, folder, name="index", days=30, kind="ec"):
        self.certificate = os.path.join(folder, name + ".pem")
        self.key = os.path.join(folder, name + ".key")
        kinds = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["rsa:2048"]}
        openssl("req", "-x509", "-newkey", *kinds[kind], "-nodes", "-keyout", self.key,
                "-out", self.certificate, "-days", str(days), "-subj", "/CN=" + name,
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1")
        os.chmod(self.key, 0o600)

    @property
    def options(self):
        return ("--tls-cert", self.certificate, "--tls-key", self.key)


def openssl(*args, input=b"", timeout=20, check=True):
    """What it wrote, as a CompletedProcess of bytes."""
    done = subprocess.run(["openssl", *args], input=input, capture_output=True, timeout=timeout,
                          check=False)
    assert not check or done.returncode == 0, done.stderr.decode()
    return done
