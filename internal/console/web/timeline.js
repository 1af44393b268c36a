// The timeline: how many changes, of which sort, when. A part of it can be chosen with the pointer or the keyboard.

import { announce, h, svg } from "./dom.js";
import { day, step, ticks, time } from "./time.js";
import { look, sortWords, sorts } from "./words.js";

const plural = (count) => `${count.toLocaleString("en-GB")} ${count === 1 ? "change" : "changes"}`;
const barWidth = 11;

export class Timeline {
  constructor(onPeriod) {
    this.onPeriod = onPeriod;
    this.paths = Object.fromEntries(sorts.map((sort) => [sort, svg("path", { class: `fill-${sort}` })]));
    this.unread = svg("rect", { class: "unread", x: 0, y: 0, width: 0, height: "100%" });
    this.band = svg("rect", { class: "band", y: 0, height: "100%", width: 0 });
    this.drawing = svg("svg", { "aria-hidden": "true" }, this.unread, ...sorts.map((sort) => this.paths[sort]), this.band);
    this.plot = h("div", {
      class: "plot", tabindex: "0", role: "group", "aria-label": "Timeline of changes",
      "aria-describedby": "timeline-help",
      onpointerdown: (event) => this.press(event), onpointermove: (event) => this.move(event), onpointerup: (event) => this.release(event),
      onpointercancel: () => this.drop(), onpointerleave: () => this.hideTip(), onkeydown: (event) => this.key(event), onblur: () => this.drop(),
    }, this.drawing);
    this.axis = h("div", { class: "axis", "aria-hidden": "true" });
    this.most = h("div", { class: "most", "aria-hidden": "true" });
    this.tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    this.element = h("section", { class: "timeline", "aria-label": "Timeline" },
      this.most, this.plot, this.axis, this.tip,
      h("p", { class: "unseen", id: "timeline-help" }, "Left and right move by one bar, with Shift they choose a period, Enter opens it, Escape drops it."));
    this.sizes = new ResizeObserver(() => this.last && this.draw(...this.last));
    this.sizes.observe(this.plot);
  }

  leave() {
    this.sizes.disconnect();
  }

  /** draw shows rows of a period; before unread, none are known. */
  draw(period, rows, unread) {
    this.last = [period, rows, unread];
    const width = this.plot.clientWidth, height = this.plot.clientHeight;
    if (!width) return;
    this.count(period, rows, Math.max(12, Math.floor(width / barWidth)));
    const { bars, every, first } = this;
    const highest = Math.max(1, ...bars.map((bar) => bar.all));
    const scale = width / (bars.length * every);
    const paths = Object.fromEntries(sorts.map((sort) => [sort, ""]));
    bars.forEach((bar, i) => {
      const x = i * every * scale, wide = Math.max(1, every * scale - 2);
      let y = height;
      for (const sort of sorts) {
        if (!bar[sort]) continue;
        const tall = Math.max(1.5, (bar[sort] / highest) * (height - 18));
        y -= tall;
        paths[sort] += `M${x.toFixed(1)} ${y.toFixed(1)}h${wide.toFixed(1)}v${tall.toFixed(1)}h${(-wide).toFixed(1)}z`;
      }
    });
    for (const sort of sorts) this.paths[sort].setAttribute("d", paths[sort]);
    const unknown = unread === null ? 0 : Math.min(width, Math.max(0, (Math.min(unread, period.end) - first) * scale));
    this.unread.setAttribute("width", unknown);
    this.most.textContent = rows.length ? `At most ${plural(highest)} a bar` : "";
    this.drawAxis(period, width, scale);
    this.drawBand();
  }

  // count puts rows into bars of a round length.
  count({ start, end }, rows, most) {
    const every = step(end - start, most), first = Math.floor(start / every) * every;
    const bars = Array.from({ length: Math.max(1, Math.ceil((end - first) / every)) }, () => ({ all: 0 }));
    for (const row of rows) {
      const bar = bars[Math.min(bars.length - 1, Math.floor((row.time - first) / every))];
      if (!bar) continue;
      const sort = look(row);
      bar[sort] = (bar[sort] ?? 0) + 1;
      bar.all++;
    }
    Object.assign(this, { bars, every, first, end });
  }

