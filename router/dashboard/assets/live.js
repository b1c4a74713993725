// Keeps a page up to date: when the stream tells of something that the page shows,
// the page is fetched again and what has changed is put in its place. What somebody
// types, has opened, selected or focused stays, and what somebody points at stays
// where it is.
const main = document.querySelector("main");
const status = document.getElementById("live");

// On a narrow screen the sections are in one line, which can be moved.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

const leastBetween = 1000; // milliseconds between two looks

if (main.dataset.live || main.querySelector("[data-running]")) {
  let timer = 0;
  let looking = false;
  let again = false;
  let last = 0;

  const look = async () => {
    timer = 0;
    if (looking || document.hidden || busy()) {
      again = true;
      return;
    }
    looking = true;
    again = false;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector("main");
        if (fresh && !busy()) {
          update(fresh);
          document.querySelector("footer time").replaceWith(page.querySelector("footer time"));
        }
      }
    } catch {
      // The stream says that the router is gone.
    }
    last = Date.now();
    looking = false;
    if (again || main.querySelector("[data-running]")) {
      soon();
    }
  };

  const soon = () => {
    if (!timer) {
      timer = setTimeout(look, Math.max(0, last + leastBetween - Date.now()));
    }
  };

  const stream = main.dataset.live ? new EventSource("/api/stream?" + main.dataset.live) : new EventTarget();
  if (main.querySelector("[data-running]")) {
    soon(); // what is under way tells nobody
  }
  let late = 0;
  for (const name of ["event", "attempt", "state", "missed"]) {
    stream.addEventListener(name, () => {
      soon();
      clearTimeout(late);
      late = setTimeout(soon, leastBetween); // statistics have it a moment later
    });
  }
  stream.addEventListener("open", () => {
    status.textContent = "live";
    status.classList.remove("lost");
    soon(); // something may have happened since the page was made
  });
  stream.addEventListener("error", () => {
    status.textContent = "not live: the router does not answer";
    status.classList.add("lost");
  });
  for (const name of ["visibilitychange", "selectionchange", "pointerup", "pointercancel"]) {
    document.addEventListener(name, () => {
      if (again && !document.hidden) {
        soon();
      }
    });
  }
  // What was held back comes when nobody is there any more.
  for (const name of ["pointerout", "focusout"]) {
    main.addEventListener(name, (e) => {
      for (let part = e.target.closest?.("[data-held]"); part && !part.contains(e.relatedTarget); part = part.parentElement.closest("[data-held]")) {
        delete part.dataset.held;
        if (!status.classList.contains("lost")) {
          status.textContent = "live";
        }
        soon();
      }
    });
  }
}

// busy: somebody copies something, or is in the middle of a click.
let pressed = false;
document.addEventListener("pointerdown", () => (pressed = true), true);
for (const name of ["pointerup", "pointercancel"]) {
  document.addEventListener(name, () => (pressed = false), true);
}
function busy() {
  const selection = getSelection();
  return pressed || !selection.isCollapsed && main.contains(selection.anchorNode);
}

// pointed is the smallest part of the page that somebody points at or stands on.
function pointed() {
  const at = matchMedia("(hover: hover)").matches ? [...main.querySelectorAll(":hover")].at(-1) : null;
  return at ?? (main.contains(document.activeElement) && document.activeElement !== main ? document.activeElement : null);
}

// occupied: somebody points at a part of the page, or stands on one.
function occupied(part) {
  return part.contains(document.activeElement) || matchMedia("(hover: hover)").matches && part.matches(":hover");
}

// update puts what is new in its place. What comes in above what somebody points at
// does not move it: the page is scrolled by as much, and where there is nothing to
// scroll, room is left until they point elsewhere.
function update(fresh) {
  const stays = pointed();
  const focused = document.activeElement;
  const was = stays?.getBoundingClientRect().top;
  merge(main, fresh);
  main.style.marginTop = "";
  const moved = () => (stays?.isConnected ? stays.getBoundingClientRect().top - was : 0);
  if (Math.abs(moved()) >= 1) {
    scrollBy({ top: moved(), behavior: "instant" });
  }
  if (moved() <= -1) {
    main.style.marginTop = `${-moved()}px`;
  }
  if (focused !== document.activeElement && focused.isConnected) {
    focused.focus({ preventScroll: true }); // it was moved
  }
}

