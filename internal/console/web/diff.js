// A change's diff: each path with what was there and what is there now, and the part that differs marked.

import { h } from "./dom.js";
import { button } from "./notices.js";
import { block } from "./text.js";

// What is longer is shown up to here, until somebody wants all of it.
const longest = 4000;
const mostChanges = 100;

/** diff is the list of an event's changes. */
export function diff(changes) {
  const list = h("div", {}, changes.slice(0, mostChanges).map(change));
  if (changes.length > mostChanges) {
    const rest = button(`Show ${changes.length - mostChanges} more`, () => {
      rest.remove();
      list.append(...changes.slice(mostChanges).map(change));
    }, "quiet");
    list.append(rest);
  }
  return list;
}

function change({ op, path, from, value }) {
  const was = text(from), is = text(value);
  const both = from !== undefined && value !== undefined;
  const parts = both ? differing(was, is) : null;
  return h("div", { class: "change" },
    h("div", { class: "path" }, pathOf(path)),
    from !== undefined && side("was", was, parts?.was),
    value !== undefined && side("is", is, parts?.is),
    from === undefined && value === undefined && h("pre", { class: op === "remove" ? "was" : "is" }, h("span", {}, "not recorded")));
}

/** pathOf shows a JSON Pointer as people write paths, its last part in bold. */
function pathOf(path) {
  if (!path) return h("b", {}, "the whole object");
  const parts = path.split("/").slice(1).map((each) => block(each.replaceAll("~1", "/").replaceAll("~0", "~")));
  const last = parts.pop();
  return [h("bdi", {}, parts.length ? `${parts.join(" › ")} › ` : ""), h("b", {}, h("bdi", {}, last))];
}

const text = (value) => (typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value, null, 2));

// differing is the part of two short texts between what both begin and end with.
function differing(was, is) {
  if (was.length + is.length > longest) return null;
  let head = 0;
  while (head < Math.min(was.length, is.length) && was[head] === is[head]) head++;
  let tail = 0;
  while (tail < Math.min(was.length, is.length) - head && was.at(-1 - tail) === is.at(-1 - tail)) tail++;
  if (head + tail < 3) return null; // They have nothing in common: marking all of both says nothing.
  return { was: [head, was.length - tail], is: [head, is.length - tail] };
}

function side(kind, value, part) {
  const content = h("span", {}), name = kind === "was" ? "before: " : "after: ";
  const fill = (all) => content.replaceChildren(h("span", { class: "unseen" }, name), ...pieces(all ? value : value.slice(0, longest), part));
  fill(false);
  const made = [h("pre", { class: kind }, content)];
  if (value.length > longest) {
    const more = button(`Show all ${value.length.toLocaleString("en-GB")} characters`, () => {
      more.remove();
      fill(true);
    }, "quiet");
    made.push(more);
  }
  return made;
}

function pieces(value, part) {
  if (!part) return [h("bdi", {}, value === "" ? "(empty)" : block(value))];
  const [from, to] = part;
  return [h("bdi", {}, block(value.slice(0, from)), from < to && h("mark", {}, block(value.slice(from, to))), block(value.slice(to)))];
}
