// Additions for browsers that run scripts. Without scripts, links and forms do everything.
"use strict";

// `/` focuses the search; j and k go through the visible rows or pictures of a page, and Enter opens one.
const rows = () =>
  [...document.querySelectorAll("tr[data-row] a.row, ol.thumbs a.thumb")].filter((row) => !row.closest("details:not([open])"));
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("search")?.select();
  } else if (event.key === "j" || event.key === "k") {
    const all = rows();
    const at = all.indexOf(document.activeElement);
    const next = event.key === "j" ? at + 1 : at < 0 ? 0 : at - 1;
    all[Math.max(0, Math.min(next, all.length - 1))]?.focus();
  }
});

// A picture that cannot be shown is replaced by words.
for (const picture of document.querySelectorAll(".picture img")) {
  const box = picture.closest(".picture");
  // A missing heat map hides only itself, not the picture below it.
  const word = picture.classList.contains("overlay") ? "without-overlay" : "failed";
  const failed = () => box.classList.add(word);
  if (picture.complete && picture.naturalWidth === 0) failed();
  picture.addEventListener("error", failed);
  picture.addEventListener("load", () => box.classList.remove(word));
}

// The frame slider and the overlay change the picture without loading the page again.
const slider = document.querySelector("input[type=range][data-frames]");
if (slider) {
  const show = () => {
    for (const picture of document.querySelectorAll("img[data-frame-source]")) {
      const address = new URL(picture.dataset.frameSource, location.href);
      address.searchParams.set("frame", slider.value);
      picture.src = address.pathname + address.search;
    }
    const output = document.getElementById("frame-number");
    if (output) output.textContent = slider.value;
    const here = new URL(location.href);
    here.searchParams.set("frame", slider.value);
    history.replaceState(null, "", here);
  };
  let waiting = 0;
  slider.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(show, 60);
  });
}

// A form with data-confirm asks for confirmation before it is sent.
for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!confirm(form.dataset.confirm)) event.preventDefault();
  });
}
