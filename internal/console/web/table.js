// The table of changes. Only the rows in sight exist, so 100,000 are as quick as ten.

import { h } from "./dom.js";
import { line, person } from "./text.js";
import { day, offset, time, zone } from "./time.js";
import { action, look, outcome } from "./words.js";

const spare = 8;
const bones = 10;
const narrow = matchMedia("(max-width: 720px)");

export class Table {
  constructor(onOpen) {
    this.onOpen = onOpen;
    this.rows = [];
    this.made = new Map();
    this.active = 0;
    const columns = [["when", `Time, ${offset()}`], ["deed", "Action"], ["object", "Object"], ["who", "Who"], ["why", "Why"], ["fate", "Outcome"]];
    this.columns = h("div", { class: "columns", role: "row", "aria-rowindex": "1" },
      columns.map(([name, label]) => h("span", { class: name, role: "columnheader", title: name === "when" ? zone() : label }, label)));
    this.window = h("div", { class: "window", role: "rowgroup", onclick: (event) => this.click(event), onkeydown: (event) => this.key(event) });
    this.grid = h("div", { role: "grid", "aria-label": "Changes, newest first" }, h("div", { role: "rowgroup" }, this.columns), this.window);
    this.skeleton = h("div", { class: "window", "aria-hidden": "true" });
    this.element = h("div", { class: "table" }, this.grid, this.skeleton);
    this.scrolled = () => this.place();
    addEventListener("scroll", this.scrolled, { passive: true });
    addEventListener("resize", this.scrolled);
    narrow.addEventListener("change", this.scrolled);
  }

  leave() {
    removeEventListener("scroll", this.scrolled);
    removeEventListener("resize", this.scrolled);
    narrow.removeEventListener("change", this.scrolled);
  }

  get height() { return narrow.matches ? 76 : 44; }

  /** draw shows rows; while more are read, bones stand where they will be. */
  draw(rows, busy) {
    const other = this.rows !== rows, focused = this.window.contains(document.activeElement);
    this.rows = rows;
    if (other) this.forget();
    this.grid.setAttribute("aria-rowcount", busy ? -1 : rows.length + 1);
    this.grid.setAttribute("aria-busy", busy);
    this.element.hidden = rows.length === 0 && !busy;
    this.grid.hidden = rows.length === 0 && !busy;
    this.drawBones(busy && rows.length < bones ? bones - rows.length : 0);
    this.place();
    if (other && focused) this.focusSelected();
  }

  drawBones(count) {
    this.skeleton.hidden = count === 0;
    if (this.skeleton.childElementCount === count) return;
    const widths = ["80%", "64%", "72%", "58%", "44%", "60%"], classes = ["when", "deed", "object", "who", "why", "fate"];
    this.skeleton.replaceChildren(...Array.from({ length: count }, (_, i) => {
      const bar = h("div", { class: "row" }, widths.map((width, k) => {
        const bone = h("span", { class: `bone ${classes[k]}` });
        bone.style.width = width;
        return bone;
      }));
      bar.style.top = `${i * this.height}px`;
      return bar;
    }));
    this.skeleton.style.height = `${count * this.height}px`;
  }

  forget() {
    for (const element of this.made.values()) element.remove();
    this.made.clear();
    this.active = Math.min(this.active, Math.max(0, this.rows.length - 1));
  }

  // place makes the rows that have come into sight, and removes those that have left it.
  place() {
    const { rows, height } = this;
    if (this.placedFor !== height) this.forget();
    this.placedFor = height;
    this.window.style.height = `${rows.length * height}px`;
    const top = this.window.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - spare);
    const end = Math.min(rows.length, Math.ceil((innerHeight - top) / height) + spare);
    for (const [i, element] of this.made) {
      if ((i < first || i >= end) && i !== this.active) {
        element.remove();
        this.made.delete(i);
      }
    }
    for (let i = first; i < end; i++) this.make(i);
    if (rows.length > 0) this.make(this.active);
  }

  make(i) {
    if (this.made.has(i)) return;
    const row = this.rows[i], sort = look(row), lost = sort === "unstuck";
    const cell = (name, ...children) => h("span", { class: name, role: "gridcell" }, children);
    const element = h("div", {
      class: lost ? "row lost" : "row", role: "row", tabindex: i === this.active ? "0" : "-1", "aria-rowindex": i + 2,
      "aria-selected": String(key(row) === this.selected), "data-index": i,
    },
    cell("when", `${day(row.time)} `, h("b", {}, time(row.time))),
    cell("deed", h("span", { class: `act ${action(row.action).look}` }, action(row.action).word)),
    cell("object", h("bdi", { class: "name" }, line(row.object)), " ", h("bdi", { class: "kind" }, line(row.part ? `${row.kind}/${row.part}` : row.kind)),
      row.place && [h("span", { class: "place" }, " in "), h("bdi", { class: "place" }, line(row.place))]),
    cell("who", h("bdi", {}, person(row.user))),
    cell("why", h("bdi", {}, line(row.note))),
    cell("fate", lost ? h("span", { class: "act unstuck mark" }, outcome(row).word) : outcome(row).word));
    element.style.top = `${i * this.height}px`;
    this.made.set(i, element);
    // In the order of the list, so that what reads the page aloud does so too.
    let next = null;
    for (const [k, other] of this.made) if (k > i && (next === null || k < next[0])) next = [k, other];
    this.window.insertBefore(element, next?.[1] ?? null);
  }

  /** select marks the row of an event, given as namespace/name. */
  select(event) {
    this.selected = event;
    for (const [i, element] of this.made) element.setAttribute("aria-selected", String(key(this.rows[i]) === event));
  }

  /** focusSelected puts the focus on the active row, and says whether there is one. */
  focusSelected() {
    const element = this.made.get(this.active);
    element?.focus({ preventScroll: true });
    return Boolean(element);
  }

  click(event) {
    const element = event.target.closest("[data-index]");
    if (!element) return;
    this.activate(Number(element.dataset.index));
    this.onOpen(this.rows[this.active]);
  }

  key(event) {
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.onOpen(this.rows[this.active]);
    } else if (event.key in moves) {
      event.preventDefault();
      this.activate(Math.max(0, Math.min(this.rows.length - 1, this.active + moves[event.key])));
    }
  }

  activate(i) {
    this.made.get(this.active)?.setAttribute("tabindex", "-1");
    this.active = i;
    this.make(i);
    const element = this.made.get(i);
    element.setAttribute("tabindex", "0");
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "nearest" });
    this.place();
  }
}

const key = (row) => `${row.namespace}/${row.name}`;
