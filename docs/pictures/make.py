#!/usr/bin/env python3
"""The pictures of README.md and docs/nat.md, drawn here so that they look alike:
docs/pictures/make.py writes them beside itself. Change them here, run it, and commit both."""

import math
import os
from html import escape

FOLDER = os.path.dirname(os.path.abspath(__file__))
WIDTH = 720
BOX_WIDTH, BOX_HEIGHT = 132, 56
LEFT, MIDDLE, RIGHT = 90, 360, 630  # the centres of three boxes in a row
ROW = 78
HOME = "203.0.113.7"
PLACE = f"{HOME}:50051"

# Plain colours on a plate of its own: readable in light and in dark, also where a page shows the
# picture without telling it which of the two it is.
STYLE = """\
text{font:12px system-ui,sans-serif;fill:#1f2328;text-anchor:middle}
.l{font-weight:600}.p{fill:#f6f8fa}.b{fill:#fff;stroke:#59636e}.m{fill:#ddf4ff;stroke:#0969da}
.g{stroke:#1a7f37}.r{stroke:#cf222e}.n{stroke:#59636e}.g,.r,.n{fill:none;stroke-width:2}
.a{stroke-dasharray:5 4}.tg{fill:#1a7f37}.tr{fill:#cf222e}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.p{fill:#161b22}.b{fill:#21262d;stroke:#9198a1}
.m{fill:#0d2d4d;stroke:#4493f8}.g{stroke:#3fb950}.r{stroke:#f85149}.n{stroke:#9198a1}
.tg{fill:#3fb950}.tr{fill:#f85149}}"""


def number(value):
    return f"{value:.1f}".rstrip("0").rstrip(".")


class Picture:
    def __init__(self, title, description, height=150):
        self.title, self.description, self.height = title, description, height
        self.parts = []

    def add(self, part):
        self.parts.append(part)

    def text(self, x, y, words, kind=""):
        """Its middle is at x."""
        kind = f' class="{kind}"' if kind else ""
        self.add(f'<text x="{number(x)}" y="{number(y)}"{kind}>{escape(words)}</text>')

    def box(self, x, y, label, *lines, kind="b"):
        """Its middle is at x, y."""
        left, top = x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2
        self.add(f'<rect class="{kind}" x="{number(left)}" y="{number(top)}" width="{BOX_WIDTH}" '
                 f'height="{BOX_HEIGHT}" rx="6"/>')
        first = y + 4 - 8 * len(lines)
        self.text(x, first, label, "l")
        for place, line in enumerate(lines, 1):
            self.text(x, first + 16 * place, line)

    def line(self, kind, *points, head=True, dashed=False):
        """From the first point to the last, with a head there."""
        path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
        if head:
            (x0, y0), (x, y) = points[-2:]
            turn = math.atan2(y - y0, x - x0)
            for side in (turn + 2.6, turn - 2.6):
                path += f"M{number(x)} {number(y)}"
                path += f"L{number(x + 9 * math.cos(side))} {number(y + 9 * math.sin(side))}"
        self.add(f'<path class="{kind}{" a" if dashed else ""}" d="{path}"/>')

    def cross(self, x, y):
        self.add(f'<path class="r" d="M{x - 6} {y - 6}l12 12m0-12l-12 12"/>')

    def tick(self, x, y):
        self.add(f'<path class="g" d="M{x - 7} {y}l5 6l9-12"/>')

    def svg(self):
        return "\n".join((
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" '
            'role="img" aria-labelledby="t d">',
            f'<title id="t">{escape(self.title)}</title>',
            f'<desc id="d">{escape(self.description)}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="p" width="{WIDTH}" height="{self.height}" rx="8"/>',
            *self.parts, "</svg>", ""))


# --- what many have in common ----------------------------------------------------------------------

def left_of(x):
    return x - BOX_WIDTH / 2


def right_of(x):
    return x + BOX_WIDTH / 2


def at_home(picture, me="192.168.1.20", router="Your router", y=ROW):
    """The index at the left, the router, and this machine at the right."""
    picture.box(LEFT, y, "The index", "tries to connect")
    picture.box(MIDDLE, y, router, HOME)
    picture.box(RIGHT, y, "This machine", me, kind="m")


def outer_way(picture, kind, words, y=ROW):
    picture.line(kind, (right_of(LEFT), y), (left_of(MIDDLE), y))
    picture.text(225, y - 9, words)


