// Keeps the run page up to date. Without it the page is complete, and is loaded again by hand.
"use strict";

(() => {
  const root = document.getElementById("live");
  if (!root) return;

  const STEADY = 2000, HIDDEN = 30000, LONGEST = 60000;
  const stale = document.getElementById("stale");
  document.getElementById("again").hidden = true;
  const touched = new WeakSet(); // what the reader has opened or closed stays as the reader left it
  let tag = ""; // the first look costs one page and sees what happened while this one travelled
  let pause = STEADY;
  let timer = 0;
  let left = false; // something was not brought up to date, because the reader had selected it

  const ended = () => root.querySelector("#run")?.hasAttribute("data-ended");

  root.addEventListener("click", (event) => {
    const summary = event.target.closest("summary");
    if (summary) touched.add(summary.parentElement);
  });

  function selected(node) {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && selection.containsNode(node, true);
  }

  function sameKind(old, fresh) {
    return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && (old.id || "") === (fresh.id || "");
  }

  function bring(old, fresh) {
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data === fresh.data) return;
      if (selected(old)) left = true;
      else old.data = fresh.data;
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE || old.isEqualNode(fresh)) return;
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === "open" && touched.has(old))) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !(name === "open" && touched.has(old))) old.setAttribute(name, value);
    }
    if (!old.dataset.since) bringChildren(old, fresh);
  }

  function dropped(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
  }

  // Parts are told apart by their ids; between two of those, by their places.
  function bringChildren(old, fresh) {
    const named = new Map();
    const wanted = new Set([...fresh.children].map((one) => one.id).filter(Boolean));
    for (const child of [...old.children]) {
      if (!child.id) continue;
      if (wanted.has(child.id)) named.set(child.id, child);
      else child.remove();
    }
    let place = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const known = child.id ? named.get(child.id) : undefined;
      if (known && known.nodeName === child.nodeName) {
        // What is in between goes: whoever is moved loses the focus, the scroll and the selection.
        while (place && place !== known && !place.id) place = dropped(place);
        if (known === place) place = place.nextSibling;
        else old.insertBefore(known, place);
        bring(known, child);
      } else if (place && !place.id && sameKind(place, child)) {
        const same = place;
        place = place.nextSibling;
        bring(same, child);
      } else {
        old.insertBefore(document.importNode(child, true), place);
      }
    }
    while (place) place = dropped(place);
  }

  function swap(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    left = false;
    bringChildren(root, fresh.body);
    document.title = root.querySelector("#run").dataset.title;
  }

  function say(words) {
    stale.hidden = !words;
    if (stale.textContent !== words) stale.textContent = words;
  }

  async function look() {
    clearTimeout(timer);
    try {
      const answer = await fetch(root.dataset.live, { headers: tag ? { "If-None-Match": tag } : {} });
      if (answer.status === 200) {
        swap(await answer.text());
        tag = left ? "" : answer.headers.get("ETag");
      } else if (answer.status === 401 || answer.status === 403 || answer.status === 404) {
        say("This page can no longer be brought up to date. Load it again.");
        return;
      } else if (answer.status !== 304) {
        throw new Error(String(answer.status));
      }
      pause = STEADY;
      say("");
    } catch {
      pause = Math.min(2 * pause, LONGEST);
      say("Mason does not answer; this may be out of date. It is tried again.");
    }
    plan();
  }

  function plan() {
    clearTimeout(timer);
    if (ended() && !left && stale.hidden) return;
    timer = setTimeout(look, document.hidden ? Math.max(pause, HIDDEN) : pause);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !(ended() && !left && stale.hidden)) look();
  });

  function words(seconds) {
    const units = [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]];
    for (const [unit, size, below, per] of units) {
      if (seconds < size) continue;
      const rest = Math.floor((seconds % size) / per);
      return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${below}` : ""}`;
    }
    return `${seconds} s`;
  }

  // Counted from the server's clock, whatever the reader's says.
  const opened = performance.now();
  setInterval(() => {
    for (const one of root.querySelectorAll("[data-since]")) {
      one.dataset.base ??= String(opened - 1000 * ((Date.parse(one.dataset.now) - Date.parse(one.dataset.since)) / 1000));
      one.textContent = words(Math.max(0, Math.round((performance.now() - Number(one.dataset.base)) / 1000)));
    }
  }, 1000);

  // The timeline leads to an item: it opens.
  function openTarget() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      touched.add(target);
      target.querySelector("summary").focus({ preventScroll: true });
    }
  }
  addEventListener("hashchange", openTarget);
  root.addEventListener("click", (event) => {
    if (event.target.closest('a[href^="#"]')) setTimeout(openTarget);
  });
  openTarget();
  plan();
})();