  drawAxis({ start, end }, width, scale) {
    const made = ticks(start, end, Math.max(2, Math.floor(width / 110))).map(({ at, label }) => [(at - this.first) * scale, label]);
    // A label needs some room on both sides.
    this.axis.replaceChildren(...made.filter(([x]) => x > 24 && x < width - 24).map(([x, label]) => {
      const tick = h("span", {}, label);
      tick.style.left = `${x}px`;
      return tick;
    }));
  }

  drawBand() {
    const width = this.plot.clientWidth, each = width / this.bars.length;
    const [from, to] = this.chosen();
    this.band.setAttribute("x", from * each);
    this.band.setAttribute("width", from < 0 ? 0 : (to - from + 1) * each);
  }

  chosen() {
    if (this.cursor === undefined) return [-1, -1];
    const anchor = this.anchor ?? this.cursor;
    return [Math.min(anchor, this.cursor), Math.max(anchor, this.cursor)];
  }

  at(event) {
    const box = this.plot.getBoundingClientRect();
    const i = Math.floor(((event.clientX - box.left) / box.width) * this.bars.length);
    return Math.max(0, Math.min(this.bars.length - 1, i));
  }

  press(event) {
    if (event.button !== 0 || !this.bars) return;
    this.pressed = event.clientX;
    this.anchor = this.cursor = this.at(event);
    this.plot.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (!this.bars) return;
    const i = this.at(event);
    this.showTip(i);
    if (this.pressed === undefined) return;
    this.cursor = i;
    this.drawBand();
  }

  release(event) {
    const far = this.pressed !== undefined && Math.abs(event.clientX - this.pressed) > 4;
    if (far) this.apply();
    this.drop();
  }

  drop() {
    this.pressed = this.anchor = this.cursor = undefined;
    if (this.bars) this.drawBand();
    this.hideTip();
  }

  apply() {
    const [from, to] = this.chosen();
    if (from >= 0) this.onPeriod(this.first + from * this.every, Math.min(this.end, this.first + (to + 1) * this.every));
  }

  key(event) {
    if (!this.bars) return;
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") return this.drop();
    if (event.key === "Enter") {
      this.apply();
      return this.drop();
    }
    if (!(event.key in moves)) return;
    event.preventDefault();
    const last = this.bars.length - 1, before = this.cursor ?? last + 1;
    const anchor = this.anchor ?? this.cursor;
    this.cursor = Math.max(0, Math.min(last, before + moves[event.key]));
    this.anchor = event.shiftKey ? anchor ?? this.cursor : undefined;
    this.drawBand();
    this.showTip(this.cursor);
    announce(this.say(...this.chosen()));
  }

  // say is what a part of the timeline holds.
  say(from, to) {
    const start = this.first + from * this.every, end = this.first + (to + 1) * this.every;
    const total = {};
    let all = 0;
    for (const bar of this.bars.slice(from, to + 1)) {
      all += bar.all;
      for (const sort of sorts) total[sort] = (total[sort] ?? 0) + (bar[sort] ?? 0);
    }
    const parts = sorts.filter((sort) => total[sort]).map((sort) => `${total[sort].toLocaleString("en-GB")} ${sortWords[sort]}`);
    return `${day(start)} ${time(start)} to ${time(end)}: ${plural(all)}${parts.length ? ` (${parts.join(", ")})` : ""}`;
  }

  showTip(i) {
    const [from, to] = this.pressed !== undefined || this.anchor !== undefined ? this.chosen() : [i, i];
    this.tip.textContent = this.say(from, to);
    this.tip.hidden = false;
    const width = this.plot.clientWidth, half = this.tip.offsetWidth / 2;
    const x = ((from + to + 1) / 2) * (width / this.bars.length);
    this.tip.style.left = `${Math.max(half, Math.min(width - half, x))}px`;
  }

  hideTip() {
    if (this.pressed === undefined) this.tip.hidden = true;
  }
}