# --- the pictures ----------------------------------------------------------------------------------

def make_flow():
    picture = Picture(
        "How two nodes find each other",
        "Two nodes behind routers register at the index, learn of each other from its list, leave "
        "an offer and an answer in each other's mailbox there, and then talk over a direct "
        "connection that does not pass the index.", 300)
    picture.box(MIDDLE, 50, "The index", "a cheap public pod", kind="m")
    picture.box(LEFT, 180, "Node a", "behind a router")
    picture.box(RIGHT, 180, "Node b", "behind a router")
    for x, side in ((LEFT, -1), (RIGHT, 1)):
        near = MIDDLE + side * BOX_WIDTH / 2
        picture.line("n", (x, 152), (x, 36), (near, 36))
        picture.line("n", (near, 64), (x - side * 30, 64), (x - side * 30, 152))
    for x in (215, 505):
        picture.text(x, 28, "1  register, heartbeat")
        picture.text(x, 82, "2  list: who is here")
        picture.text(x, 100, "3  mailbox: offer, answer")
    picture.line("g", (right_of(LEFT), 172), (left_of(RIGHT), 172))
    picture.line("g", (left_of(RIGHT), 188), (right_of(LEFT), 188))
    picture.text(MIDDLE, 160, "4  a direct connection", "tg")
    picture.text(MIDDLE, 210, "none of this passes the index", "tg")
    picture.text(MIDDLE, 262, "The index goes away: who is connected stays connected.")
    picture.text(MIDDLE, 282, "It comes back: everybody is still registered, and new nodes join.")
    return picture


def make_mapping():
    picture = Picture(
        "A port mapping",
        "Several machines share the router's one address. The router passes on what comes to port "
        "50051 to one of them, and drops the rest.", 220)
    picture.box(LEFT, 110, "Anyone", "on the internet")
    picture.box(MIDDLE, 110, "Your router", HOME)
    picture.box(RIGHT, 50, "This machine", "192.168.1.20", kind="m")
    picture.box(RIGHT, 170, "Another device", "192.168.1.30")
    picture.line("g", (right_of(LEFT), 100), (left_of(MIDDLE), 100))
    picture.text(225, 91, "port 50051", "tg")
    picture.line("g", (right_of(MIDDLE), 100), (left_of(RIGHT), 60))
    picture.text(470, 60, "the mapping", "tg")
    picture.line("r", (right_of(LEFT), 124), (left_of(MIDDLE) - 16, 124), head=False)
    picture.cross(int(left_of(MIDDLE)) - 12, 124)
    picture.text(225, 144, "any other port", "tr")
    return picture


def make_open():
    picture = Picture(
        "Open", "The connection of the index passes the router and reaches this machine.")
    at_home(picture)
    outer_way(picture, "g", PLACE)
    picture.line("g", (right_of(MIDDLE), ROW), (left_of(RIGHT), ROW))
    picture.text(495, ROW - 9, "forwarded")
    picture.tick(RIGHT, 122)
    return picture


def make_nothing_listening():
    picture = Picture(
        "Nothing listening",
        "The connection reaches this machine, where no program listens, and is refused.")
    at_home(picture)
    outer_way(picture, "g", PLACE)
    picture.line("g", (right_of(MIDDLE), ROW), (left_of(RIGHT), ROW))
    picture.text(495, ROW - 9, "forwarded")
    picture.line("r", (RIGHT, 106), (RIGHT, 126), (LEFT, 126), (LEFT, 108), dashed=True)
    picture.text(MIDDLE, 142, "refused: no program listens", "tr")
    return picture


def make_rejected():
    picture = Picture(
        "Rejected", "The router or a firewall refuses the connection; this machine hears nothing.")
    at_home(picture)
    outer_way(picture, "n", PLACE)
    picture.line("r", (MIDDLE, 106), (MIDDLE, 126), (LEFT, 126), (LEFT, 108), dashed=True)
    picture.text(225, 142, "refused", "tr")
    picture.text(495, ROW + 4, "nothing comes")
    return picture


def make_filtered():
    picture = Picture(
        "Filtered", "What the index sends is dropped on the way, and nobody answers.")
    at_home(picture)
    picture.line("r", (right_of(LEFT), ROW), (left_of(MIDDLE) - 17, ROW), head=False)
    picture.text(225, ROW - 9, PLACE)
    picture.cross(int(left_of(MIDDLE)) - 12, ROW)
    picture.text(225, 106, "no answer", "tr")
    picture.text(495, ROW + 4, "nothing comes")
    return picture


