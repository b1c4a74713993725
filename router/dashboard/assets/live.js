// Keeps a page up to date: when the stream tells of something that the page shows,
// the page is fetched again and what has changed is put in its place. What somebody
// types, has opened or has focused stays.
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
    if (looking || document.hidden) {
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
        if (fresh) {
          merge(main, fresh);
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
  for (const name of ["event", "attempt", "state", "missed"]) {
    stream.addEventListener(name, soon);
  }
  stream.addEventListener("open", () => {
    status.textContent = "live";
    soon(); // something may have happened since the page was made
  });
  stream.addEventListener("error", () => {
    status.textContent = "not live: the router does not answer";
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && again) {
      soon();
    }
  });
}

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
  const olds = [...old.childNodes].filter((n) => !n.classList?.contains("copying"));
  const freshes = [...fresh.childNodes];
  for (let i = 0; i < Math.max(olds.length, freshes.length); i++) {
    if (!freshes[i]) {
      olds[i].remove();
    } else if (!olds[i]) {
      old.append(document.importNode(freshes[i], true));
    } else {
      merge(olds[i], freshes[i]);
    }
  }
}

// mergeRows knows rows by what they link to first, and shows which are new.
function mergeRows(old, fresh) {
  const key = (row) => row.querySelector("a")?.getAttribute("href") ?? row.textContent;
  const rows = new Map([...old.rows].map((row) => [key(row), row]));
  const focused = document.activeElement?.closest("tr");
  const wanted = [...fresh.rows].map((row) => {
    const was = rows.get(key(row));
    if (was) {
      merge(was, row);
      return was;
    }
    const made = document.importNode(row, true);
    made.classList.add("fresh");
    return made;
  });
  if (focused && old.contains(focused) && !wanted.includes(focused)) {
    wanted.push(focused); // do not take away what somebody stands on
  }
  wanted.forEach((row, i) => {
    if (old.rows[i] !== row) {
      old.insertBefore(row, old.rows[i] ?? null);
    }
  });
  while (old.rows.length > wanted.length) {
    old.rows[old.rows.length - 1].remove();
  }
}
