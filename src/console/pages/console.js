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

// The node sends the live part of the page when it has changed; a page that nobody sees asks for nothing.
const live = document.querySelector("[data-live]");
const still = document.getElementById("still");
let stream, news, silence, later;

function isSent() {
  still.hidden = true;
  clearTimeout(silence);
  silence = setTimeout(() => { still.hidden = false; }, 30000);
}

function swap() {
  // Not under the hands of somebody: when they leave it.
  if (news === undefined || live.contains(document.activeElement)) return;
  const scrolled = () => live.querySelectorAll(".scroll");
  const lefts = Array.from(scrolled(), (one) => one.scrollLeft);
  live.innerHTML = news;
  news = undefined;
  localTimes(live);
  scrolled().forEach((one, at) => { one.scrollLeft = lefts[at] || 0; });
}

function follow() {
  if (stream) stream.close();
  clearTimeout(silence);
  clearTimeout(later);
  if (document.hidden) return;
  isSent();
  stream = new EventSource(live.dataset.live);
  stream.addEventListener("alive", isSent);
  stream.onmessage = (event) => { isSent(); news = event.data; swap(); };
  stream.onerror = () => {
    // One that ended begins again by itself, one that was refused does not.
    if (stream.readyState === EventSource.CLOSED) later = setTimeout(follow, 60000);
  };
}

localTimes(document);
// On a phone the pages' names are a row to be pushed.
const here = document.querySelector("header nav [aria-current]");
if (here) here.scrollIntoView({ inline: "center", block: "nearest" });
if (live) {
  follow();
  document.addEventListener("visibilitychange", follow);
  live.addEventListener("focusout", () => setTimeout(swap));
}
