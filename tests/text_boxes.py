"""Find words of a page in a browser that lie over other words, or outside of the window."""

from typing import Any

_SCRIPT = """() => {
  const seen = (element) => {
    const style = getComputedStyle(element);
    const folded = element.closest("details:not([open])") && !element.closest("summary");
    return style.visibility !== "hidden" && !folded && !element.closest(".hidden, .skip, script, style, option");
  };
  const clipped = (rect, element) => {
    const box = {left: rect.left, right: rect.right, top: rect.top, bottom: rect.bottom};
    for (let outer = element; outer && outer !== document.body; outer = outer.parentElement) {
      if (outer instanceof SVGElement || getComputedStyle(outer).overflowX === "visible") continue;
      const limit = outer.getBoundingClientRect();
      box.left = Math.max(box.left, limit.left); box.right = Math.min(box.right, limit.right);
      box.top = Math.max(box.top, limit.top); box.bottom = Math.min(box.bottom, limit.bottom);
    }
    return box;
  };
  const boxes = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement, range = document.createRange();
    if (!node.data.trim() || !seen(element)) continue;
    range.selectNodeContents(node);
    for (const rect of range.getClientRects()) {
      const box = clipped(rect, element);
      if (box.right - box.left > 2 && box.bottom - box.top > 2) {
        boxes.push({...box, element, words: node.data.trim().slice(0, 40)});
      }
    }
  }
  boxes.sort((one, other) => one.top - other.top);
  const found = [];
  boxes.forEach((one, number) => {
    if (one.left < -1 || one.right > document.documentElement.clientWidth + 1) found.push([one.words, "outside"]);
    for (let next = number + 1; next < boxes.length && boxes[next].top < one.bottom; next++) {
      const other = boxes[next];
      const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const height = Math.min(one.bottom, other.bottom) - other.top;
      if (one.element !== other.element && width > 1.5 && height > 4) found.push([one.words, other.words]);
    }
  });
  return found;
}"""


def misplaced_words(page: Any) -> list[list[str]]:
    """Return pairs of words that overlap, and each word outside of the window with `outside`.

    Words that an element cuts off or that are reached by scrolling a table count as far as they are visible.
    """
    found: list[list[str]] = page.evaluate(_SCRIPT)
    return found
