"""Where a caller is observed to be, and what it may announce. A trusted proxy on loopback lets
one machine play callers from anywhere."""

from tests.lib.case import IndexCase, some_id
from tests.lib.raw import RawSocket, request_bytes

PUBLIC = "203.0.113.9"
PUBLIC_TOO = "203.0.113.20"
PUBLIC_6 = "2001:db8::9"


def from_address(address):
    return {"X-Forwarded-For": address}


class AddressCase(IndexCase):
    def announce(self, *endpoints, caller=None):
        """Registers a node with `endpoints`, as `caller` where given."""
        return self.client.post(
            "/register", {"id": some_id(), "network": self.network, "endpoints": list(endpoints)},
            headers=from_address(caller) if caller else None)

    def observed(self, **headers):
        reply = self.client.post("/register", {"network": self.network},
                                 headers={k.replace("_", "-"): v for k, v in headers.items()})
        self.assertEqual(reply.status, 201, reply)
        return reply["you"]["address"]

    def assertAnnounces(self, endpoint, resolved, caller=None):
        reply = self.announce(endpoint, caller=caller)
        self.assertEqual((reply.status, reply.json().get("endpoints")), (201, [resolved]), reply)

    def assertRefuses(self, *endpoints, caller=None):
        self.assertProblem(self.announce(*endpoints, caller=caller),
                           400, "bad_endpoint", "bad_request", "bad_json")


class TestEndpoints(AddressCase):
    def test_endpoint_without_host_is_the_observed_address(self):
        for host in ("", "0.0.0.0", "[::]"):
            with self.subTest(host=host):
                self.assertAnnounces(f"grpc://{host}:50051", "grpc://127.0.0.1:50051")

    def test_endpoint_private_or_loopback_is_taken_as_it_is(self):
        for host in ("10.1.2.3", "172.16.0.1", "192.168.1.1", "[fd00::1]", "127.0.0.1", "[::1]"):
            with self.subTest(host=host):
                self.assertAnnounces(f"udp://{host}:4000", f"udp://{host}:4000")

    def test_endpoints_of_all_schemes_and_ports_are_taken(self):
        endpoints = [f"{scheme}://10.0.0.1:{port}" for scheme in ("tcp", "grpc", "signpost")
                     for port in (1, 4000, 65535)]
        reply = self.announce(*endpoints)
        self.assertEqual((reply.status, reply["endpoints"]), (201, endpoints))

    def test_endpoints_that_are_many_are_refused(self):
        endpoints = [f"tcp://10.0.0.1:{port}" for port in range(1, 12)]
        self.assertEqual(self.announce(*endpoints[:10]).status, 201)
        self.assertRefuses(*endpoints)

    def test_endpoint_that_none_can_dial_is_refused(self):
        for host in ("224.0.0.1", "239.1.2.3", "[ff02::1]", "255.255.255.255", "169.254.1.1",
                     "[fe80::1]", "[::ffff:224.0.0.1]"):
            with self.subTest(host=host):
                self.assertRefuses(f"tcp://{host}:80")

    def test_endpoint_of_a_stranger_is_refused(self):
        for host in ("8.8.8.8", "[2606:4700::1111]", "example.org"):
            with self.subTest(host=host):
                self.assertRefuses(f"tcp://{host}:80")
                self.assertRefuses(f"tcp://{host}:80", caller=PUBLIC)

    def test_endpoint_that_is_none_is_refused(self):
        for endpoint in ("", "10.0.0.1:80", "tcp://", "tcp://10.0.0.1", "tcp://10.0.0.1:",
                         "tcp://10.0.0.1:0", "tcp://10.0.0.1:65536", "tcp://10.0.0.1:-1",
                         "tcp://10.0.0.1:80x", "tcp://10.0.0.1: 80", "tcp//10.0.0.1:80",
                         "://10.0.0.1:80", "tcp://user@10.0.0.1:80", "tcp://10.0.0.1:80\n",
                         "tcp://10.0.0.1:80\0", "tcp://[::1:80", "tcp://10.0.0.256:80",
                         "t p://10.0.0.1:80", "tcp://10.0.0.1:" + "0" * 400 + "80",
                         "x" * 400 + "://10.0.0.1:80"):
            with self.subTest(endpoint=endpoint[:40]):
                self.assertRefuses(endpoint)

    def test_endpoint_wrong_among_right_ones_refuses_all(self):
        self.assertRefuses("tcp://10.0.0.1:1", "nonsense", "tcp://10.0.0.1:2")
        self.assertNodes(self.list(), [])