def make_elsewhere():
    picture = Picture(
        "Mapped elsewhere",
        "The router passes the connection on to another device, and this machine hears nothing.",
        220)
    picture.box(LEFT, 110, "The index", "tries to connect")
    picture.box(MIDDLE, 110, "Your router", HOME)
    picture.box(RIGHT, 50, "This machine", "192.168.1.20", kind="m")
    picture.box(RIGHT, 170, "Another device", "192.168.1.30")
    outer_way(picture, "n", PLACE, y=110)
    picture.line("r", (right_of(MIDDLE), 118), (left_of(RIGHT), 164))
    picture.text(470, 170, "forwarded", "tr")
    picture.text(478, 64, "nothing comes")
    return picture


def make_other_port():
    picture = Picture(
        "Other external port",
        "The router gave another outer port, 50777; that one leads to this machine.", 170)
    at_home(picture, y=85)
    picture.line("g", (right_of(LEFT), 72), (left_of(MIDDLE), 72))
    picture.text(225, 63, f"{HOME}:50777", "tg")
    picture.line("g", (right_of(MIDDLE), 85), (left_of(RIGHT), 85))
    picture.text(495, 76, "to port 50051")
    picture.line("r", (right_of(LEFT), 100), (left_of(MIDDLE) - 16, 100), head=False)
    picture.cross(int(left_of(MIDDLE)) - 12, 100)
    picture.text(225, 120, PLACE, "tr")
    return picture


def make_cgnat():
    picture = Picture(
        "CGNAT",
        "The provider has a router of its own whose public address many customers share. What "
        "comes there has no way to this machine.", 220)
    picture.box(LEFT, 110, "The index", "tries to connect")
    picture.box(268, 110, "The provider", HOME)
    picture.box(450, 50, "Your router", "100.72.3.4")
    picture.box(450, 170, "A neighbour's", "100.72.3.5")
    picture.box(RIGHT, 50, "This machine", "192.168.1.20", kind="m")
    picture.line("r", (right_of(LEFT), 110), (left_of(268) - 16, 110), head=False)
    picture.cross(int(left_of(268)) - 11, 110)
    picture.line("n", (right_of(268), 104), (left_of(450), 60), head=False)
    picture.line("n", (right_of(268), 116), (left_of(450), 160), head=False)
    picture.line("n", (right_of(450), 50), (left_of(RIGHT), 50), head=False)
    picture.text(268, 160, "one address,", "tr")
    picture.text(268, 176, "many customers", "tr")
    return picture


def make_double_nat():
    picture = Picture(
        "Double NAT", "Two routers stand between; the outer one does not pass the connection on.")
    picture.box(LEFT, ROW, "The index", "tries to connect")
    picture.box(270, ROW, "Outer router", HOME)
    picture.box(450, ROW, "Your router", "192.168.0.2")
    picture.box(RIGHT, ROW, "This machine", "192.168.1.20", kind="m")
    picture.line("r", (right_of(LEFT), ROW), (left_of(270) - 18, ROW), head=False)
    picture.cross(int(left_of(270)) - 12, ROW)
    picture.line("n", (right_of(270), ROW), (left_of(450), ROW), head=False)
    picture.line("n", (right_of(450), ROW), (left_of(RIGHT), ROW), head=False)
    picture.text(270, 126, "needs a forward too", "tr")
    picture.text(450, 126, "has a forward")
    return picture


def make_mismatch():
    picture = Picture(
        "Address mismatch",
        "What this machine sends leaves through a VPN, so the index sees and tries an address that "
        "is not the router's.", 220)
    picture.box(LEFT, 110, "The index", "tries to connect")
    picture.box(MIDDLE, 50, "A VPN", HOME)
    picture.box(MIDDLE, 170, "Your router", "198.51.100.99")
    picture.box(RIGHT, 110, "This machine", "192.168.1.20", kind="m")
    picture.line("r", (right_of(LEFT), 100), (left_of(MIDDLE) - 16, 57), head=False)
    picture.cross(int(left_of(MIDDLE)) - 11, 54)
    picture.text(205, 62, "sees and tries", "tr")
    picture.line("n", (left_of(RIGHT), 100), (right_of(MIDDLE), 58))
    picture.text(515, 62, "goes out here")
    picture.line("n", (left_of(RIGHT), 120), (right_of(MIDDLE), 162), head=False, dashed=True)
    picture.text(505, 168, "not here")
    return picture