// The field at the top is a key away; Escape closes what was opened, and leads back to
// what opened it.
document.addEventListener("keydown", (e) => {
  if (e.key === "k" && (e.ctrlKey || e.metaKey) && !e.shiftKey && !e.altKey) {
    const find = document.getElementById("find");
    if (find) {
      e.preventDefault();
      find.focus();
      find.select();
    }
  }
  if (e.key === "Escape" && !e.isComposing) {
    const opened = e.target.closest?.("details[open]");
    if (opened) {
      opened.open = false;
      opened.querySelector("summary").focus();
    }
  }
});

// What is for a terminal can be taken with one click. Pages are merged, so the button
// is made where it is missing.
document.addEventListener("toggle", (e) => {
  const text = e.target.open && e.target.querySelector("pre.copy");
  if (!text || !navigator.clipboard || e.target.querySelector("button.copying")) {
    return;
  }
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small copying";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  });
  text.after(button);
}, true);

// What is done in steps goes on by itself for as long as the page is open.
const goOn = async () => {
  for (let form; (form = main.querySelector("form[data-go-on]")); ) {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.redirected) {
      location.replace(answer.url);
      return;
    }
    form.remove();
    merge(main, page.querySelector("main"));
  }
};
goOn().catch(() => {
  status.textContent = "stopped: the router does not answer";
});

// merge makes the old element's content that of the new one, and touches only what
// differs, so that focus, scrolling and open details stay.
function merge(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(document.importNode(fresh, true));
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) {
      old.data = fresh.data;
    }
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE || old.isEqualNode(fresh) || old.matches("input:not([type=hidden]), select, textarea")) {
    return;
  }
  if (old.nodeName === "TBODY") {
    mergeRows(old, fresh);
    return;
  }
  if (old.matches(".actions") && occupied(old)) {
    old.dataset.held = ""; // a button does not become another one under a finger
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) {
      old.removeAttribute(name);
    }
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value && !(name === "open" && old.nodeName === "DETAILS")) {
      old.setAttribute(name, value);
    }
  }
  mergeChildren(old, fresh);
}

// keyOf is how an element is known again: by its id or key, a form by what it does, a
// row by what it links to first.
function keyOf(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) {
    return null;
  }
  if (node.id || node.dataset?.key) {
    return node.id || node.dataset.key;
  }
  if (node.nodeName === "FORM") {
    return node.getAttribute("action");
  }
  return node.nodeName === "TR" ? (node.querySelector("a")?.getAttribute("href") ?? node.textContent) : null;
}

// mergeChildren keeps what has a key with what has the same, and the rest in order.
function mergeChildren(old, fresh) {
  const kept = new Map();
  const others = [];
  for (const node of old.childNodes) {
    const key = keyOf(node);
    if (node.classList?.contains("copying")) {
      continue; // is made here
    }
    if (key !== null && !kept.has(key)) {
      kept.set(key, node);
    } else {
      others.push(node);
    }
  }
  const unused = new Set([...kept.values(), ...others]);
  const wanted = [...fresh.childNodes].map((node) => {
    const key = keyOf(node);
    const was = key === null ? others.find((o) => unused.has(o) && o.nodeName === node.nodeName && keyOf(o) === null) : kept.get(key);
    if (was && was.nodeName === node.nodeName && unused.delete(was)) {
      return [was, node];
    }
    return [document.importNode(node, true), null];
  });
  for (const node of unused) {
    if (node.nodeName === "LI" && occupied(node)) {
      node.dataset.held = ""; // the next one does not come under a finger
    } else {
      node.remove();
    }
  }
  let at = old.firstChild;
  const mine = (node) => node && (node.dataset?.held === "" && unused.has(node) || node.classList?.contains("copying"));
  for (const [is, node] of wanted) {
    while (mine(at)) {
      at = at.nextSibling;
    }
    if (is === at) {
      at = at.nextSibling; // what is in its place is not moved, which would lose its focus
    } else {
      old.insertBefore(is, at);
    }
    if (node) {
      merge(is, node);
    } else if (is.nodeName === "TR") {
      is.classList.add("fresh");
    }
  }
}

// mergeRows keeps the rows of a list where they are while somebody points at one or
// stands on one: what they say is brought up to date, new ones wait.
function mergeRows(old, fresh) {
  if (!occupied(old) || old.rows.length === 0) {
    mergeChildren(old, fresh);
    return;
  }
  const rows = new Map([...old.rows].map((row) => [keyOf(row), row]));
  let come = 0;
  for (const row of fresh.rows) {
    const was = rows.get(keyOf(row));
    if (was) {
      merge(was, row);
    } else {
      come++;
    }
  }
  if (come > 0) {
    old.dataset.held = "";
    status.textContent = `live; ${come} new, shown when you leave the list`;
  }
}
