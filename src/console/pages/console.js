// What pages have with JavaScript: times in the browser's zone, keys, and parts that renew themselves. Nothing depends on it.
"use strict";

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (isNaN(date)) continue;
    const two = (number) => String(number).padStart(2, "0");
    time.title = time.textContent + " UTC";
    time.textContent = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
      `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  }
}

const base = document.querySelector(".brand").getAttribute("href").replace(/\/$/, "");
const places = { o: "/", t: "/topics", c: "/groups", m: "/messages", a: "/alerts" };
let afterG = false;

document.addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const search = document.querySelector("input[type=search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  } else if (event.key === "?") {
    const help = document.getElementById("help");
    if (!help.open) help.showModal();
  } else if (afterG && places[event.key]) {
    location.href = base + places[event.key];
  }
  afterG = event.key === "g";
});

const live = document.querySelector("[data-live]");
async function renew() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = page.querySelector("[data-live]");
    if (!part || live.contains(document.activeElement)) return;
    live.replaceChildren(...part.childNodes);
    localTimes(live);
  } catch { /* The node is gone for now: what is shown stays. */ }
}

localTimes(document);
// On a phone the pages' names are a row to be pushed.
const here = document.querySelector("header nav [aria-current]");
if (here) here.scrollIntoView({ inline: "center", block: "nearest" });
if (live) setInterval(renew, 5000);
