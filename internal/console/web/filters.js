// The filters. What they are set to is in the address; what they offer is what was read.

import { field, h } from "./dom.js";
import * as state from "./state.js";
import { line, person } from "./text.js";
import { fromInput, toInput, zone } from "./time.js";
import { actions, outcomes } from "./words.js";

const periodNames = { "1h": "1 hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days", own: "From … to" };

export class Filters {
  constructor() {
    this.inputs = {
      find: h("input", { type: "search", placeholder: "Name or note", autocomplete: "off", spellcheck: "false" }),
      action: choice({ "": "All actions", ...Object.fromEntries(Object.entries(actions).map(([key, { word }]) => [key, word])) }),
      kind: choice({ "": "All kinds" }),
      user: choice({ "": "Everybody" }),
      project: choice({ "": "All projects" }),
      outcome: choice({ "": "All outcomes", Persisted: outcomes.Persisted.word, NotPersisted: outcomes.NotPersisted.word, Unknown: outcomes.Unknown.word }),
    };
    this.last = choice(periodNames);
    this.start = h("input", { type: "datetime-local", title: zone() });
    this.end = h("input", { type: "datetime-local", title: zone() });
    const labels = { find: "Object", action: "Action", kind: "Kind", user: "User", project: "Project", outcome: "Outcome" };
    this.more = h("button", { type: "button", class: "more keep", "aria-expanded": "false", onclick: () => this.unfold() }, "More filters");
    this.element = h("form", { class: "filters", role: "search", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
      Object.entries(labels).map(([name, label]) => this.input(name, label)),
      h("div", { class: "period" }, field("Period", this.last), field("From", this.start), field("To", this.end)),
      this.more);
    this.last.addEventListener("change", () => this.choosePeriod());
    for (const input of [this.start, this.end]) input.addEventListener("change", () => this.setPeriod());
  }

  input(name, label) {
    const input = this.inputs[name];
    input.id = `filter-${name}`;
    const made = field(label, input);
    if (name === "find" || name === "action") made.classList.add("keep");
    const event = name === "find" ? "input" : "change";
    // Typing is one step back, not one for each letter.
    input.addEventListener(event, () => state.write({ [name]: input.value, ...(name === "project" && { own: "" }) }, { replace: name === "find" }));
    return made;
  }

  unfold() {
    const all = this.element.classList.toggle("all");
    this.more.setAttribute("aria-expanded", String(all));
    this.more.textContent = all ? "Fewer filters" : "More filters";
  }

  choosePeriod() {
    if (this.last.value === "own") return this.start.focus();
    state.refreshClock();
    state.write({ last: this.last.value === state.usual ? "" : this.last.value, start: "", end: "" });
  }

  setPeriod() {
    const start = fromInput(this.start.value), end = fromInput(this.end.value);
    const wrong = !(start < end);
    for (const input of [this.start, this.end]) input.setAttribute("aria-invalid", String(wrong));
    if (!wrong) state.write({ last: "", start: new Date(start).toISOString(), end: new Date(end).toISOString() });
  }

  /** draw sets the inputs as the state says, and offers what the rows have. */
  draw(now, rows) {
    if (this.seen !== rows.length || this.rows !== rows) this.offer(now, rows);
    for (const [name, input] of Object.entries(this.inputs)) {
      if (input.tagName === "SELECT") include(input, now[name]);
      if (input.value !== now[name]) input.value = now[name];
    }
    const { start, end } = state.period(now);
    this.last.value = now.start || now.end ? "own" : now.last || state.usual;
    for (const [input, at] of [[this.start, start], [this.end, end]]) {
      if (document.activeElement !== input) input.value = toInput(at);
    }
  }

  offer(now, rows) {
    const first = this.rows === rows ? this.seen : 0;
    if (first === 0) this.found = { kind: new Map(), user: new Map(), project: new Map() };
    for (let i = first; i < rows.length; i++) {
      const row = rows[i];
      for (const [name, value] of [["kind", row.kind], ["user", row.user], ["project", row.place]]) {
        if (value) this.found[name].set(value, (this.found[name].get(value) ?? 0) + 1);
      }
    }
    Object.assign(this, { rows, seen: rows.length });
    for (const name of ["kind", "user", "project"]) offerIn(this.inputs[name], this.found[name], name === "user" ? person : line);
  }
}

const choice = (options) => h("select", {}, Object.entries(options).map(([value, label]) => h("option", { value }, label)));

// A list of thousands helps nobody: the most frequent are offered.
const offered = 200;

function offerIn(select, found, label) {
  if (document.activeElement === select) return; // It may be open.
  const chosen = select.value;
  const most = [...found].sort((a, b) => b[1] - a[1]).slice(0, offered).map(([value]) => value).sort((a, b) => a.localeCompare(b));
  const options = most.map((value) => h("option", { value }, label(value)));
  select.replaceChildren(select.options[0], ...options);
  include(select, chosen);
  select.value = chosen;
}

function include(select, value) {
  if (value && ![...select.options].some((option) => option.value === value)) select.append(h("option", { value }, line(value, 120)));
}
