"""Somebody who sets Mason up: what a browser does with its pages and with GitHub's, without one."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import httpx

from tests.whole.kit import LONG


@dataclass
class Visitor:
    """Follows links and fills in forms. ``at`` is the address of the page that is shown, ``text`` its HTML."""

    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=LONG, follow_redirects=True))
    at: str = ""
    text: str = ""
    status: int = 0

    def open(self, url: str) -> Visitor:
        return self._shown(self.client.get(urljoin(self.at, url)))

    def send(self, action: str, **fields: str) -> Visitor:
        """The form whose address ends so, with what stands in it and these fields besides."""
        forms = {
            html.unescape(dict(re.findall(r'(\w+)="([^"]*)"', attributes)).get("action", "")): inside
            for attributes, inside in re.findall(r"<form([^>]*)>(.*?)</form>", self.text, re.DOTALL)
        }
        where = next((one for one in forms if urlsplit(one).path.endswith(action)), "")
        assert where, f"no form leads to {action}:\n{self.words}"
        inside = forms[where]
        inputs = [dict(re.findall(r'([\w-]+)="([^"]*)"', one)) for one in re.findall(r"<input([^>]*)>", inside)]
        filled = {
            html.unescape(one["name"]): html.unescape(one.get("value", ""))
            for one in inputs
            if one.get("type") != "radio"
        }
        parts = urlsplit(self.at)
        headers = {"Origin": f"{parts.scheme}://{parts.netloc}"}
        return self._shown(self.client.post(urljoin(self.at, where), data=filled | fields, headers=headers))

    @property
    def words(self) -> str:
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.text)).split())

    def _shown(self, answer: httpx.Response) -> Visitor:
        self.at, self.text, self.status = str(answer.url), answer.text, answer.status_code
        return self

    def close(self) -> None:
        self.client.close()
