"""docs/kubernetes.yaml: its parts fit each other and the image, and the index takes its environment,
its keys and its probes. There is no cluster here: what Kubernetes itself makes of it is not tried."""

import os
import re
import tempfile
import unittest
import urllib.request

import yaml

from tests.lib import index as process
from tests.lib.compose import stages
from tests.lib.index import ROOT, Index, clean_environment
from tests.lib.keys import new_key


def options():
    """The names in the environment of all that --help tells of."""
    names = re.findall(r"^  --([a-z-]+)", process.run("--help").stdout, re.M)
    return {"SIGNPOST_" + name.upper().replace("-", "_") for name in names}


class TestKubernetes(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(ROOT, "docs", "kubernetes.yaml"), encoding="utf-8") as file:
            self.objects = {each["kind"]: each for each in yaml.safe_load_all(file)}
        self.deployment = self.objects["Deployment"]["spec"]
        self.pod = self.deployment["template"]["spec"]
        self.container, = self.pod["containers"]
        self.image = dict(word.split("=") for word in stages()[None]["ENV"].split())
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def environment(self, keys):
        """Its own, with the mount of the keys as a folder of the test."""
        mount = next(mount["mountPath"] for mount in self.container["volumeMounts"]
                     if mount["name"] == "keys")
        for name, text in keys.items():
            path = os.path.join(self.folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o440)
        return {each["name"]: re.sub(f"^{mount}/", self.folder + "/", each["value"])
                for each in self.container["env"]}

    def test_parts_name_each_other(self):
        labels = self.deployment["template"]["metadata"]["labels"]
        self.assertEqual(self.deployment["selector"]["matchLabels"], labels)
        service = self.objects["Service"]["spec"]
        self.assertEqual(service["selector"], labels)
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        self.assertIn(service["ports"][0]["targetPort"], ports)
        volumes = {volume["name"]: volume for volume in self.pod["volumes"]}
        self.assertEqual({mount["name"] for mount in self.container["volumeMounts"]}, set(volumes))
        self.assertEqual(volumes["data"]["persistentVolumeClaim"]["claimName"],
                         self.objects["PersistentVolumeClaim"]["metadata"]["name"])
        self.assertEqual(volumes["keys"]["secret"]["secretName"],
                         self.objects["Secret"]["metadata"]["name"])

    def test_it_fits_the_image(self):
        listens = {"http": self.image["SIGNPOST_LISTEN"],
                   "ops": self.environment({})["SIGNPOST_OPS_LISTEN"]}
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        self.assertEqual(ports, {name: int(listen.rpartition(":")[2])
                                 for name, listen in listens.items()})
        mounts = {mount["name"]: mount["mountPath"] for mount in self.container["volumeMounts"]}
        self.assertEqual(mounts["data"], os.path.dirname(self.image["SIGNPOST_DB"]))
        self.assertEqual(mounts["data"], stages()[None]["VOLUME"])
        user, group = map(int, stages()[None]["USER"].split(":"))
        context = self.pod["securityContext"]
        self.assertEqual((context["runAsUser"], context["runAsGroup"]), (user, group))
        version = process.run("--version").stdout.split()[1]
        self.assertEqual(self.container["image"], "signpost:" + version)

    def test_only_one_pod_has_the_database(self):
        self.assertEqual(self.deployment["replicas"], 1)
        self.assertEqual(self.deployment["strategy"], {"type": "Recreate"})
        self.assertIs(self.pod["enableServiceLinks"], False)

    def test_names_of_the_environment_are_options(self):
        self.assertEqual({*self.environment({}), *self.image} - options(), set())

    def test_without_a_key_it_says_what_is_missing(self):
        secret = self.objects["Secret"]["stringData"]
        done = process.run(env=clean_environment(**{**self.image, **self.environment(secret)}))
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("there is no key in it", done.stderr)

    def test_index_takes_its_environment_and_answers_the_probes(self):
        secret = self.objects["Secret"]["stringData"]
        keys = {name: text + new_key("default")[1] + "\n" for name, text in secret.items()}
        # In JSON there is no `ready` as the helper of the tests reads it, and the port may be taken.
        environment = {**self.environment(keys), "SIGNPOST_LOG_FORMAT": "text",
                       "SIGNPOST_OPS_LISTEN": "127.0.0.1:0"}
        with Index(env=environment) as index:
            port = int(re.search(r"ops_listening address=127.0.0.1 port=(\d+)", index.log())[1])
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                get = self.container[probe]["httpGet"]
                self.assertEqual(get["port"], "ops")
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{get['path']}") as reply:
                    self.assertEqual(reply.status, 200, probe)
        image = {**self.image, "SIGNPOST_DB": os.path.join(self.folder, "signpost.db")}
        done = process.run("--check-config",
                           env=clean_environment(**image, **self.environment(keys)))
        self.assertEqual(done.returncode, 0, done)


if __name__ == "__main__":
    unittest.main()
