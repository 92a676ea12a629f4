"""A report: the commands that it shows, and what is wider than its place in a browser."""

import re
import shlex
from html import unescape

CUT_OFF = """() => [document.documentElement, ...document.querySelectorAll('.scroll, pre')]
    .filter((each) => each.checkVisibility() && each.scrollWidth > each.clientWidth)
    .map((each) => each.textContent.slice(0, 200))"""


def commands_in(page):
    """The words of each command of isavae that has a place for what it is about."""
    shown = re.findall(r"<code>(isavae [^<]* [^<]*)</code>", page.read_text())
    return [shlex.split(unescape(command)) for command in shown]


def cut_off(tab):
    """What is wider than its place on a page."""
    return tab.evaluate(CUT_OFF)


def cut_off_in_print(tab):
    """The same on A4 paper, without its margins."""
    tab.emulate_media(media="print")
    tab.set_viewport_size({"width": round((210 - 2 * 14) / 25.4 * 96), "height": 1000})
    found = cut_off(tab)
    tab.emulate_media(media="screen")
    return found
