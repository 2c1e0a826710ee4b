// What pages have with JavaScript: times in the browser's zone, keys, and parts that renew themselves. Nothing depends on it.
"use strict";

// As 2026-11-29T18:08:17, where the browser is.
function local(date) {
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (isNaN(date)) continue;
    time.title = time.textContent + " UTC";
    time.textContent = local(date).replace("T", " ");
  }
}

// What is typed is in the zone of what is shown; the node is told UTC.
function localForms() {
  for (const mark of document.querySelectorAll("[data-zone]")) mark.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const form of document.forms) {
    const inputs = Array.from(form.querySelectorAll("input[type=datetime-local]"));
    for (const input of inputs) if (input.value) input.value = local(new Date(input.value + "Z"));
    form.addEventListener("formdata", (event) => {
      for (const { name, value } of inputs) if (value) event.formData.set(name, new Date(value).toISOString().slice(0, 19));
    });
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
localForms();
// On a phone the pages' names are a row to be pushed.
const here = document.querySelector("header nav [aria-current]");
if (here) here.scrollIntoView({ inline: "center", block: "nearest" });
// What was refused is what somebody has to hear, and to see.
const refused = document.getElementById("refused");
if (refused) { refused.focus(); refused.scrollIntoView({ block: "center" }); }
if (live) {
  follow();
  document.addEventListener("visibilitychange", follow);
  live.addEventListener("focusout", () => setTimeout(swap));
}