class TestForwarded(AddressCase):
    arguments = ("--trust-proxy", "127.0.0.1/32")

    def test_caller_is_the_last_that_no_trusted_proxy_wrote(self):
        for header, address in (
                (PUBLIC, PUBLIC), (f"198.51.100.1, {PUBLIC}", PUBLIC),
                (f"{PUBLIC}, 127.0.0.1", PUBLIC), (f"1.2.3.4,  {PUBLIC} ,127.0.0.1", PUBLIC),
                (PUBLIC_6, PUBLIC_6), ("10.1.1.1", "10.1.1.1")):
            with self.subTest(header=header):
                self.assertEqual(self.observed(X_Forwarded_For=header), address)

    def test_caller_without_header_is_the_peer(self):
        self.assertEqual(self.observed(), "127.0.0.1")

    def test_caller_of_the_standard_header_is_understood(self):
        for header, address in ((f"for={PUBLIC}", PUBLIC), (f'for="[{PUBLIC_6}]:4711"', PUBLIC_6),
                                (f"for=198.51.100.1, for={PUBLIC};proto=https", PUBLIC)):
            with self.subTest(header=header):
                self.assertEqual(self.observed(Forwarded=header), address)

    def test_caller_and_port_are_read_in_every_form(self):
        for standard, text, address, port in (
                (False, f"{PUBLIC}:4711", PUBLIC, 4711), (False, f"[{PUBLIC_6}]", PUBLIC_6, 0),
                (False, f"[{PUBLIC_6}]:4711", PUBLIC_6, 4711), (False, PUBLIC_6, PUBLIC_6, 0),
                (False, f"::ffff:{PUBLIC}", PUBLIC, 0), (False, f"\t{PUBLIC}\t", PUBLIC, 0),
                *((False, f"{PUBLIC}:{none}", PUBLIC, 0) for none in ("65536", "-1", "x", "")),
                (True, f'for="{PUBLIC}:_hidden"', PUBLIC, 0),
                (True, f'FOR="{PUBLIC}:4711"', PUBLIC, 4711),
                (True, f'for="[{PUBLIC_6}]"', PUBLIC_6, 0),
                (True, f"by=127.0.0.1; proto=http ;for={PUBLIC}", PUBLIC, 0),
                (True, f'for={PUBLIC};by="_x,y"', "127.0.0.1", 0),
                (True, f'for={PUBLIC};host="a,for=6.6.6.6;x"', "127.0.0.1", 0),
                (True, f'for={PUBLIC};host="a;for=6.6.6.6"', "127.0.0.1", 0),
                (True, f'for={PUBLIC};host="a\\",for=6.6.6.6"', "127.0.0.1", 0)):
            with self.subTest(text=text):
                name = "Forwarded" if standard else "X-Forwarded-For"
                reply = self.client.post("/register", {"network": self.network},
                                         headers={name: text})
                self.assertEqual((reply["you"]["address"], reply["you"]["port"]), (address, port))

    def test_caller_that_cannot_be_read_is_the_proxy_that_wrote_it(self):
        for text in ("unknown", "_hidden", "", ",", f"{PUBLIC},", f"{PUBLIC}, unknown",
                     f"{PUBLIC}, ,", "999.1.1.1", PUBLIC + "x", f"[{PUBLIC_6}", f"[{PUBLIC}",
                     "1.2.3", "fe80::1%eth0", f"{PUBLIC}/32", "index.example",
                     f"{PUBLIC} {PUBLIC}"):
            with self.subTest(text=text):
                self.assertEqual(self.observed(X_Forwarded_For=text), "127.0.0.1")
                self.assertEqual(self.observed(Forwarded=f"for={text}"), "127.0.0.1")

    def test_caller_of_several_lines_is_in_the_last(self):
        for lines, address in (
                ((PUBLIC_TOO, PUBLIC), PUBLIC), ((PUBLIC, "127.0.0.1"), PUBLIC),
                ((PUBLIC, "127.0.0.1, 127.0.0.1", "127.0.0.1"), PUBLIC),
                ((PUBLIC, "unknown"), "127.0.0.1"), ((PUBLIC, "", PUBLIC_TOO), PUBLIC_TOO),
                ((PUBLIC_TOO, "x" * 1500, PUBLIC), PUBLIC), (("x" * 1018, PUBLIC), PUBLIC)):
            with self.subTest(lines=lines):
                with RawSocket(self.index) as connection:
                    connection.send(request_bytes("POST", "/register", {}, headers=[
                        "X-Forwarded-For: " + line for line in lines]))
                    self.assertEqual(connection.read_reply()["you"]["address"], address)

    def test_caller_of_a_header_that_is_cut_is_never_a_part_of_one(self):
        """The last 1,024 bytes are looked at: an address in the middle of the cut is none."""
        for pad in range(16):
            header = PUBLIC + "," + " " * pad + ",".join(["127.0.0.1"] * 101)
            with self.subTest(length=len(header)):
                self.assertIn(self.observed(X_Forwarded_For=header), (PUBLIC, "127.0.0.1"))

    def test_caller_of_a_header_that_is_nonsense_harms_nobody(self):
        for header in ("nonsense", "", ",,,", "999.1.1.1", "a" * 500, "[::1", PUBLIC + "x"):
            with self.subTest(header=header[:20]):
                reply = self.client.get("/healthz", headers=from_address(header))
                self.assertIn(reply.status, (200, 400))

    def test_caller_of_two_headers_that_disagree_gets_400(self):
        for standard, common in (
                (f"for={PUBLIC_TOO}", PUBLIC), (f"for={PUBLIC_6}", PUBLIC),
                (f"for={PUBLIC}, for={PUBLIC_TOO}", f"{PUBLIC_TOO}, {PUBLIC}"),
                ("for=unknown", PUBLIC), (f"for={PUBLIC}", "unknown")):
            with self.subTest(standard=standard, common=common):
                headers = {"Forwarded": standard, "X-Forwarded-For": common}
                self.assertProblem(self.client.get("/healthz", headers=headers),
                                   400, "bad_request")
                reply = self.client.post("/register", {"id": "victim", "network": self.network},
                                         headers=headers)
                self.assertProblem(reply, 400, "bad_request")
        self.assertNodes(self.list(), [])

    def test_caller_of_two_headers_that_agree_is_understood(self):
        for standard, common in (
                (f"for={PUBLIC}", PUBLIC), (f'for="{PUBLIC}:4711"', PUBLIC),
                (f"for=198.51.100.1, for={PUBLIC}", f"198.51.100.2, {PUBLIC}"),
                (f"for={PUBLIC}, for=127.0.0.1", PUBLIC)):
            with self.subTest(standard=standard, common=common):
                self.assertEqual(
                    self.observed(Forwarded=standard, X_Forwarded_For=common), PUBLIC)

    def test_family_of_the_caller_is_told(self):
        for address, family in ((PUBLIC, "ipv4"), (PUBLIC_6, "ipv6")):
            reply = self.announce(caller=address)
            self.assertEqual(reply["you"]["family"], family)

    def test_endpoint_of_ones_own_public_address_is_taken(self):
        self.assertAnnounces(f"tcp://{PUBLIC}:80", f"tcp://{PUBLIC}:80", caller=PUBLIC)
        self.assertAnnounces(f"tcp://[{PUBLIC_6}]:80", f"tcp://[{PUBLIC_6}]:80", caller=PUBLIC_6)
        self.assertAnnounces("tcp://:80", f"tcp://{PUBLIC}:80", caller=PUBLIC)
        self.assertAnnounces("tcp://:80", f"tcp://[{PUBLIC_6}]:80", caller=PUBLIC_6)

    def test_endpoint_of_another_public_address_is_refused(self):
        self.assertRefuses(f"tcp://{PUBLIC_TOO}:80", caller=PUBLIC)
        self.assertRefuses(f"tcp://[{PUBLIC_6}]:80", caller=PUBLIC)

    def test_endpoint_on_loopback_is_refused_from_elsewhere(self):
        for host in ("127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"):
            with self.subTest(host=host):
                self.assertRefuses(f"tcp://{host}:80", caller=PUBLIC)

    def test_endpoint_private_is_fine_from_elsewhere(self):
        self.assertAnnounces("tcp://192.168.1.5:80", "tcp://192.168.1.5:80", caller=PUBLIC)

    def test_endpoint_follows_the_observed_address(self):
        node = self.node("a", endpoints=["tcp://:80", "tcp://10.0.0.1:81"],
                         connection=self.connect(headers=from_address(PUBLIC)))
        self.assertEqual(node.reply["endpoints"], [f"tcp://{PUBLIC}:80", "tcp://10.0.0.1:81"])
        beat = node.client.post("/heartbeat", {}, headers=from_address(PUBLIC_TOO))
        self.assertEqual((beat.status, beat["you"]["address"]), (200, PUBLIC_TOO))
        self.assertNotEqual(beat["cursor"], node.cursor)
        self.assertEqual(self.view("a")["endpoints"],
                         [f"tcp://{PUBLIC_TOO}:80", "tcp://10.0.0.1:81"])
        self.assertEqual(self.view("a")["observed"], [PUBLIC_TOO])
        self.assertNodes(self.list(since=node.cursor), ["a"])

    def test_observations_of_both_families_are_kept(self):
        node = self.node("a", endpoints=["tcp://:80"],
                         connection=self.connect(headers=from_address(PUBLIC)))
        beat = node.client.post("/heartbeat", {}, headers=from_address(PUBLIC_6))
        self.assertEqual(beat.status, 200, beat)
        view = self.view("a")
        self.assertEqual(sorted(view["observed"]), sorted([PUBLIC, PUBLIC_6]))
        self.assertIn(f"tcp://{PUBLIC}:80", view["endpoints"])

    def test_sender_is_stamped_with_the_observed_address(self):
        reader = self.node()
        sender = self.node(connection=self.connect(headers=from_address(PUBLIC)))
        sender.sends(reader, from_address="6.6.6.6")
        self.assertEqual([m["from_address"] for m in reader.messages()], [PUBLIC])


class TestNotForwarded(AddressCase):
    def test_header_of_no_trusted_proxy_counts_nothing(self):
        self.assertEqual(self.observed(X_Forwarded_For=PUBLIC), "127.0.0.1")
        self.assertEqual(self.observed(Forwarded="for=" + PUBLIC), "127.0.0.1")


class TestBothFamilies(AddressCase):
    options = {"listen": ("127.0.0.1:0", "[::1]:0")}

    def test_node_on_both_families_is_observed_on_both(self):
        node = self.node("a", endpoints=["tcp://:80"])
        second = self.connect(listener=1)
        beat = second.post("/heartbeat", {"id": "a"}, token=node.token)
        self.assertEqual((beat.status, beat["you"]["address"], beat["you"]["family"]),
                         (200, "::1", "ipv6"), beat)
        self.assertEqual(sorted(self.view("a")["observed"]), ["127.0.0.1", "::1"])