def make_restricted():
    picture = Picture(
        "Restricted",
        "A host that this machine has contacted gets in; a stranger does not.", 220)
    picture.box(LEFT, 50, "A host that you", "have contacted")
    picture.box(LEFT, 170, "A stranger")
    picture.box(MIDDLE, 110, "Your router", HOME)
    picture.box(RIGHT, 110, "This machine", "192.168.1.20", kind="m")
    picture.line("g", (right_of(LEFT), 58), (left_of(MIDDLE), 100))
    picture.line("g", (right_of(MIDDLE), 110), (left_of(RIGHT), 110))
    picture.line("r", (right_of(LEFT), 162), (left_of(MIDDLE) - 18, 126), head=False)
    picture.cross(int(left_of(MIDDLE)) - 12, 123)
    picture.text(250, 70, "gets in", "tg")
    picture.text(250, 164, "does not", "tr")
    return picture


def make_punchable():
    picture = Picture(
        "Punchable",
        "Both send a datagram at the same time. Each opens its own router for the other one's.")
    picture.box(LEFT, ROW, "A peer", "192.168.7.5")
    picture.box(270, ROW, "Its router", "198.51.100.9")
    picture.box(450, ROW, "Your router", HOME)
    picture.box(RIGHT, ROW, "This machine", "192.168.1.20", kind="m")
    for start, end in ((LEFT, 270), (270, 450), (450, RIGHT)):
        picture.line("g", (right_of(start), ROW - 8), (left_of(end), ROW - 8))
        picture.line("g", (left_of(end), ROW + 8), (right_of(start), ROW + 8))
    picture.text(MIDDLE, 30, "both send at the same time", "tg")
    picture.text(MIDDLE, 132, f"always seen as {PLACE}")
    return picture


def make_symmetric():
    picture = Picture(
        "Symmetric",
        "The router gives another outer port for each destination, so a peer that was told one of "
        "them sends to where nothing waits.", 220)
    picture.box(LEFT, 50, "STUN server", "sees port 40001")
    picture.box(LEFT, 170, "A peer", "sends to 40001")
    picture.box(MIDDLE, 110, "Your router", HOME)
    picture.box(RIGHT, 110, "This machine", "192.168.1.20", kind="m")
    picture.line("n", (left_of(MIDDLE), 100), (right_of(LEFT), 58))
    picture.line("n", (left_of(RIGHT), 110), (right_of(MIDDLE), 110))
    picture.text(495, 101, "port 50051")
    picture.text(250, 66, "from 40001")
    picture.line("r", (right_of(LEFT), 162), (left_of(MIDDLE) - 18, 126), head=False)
    picture.cross(int(left_of(MIDDLE)) - 12, 123)
    picture.text(262, 166, "not the port for it", "tr")
    return picture


def make_udp_blocked():
    picture = Picture(
        "UDP blocked", "TCP leaves the network; UDP is stopped by a firewall on the way.", 170)
    picture.box(LEFT, 85, "The index", "and STUN servers")
    picture.box(MIDDLE, 85, "A firewall", HOME)
    picture.box(RIGHT, 85, "This machine", "192.168.1.20", kind="m")
    picture.line("g", (left_of(RIGHT), 72), (right_of(MIDDLE), 72))
    picture.line("g", (left_of(MIDDLE), 72), (right_of(LEFT), 72))
    picture.text(225, 63, "TCP", "tg")
    picture.text(495, 63, "TCP", "tg")
    picture.line("r", (left_of(RIGHT), 100), (right_of(MIDDLE) + 18, 100), head=False)
    picture.cross(int(right_of(MIDDLE)) + 12, 100)
    picture.text(495, 120, "UDP", "tr")
    return picture


def make_all():
    """Name of the file: what is in it."""
    makers = {name.removeprefix("make_"): maker for name, maker in globals().items()
              if name.startswith("make_") and name != "make_all"}
    return {name.replace("_", "-") + ".svg": maker().svg() for name, maker in makers.items()}


def main():
    for name, svg in make_all().items():
        with open(os.path.join(FOLDER, name), "w", encoding="utf-8") as file:
            file.write(svg)


if __name__ == "__main__":
    main()
