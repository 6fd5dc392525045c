# SPDX-License-Identifier: MIT
"""A certificate authority of the tests' own."""
import subprocess


class Authority:
    """Makes certificates with openssl(1)."""

    def __init__(self, folder):
        self.folder = folder
        self.cert = folder / "ca.pem"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")

    def openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)

    def issue(self, name, key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        """(certificate, key) as settings of the server; `name` is the certificate's common name."""
        (self.folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self.openssl("req", "-new", "-newkey", *key, "-nodes", "-keyout", f"{name}.key", "-out",
                     f"{name}.csr", "-subj", f"/CN={name}")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-CAcreateserial", "-days", "2", "-extfile", "san", "-out", f"{name}.pem")
        return {"cert_file": str(self.folder / f"{name}.pem"),
                "key_file": str(self.folder / f"{name}.key")}
